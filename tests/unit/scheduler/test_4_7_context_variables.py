"""Airflow's variables of a try, in the environment of whatever runs it."""

from collections.abc import Callable
from typing import Any

from airdock.model.environment import Environment
from airdock.model.workload import Workload
from airdock.runner.steps import first_step, second_step
from airdock.scheduler.workloads import make_workload

from .drive import NOW, key

OF_TRY = {
    "AIRFLOW_CTX_DAG_OWNER": "me",
    "AIRFLOW_CTX_DAG_ID": "d",
    "AIRFLOW_CTX_TASK_ID": "a",
    "AIRFLOW_CTX_TRY_NUMBER": "2",
    "AIRFLOW_CTX_DAG_RUN_ID": "r",
}
DATE = {"AIRFLOW_CTX_LOGICAL_DATE": "2026-01-01T00:00:00+00:00"}
Make = Callable[..., Any]


def workload(make_task: Make, **more: Any) -> Workload:
    payload = {"mode": "command", "first": {"place": []}}
    task = make_task("a", owner="me", env={"A": "{{ ds }}"}, payload=payload, environment=Environment(image="i"))
    return make_workload(task, key("a").attempt(2), digest="sha256:0", folders=[], place=[], lease_s=1, **more)


def test_a_try_has_them_beside_the_tasks_own(make_task: Make) -> None:
    assert workload(make_task).env == {**OF_TRY, "A": "{{ ds }}"}
    assert workload(make_task, logical_date=NOW).env == {**OF_TRY, **DATE, "A": "{{ ds }}"}


def test_both_steps_have_them_and_the_tasks_own_only_as_they_were_rendered(make_task: Make) -> None:
    given = workload(make_task)
    assert first_step(given, "sha256:1").env == OF_TRY
    prepared = {"argv": ["x"], "env": {"B": "2026"}, "payload": {}}
    assert second_step(given, prepared).env == {**OF_TRY, "B": "2026"}
