"""Reference 2.3: functions for Docker, Kubernetes and virtualenvs run in images, mapped ones too."""

import sys
from typing import Any

import pytest

from airdock.dag.exceptions import AirflowFailException, AirflowSkipException
from airdock.dag.serialize import arguments_without_effect
from airdock.errors import DagError
from airdock.operators.virtualenv import PythonVirtualenvOperator
from airdock.runner.inside.bare import Job
from airdock.sdk import DAG, task


def function(value: int = 1) -> int:
    """One that can travel."""
    return value


def test_docker() -> None:
    with DAG("d") as dag:

        @task.docker(
            image="python:3.12", mem_limit="512m", cpus=0.5, environment={"A": "1"}, private_environment={"B": "2"},
            skip_on_exit_code=[3], auto_remove="success", serializer="dill",
        )  # fmt: skip
        def one(value: int) -> int:
            return value

        one(1)
        one.expand(value=[1, 2])
    for task_id in ("one", "one__1"):
        made = dag.get_task(task_id)
        work = made.work()  # type: ignore[attr-defined]
        assert (made.settings.needs["image"], made.settings.needs["memory"]) == ("python:3.12", "512mi")
        assert made.settings.needs["cpus"] is None
        assert (work["mode"], work["env"], work["payload"]["skip_exit_code"]) == ("bare", {"A": "1", "B": "2"}, [3])
    assert arguments_without_effect(dag)[:2] == [
        "DAG 'd': auto_remove has no effect yet (tasks: one)",
        "DAG 'd': cpus has no effect yet (tasks: one)",
    ]


def test_kubernetes() -> None:
    with DAG("d"):

        @task.kubernetes(image="python:3.12", namespace="n", env_vars={"A": "1"}, in_cluster=False)
        def one() -> None: ...

        work = one().operator.work()
    assert (work["mode"], work["env"]) == ("bare", {"A": "1"})


def test_an_image_is_asked_for() -> None:
    with DAG("d"):

        @task.docker(force_pull=True)
        def one() -> None: ...

        with pytest.raises(DagError, match=r"expected @task\.docker to have an image"):
            one()
    with pytest.raises(DagError, match="takes no argument 'mem_limits'") as caught:
        task.docker(image="a", mem_limits="1g")
    assert "mem_limit" in caught.value.hint


def test_those_that_load_only(running: Any) -> None:
    with DAG("d"):

        @task.kubernetes_cmd(image="a", args_only=True)
        def one() -> list[str]:
            return []

        @task.stub(queue="go")
        def two() -> None: ...

        first, second = one().operator, two().operator
    assert second.queue == "go"
    for each in (first, second):
        with pytest.raises(AirflowFailException, match=f"doesn't run a {type(each).__name__} yet"):
            each.execute(running(each))


def test_a_mapped_virtualenv_is_an_environment_too() -> None:
    with DAG("d") as dag:

        @task.virtualenv(requirements=["a"], python_version="3.12", env_vars={"A": "1"}, skip_on_exit_code={9})
        def one(value: int) -> int:
            return value

        one.expand(value=[1, 2])
        PythonVirtualenvOperator.partial(task_id="two", python_callable=function, requirements="b\nc").expand(
            op_args=[[1], [2]]
        )
    first, second = dag.get_task("one"), dag.get_task("two")
    assert (first.settings.needs["requirements"], first.settings.needs["python"]) == (["a"], "3.12")
    work = first.work()  # type: ignore[attr-defined]
    assert (work["mode"], work["env"], work["payload"]["skip_exit_code"]) == ("bare", {"A": "1"}, [9])
    assert second.settings.needs["requirements"] == ["b", "c"]


def test_an_environment_is_the_same_for_all_instances() -> None:
    partial: dict[str, Any] = {"task_id": "one", "python_callable": function}
    with DAG("d"):
        with pytest.raises(DagError, match="'requirements' is the same for all instances"):
            PythonVirtualenvOperator.partial(**partial).expand(requirements=[["a"], ["b"]])
        mapped = PythonVirtualenvOperator.partial(**partial, requirements=["a"]).expand(env_vars=[{"A": "1"}])
    with pytest.raises(DagError, match="to be mapped over op_args or op_kwargs, found env_vars"):
        mapped.work()


def test_a_branch_keeps_its_variables_and_decides_mapped_too() -> None:
    with DAG("d") as dag:

        @task.branch_virtualenv(requirements=["a"], env_vars={"A": "1"})
        def choose(value: int) -> str:
            return "after"

        @task.short_circuit(requirements=["a"])
        def go_on(value: int) -> bool:
            return bool(value)

        @task
        def after() -> None: ...

        [choose(1), choose.expand(value=[1]), go_on.expand(value=[1])] >> after()
    for task_id in ("choose", "choose__1"):
        work = dag.get_task(task_id).work()  # type: ignore[attr-defined]
        assert work["env"] == {"A": "1"}
        assert work["payload"]["branch"]["skip_unless"].keys() == {"after"}
    assert dag.get_task("go_on").work()["payload"]["short_circuit"] == ["after"]  # type: ignore[attr-defined]


def test_a_code_skips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    source = "import sys\n\ndef leave(code):\n    sys.exit(code)\n"
    payload = {"mode": "bare", "source": source, "function": "leave", "file": "f.py", "args": [9], "kwargs": {},
               "skip_exit_code": [9]}  # fmt: skip
    key = {"dag_id": "d", "task_id": "t", "run_id": "r", "map_index": -1, "try_number": 1}
    start = {"key": key, "run": {"run_id": "r"}, "payload": payload}
    with pytest.raises(Exception, match="exited with code 9") as caught:
        Job(start, None).call()
    assert type(caught.value).__name__ == AirflowSkipException.__name__
    payload["skip_exit_code"] = []
    with pytest.raises(SystemExit):
        Job(start, None).call()
