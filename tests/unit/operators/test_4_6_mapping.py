"""Reference 4.6: instances of mapped tasks, as the runner makes and runs them on the host image."""

import json
from typing import Any

from airdock.operators.bash import BashOperator
from airdock.sdk import DAG, task


def instance(dag: DAG, task_id: str, running: Any, index: int, **chosen: Any) -> tuple[Any, Any]:
    """The task of one instance with its fields rendered, and its context; each result asked for is 7."""
    mapped = dag.task_dict[task_id]
    one = mapped.unmap(chosen)  # type: ignore[attr-defined]
    context = running(one, map_index=index)
    context["ti"]._channel.answers["xcom_get"] = 7
    one.render_template_fields(context)
    return one, context


def test_partial_takes_the_result_of_another_task(running: Any) -> None:
    @task
    def seven() -> int:
        return 7

    @task
    def add(x: int, y: int) -> int:
        return x + y

    with DAG("d") as dag:
        add.partial(y=seven()).expand(x=[1, 2, 3])
    for index, x in enumerate([1, 2, 3]):
        one, context = instance(dag, "add", running, index, x=x)
        assert one.execute(context) == x + 7
    assert set(dag.task_dict) == {"seven", "add"}
    assert dag.task_dict["add"].upstream_task_ids == {"seven"}


def test_what_another_task_made_is_no_template(running: Any) -> None:
    @task
    def texts() -> list[str]:
        return ["{{ ds }}"]

    @task
    def show(text: str, own: str) -> list[str]:
        return [text, own]

    with DAG("d") as dag:
        show.partial(own="{{ ds }}").expand(text=texts())
        BashOperator.partial(task_id="bash").expand_kwargs(texts().map(lambda each: {"bash_command": each}))
        BashOperator.partial(task_id="given").expand(bash_command=["{{ ds }}"])
    one, context = instance(dag, "show", running, 0, text=json.loads('"{{ ds }}"'))
    assert one.execute(context) == ["{{ ds }}", "2026-01-02"]
    one, _ = instance(dag, "bash", running, 0, **{"**": {"bash_command": json.loads('"{{ ds }}"')}})
    assert one.bash_command == "{{ ds }}"
    one, _ = instance(dag, "given", running, 0, bash_command="{{ ds }}")
    assert one.bash_command == "2026-01-02"


def test_partial_of_an_operator_takes_the_result_of_another_task(running: Any) -> None:
    @task
    def seven() -> int:
        return 7

    with DAG("d") as dag:
        BashOperator.partial(task_id="bash", env={"E": seven()}).expand(bash_command=["echo $E", "true"])
    one, _ = instance(dag, "bash", running, 0, bash_command="echo $E")
    assert (one.bash_command, one.env) == ("echo $E", {"E": 7})
    assert one.dag is dag
