"""PythonOperator and EmptyOperator."""

from typing import Any

import pytest

from airdock.operators.empty import EmptyOperator
from airdock.operators.python import PythonOperator
from airdock.runner.inside.context import Context
from airdock.sdk import DAG

START = {
    "key": {"dag_id": "d", "task_id": "p", "run_id": "r", "map_index": -1, "try_number": 1},
    "payload": {"params": {"n": 1}},
    "run": {"run_id": "r", "logical_date": "2026-01-02T03:04:05+00:00", "conf": {"n": 2}},
}


class NothingBefore:
    """The supervisor's side, where there is no run before this one."""

    def ask(self, op: str, **_fields: Any) -> None:
        assert op == "previous_run"


def add(a: int, b: int = 0, *, ds: str, **context: Any) -> list[Any]:
    """Takes arguments of its own and some of the context."""
    return [a + b, ds, context["params"], sorted(context.get("templates_dict", {}))]


def test_arguments_and_the_context_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    with DAG("d"):
        task = PythonOperator(
            task_id="p", python_callable=add, op_args=[1], op_kwargs={"b": 2}, templates_dict={"k": "{{ params.n }}"}
        )
    context = Context(START, NothingBefore())
    task.render_template_fields(context)
    assert task.templates_dict == {"k": "2"}
    assert task.execute(context) == [3, "2026-01-02", {"n": 2}, ["k"]]
    assert capsys.readouterr().out == "Done. Returned value was: [3, '2026-01-02', {'n': 2}, ['k']]\n"


def test_elsewhere_the_function_travels() -> None:
    with DAG("d"):
        task = PythonOperator(task_id="p", python_callable=add, op_args=(1,), op_kwargs={"b": (2,)}, image="python")
    work = task.work()
    assert work["mode"] == "bare"
    assert (work["payload"]["args"], work["payload"]["kwargs"]) == ([1], {"b": [2]})
    assert work["payload"]["function"] == "add"


def test_an_empty_task_has_nothing_to_run() -> None:
    with DAG("d"):
        assert EmptyOperator(task_id="e").work() == {"mode": "none", "payload": {}}


def test_a_task_renders_a_text_of_its_own() -> None:
    with DAG("d"):
        task = PythonOperator(task_id="p", python_callable=add)
    context = Context(START, None)
    assert task.render_template(["{{ params.n }}", "{{ run_id }}", 3], context) == ["2", "r", 3]
