"""Tasks with packages of their own by Airflow's virtualenv and external-Python names."""

import sys
from typing import Any

import pytest

from airdock.errors import DagError
from airdock.operators.virtualenv import (
    BranchPythonVirtualenvOperator,
    ExternalPythonOperator,
    PythonVirtualenvOperator,
)
from airdock.sdk import DAG, task


def function(value: int = 1) -> int:
    """One that can travel."""
    return value


def test_a_virtualenv_is_an_environment() -> None:
    with DAG("d"):
        made = PythonVirtualenvOperator(
            task_id="v", python_callable=function, requirements=["colorama==0.4.0"], python_version="3.12",
            system_site_packages=False, op_args=[2], env_vars={"A": "b"},
        )  # fmt: skip
        text = PythonVirtualenvOperator(task_id="t", python_callable=function, requirements="a\n b==1\n")
        bare = PythonVirtualenvOperator(task_id="b", python_callable=function)
    assert made.needs["requirements"] == ["colorama==0.4.0"]
    assert made.needs["python"] == "3.12"
    work = made.work()
    assert (work["mode"], work["env"], work["payload"]["args"]) == ("bare", {"A": "b"}, [2])
    assert text.needs["requirements"] == ["a", "b==1"]
    assert bare.work()["mode"] == "bare"


def test_a_branch_in_one() -> None:
    with DAG("d"):
        branch = BranchPythonVirtualenvOperator(task_id="v", python_callable=function, requirements=["a"])
        branch >> PythonVirtualenvOperator(task_id="t", python_callable=function)
    assert branch.work()["payload"]["branch"] == {"skip_unless": {"t": ["t", "v"]}, "known": ["t", "v"]}


def test_by_decorators(running: Any) -> None:
    with DAG("d"):

        @task.virtualenv(requirements=["a"], system_site_packages=False)
        def one() -> None: ...

        @task.external_python(python=sys.executable)
        def two(ds: str) -> str:
            return ds

        @task.branch_external_python(python=sys.executable)
        def three() -> str:
            return "one"

        first, second, third = one(), two(), three()
        third >> [first, second]
    assert first.operator.needs["requirements"] == ["a"]
    assert second.operator.execute(running(second.operator)) == "2026-01-02"
    context = running(third.operator)
    third.operator.execute(context)
    assert context["ti"].skipped == [["two", -1]]


def test_another_python_is_refused() -> None:
    with DAG("d"), pytest.raises(DagError, match="to be the one that Airdock runs by") as caught:
        ExternalPythonOperator(task_id="e", python="/opt/other/bin/python", python_callable=function)
    assert "say what the function needs" in caught.value.hint
