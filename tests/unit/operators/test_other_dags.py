"""Tasks that start runs of other DAGs and wait for them (reference 4.7), over what the supervisor answers."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airdock.dag.exceptions import AirflowException, AirflowSkipException, TaskDeferred
from airdock.dag.trigger import TriggerEvent
from airdock.errors import DagError
from airdock.operators.external_task import ExternalTaskFailedError, ExternalTaskMarker, ExternalTaskSensor
from airdock.operators.external_triggers import DagStateTrigger, WorkflowTrigger
from airdock.operators.trigger_dagrun import DagIsPaused, TriggerDagRunOperator
from airdock.sdk import DAG

DATE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def made(kind: Any, **arguments: Any) -> Any:
    with DAG("d"):
        return kind(task_id="t", **arguments)


def asked(context: Any, **answers: Any) -> Any:
    context["ti"]._channel.answers.update(answers)
    return context


def test_a_run_is_started(running: Any) -> None:
    task = made(TriggerDagRunOperator, trigger_dag_id="other", conf='{"a": 1}', logical_date=DATE)
    context = asked(running(task), trigger_run={"run_id": "r1"})
    task.execute(context)
    requests = context["ti"]._channel.requests
    assert requests[0] == (
        "trigger_run",
        {"dag_id": "other", "run_id": None, "conf": {"a": 1}, "logical_date": DATE.isoformat(), "run_after": None,
         "reset": False, "note": None, "refuse_paused": False},
    )  # fmt: skip
    assert requests[1][1]["key"] == "trigger_run_id"


@pytest.mark.parametrize(
    ("arguments", "answer", "kind"),
    [
        ({}, {"run_id": "r", "exists": True}, AirflowException),
        ({"skip_when_already_exists": True}, {"run_id": "r", "exists": True}, AirflowSkipException),
        ({"fail_when_dag_is_paused": True}, {"paused": True}, DagIsPaused),
    ],
)
def test_a_run_that_cannot_be_started(running: Any, arguments: Any, answer: Any, kind: Any) -> None:
    task = made(TriggerDagRunOperator, trigger_dag_id="other", **arguments)
    with pytest.raises(kind):
        task.execute(asked(running(task), trigger_run=answer))


@pytest.mark.parametrize(("state", "fails"), [("success", False), ("failed", True)])
def test_it_waits_for_the_run(running: Any, state: str, fails: bool) -> None:
    task = made(TriggerDagRunOperator, trigger_dag_id="other", wait_for_completion=True, poke_interval=0)
    context = asked(running(task), trigger_run={"run_id": "r"}, run_state=state)
    later = made(TriggerDagRunOperator, trigger_dag_id="other", wait_for_completion=True, deferrable=True)
    with pytest.raises(TaskDeferred) as caught:
        later.execute(context)
    trigger = caught.value.trigger
    trigger.task_instance = context["ti"]
    event = asyncio.run(_first(trigger)).payload
    assert trigger.serialize()[0].endswith(".external_task.DagStateTrigger")
    if fails:
        with pytest.raises(AirflowException, match="failed state failed"):
            task.execute(context)
        with pytest.raises(AirflowException, match="failed state failed"):
            later.execute_complete(context, event=event)
    else:
        task.execute(context)
        later.execute_complete(context, event=event)


def test_conf_has_to_be_json(running: Any) -> None:
    task = made(TriggerDagRunOperator, trigger_dag_id="other", conf={"a": {1}})
    with pytest.raises(ValueError, match="expected conf to be JSON"):
        task.execute(running(task))


def test_waiting_for_a_run(running: Any) -> None:
    task = made(ExternalTaskSensor, external_dag_id="other", execution_delta=timedelta(hours=1))
    context = asked(running(task), runs=["r"])
    assert task.poke(context)
    (request,) = context["ti"]._channel.requests
    assert request[1]["logical_dates"] == ["2026-01-02T02:04:05+00:00"]
    assert request[1]["states"] == ["success"]
    assert not task.poke(asked(running(task), runs=[]))


def test_waiting_for_tasks(running: Any) -> None:
    task = made(ExternalTaskSensor, external_dag_id="other", external_task_ids=["a", "b"], failed_states=["failed"])
    half = asked(running(task), runs=["r"], task_states=[["a", -1, "success"], ["b", -1, "running"]])
    assert not task.poke(half)
    assert task.poke(asked(running(task), runs=["r"], task_states=[["a", -1, "success"], ["b", -1, "success"]]))
    with pytest.raises(ExternalTaskFailedError, match=r"other\.a, b has failed"):
        task.poke(asked(running(task), runs=["r"], task_states=[["a", -1, "failed"]]))


def test_waiting_for_a_group_and_a_skip(running: Any) -> None:
    task = made(ExternalTaskSensor, external_dag_id="other", external_task_group_id="g", skipped_states=["skipped"])
    assert task.poke(asked(running(task), runs=["r"], task_states=[["g.a", -1, "success"], ["g.b", 0, "success"]]))
    with pytest.raises(AirflowSkipException):
        task.poke(asked(running(task), runs=["r"], task_states=[["g.a", -1, "skipped"]]))


@pytest.mark.parametrize(("state", "status"), [("success", "success"), ("failed", "failed"), ("skipped", "skipped")])
def test_waiting_without_a_container(running: Any, state: str, status: str) -> None:
    task = made(ExternalTaskSensor, external_dag_id="other", external_task_id="a", deferrable=True,
                failed_states=["failed"], skipped_states=["skipped"])  # fmt: skip
    context = asked(running(task), runs=["r"], task_states=[["a", -1, state]])
    with pytest.raises(TaskDeferred) as caught:
        task.execute(context)
    path, kwargs = caught.value.trigger.serialize()
    assert path == "airflow.providers.standard.triggers.external_task.WorkflowTrigger"
    trigger = WorkflowTrigger(**kwargs)
    trigger.task_instance = context["ti"]
    event = asyncio.run(_first(trigger))
    assert event == TriggerEvent({"status": status})
    if status == "success":
        task.execute_complete(context, event=event.payload)
    else:
        with pytest.raises(ExternalTaskFailedError if status == "failed" else AirflowSkipException):
            task.execute_complete(context, event=event.payload)


def test_wrong_arguments() -> None:
    with pytest.raises(DagError, match="expected one of external_task_id"):
        made(ExternalTaskSensor, external_dag_id="o", external_task_id="a", external_task_group_id="g")
    with pytest.raises(DagError, match="recursion_depth of 1 or more"):
        made(ExternalTaskMarker, external_dag_id="o", external_task_id="a", recursion_depth=0)
    assert DagStateTrigger("d", ["success"], ["r"]).serialize()[1]["run_ids"] == ["r"]


async def _first(trigger: Any) -> Any:
    async for event in trigger.run():
        return event
    return None
