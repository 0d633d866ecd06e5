"""What runners are told of runs and task instances: JSON, as `runner.inside` reads it."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from airdock.dag.serialized import SerializedDag
from airdock.model.keys import NOT_MAPPED, TryKey
from airdock.scheduler.view import Member
from airdock.store.records import Deadline, Run

__all__ = ["describe_call", "describe_end", "describe_instance", "describe_missed", "describe_run"]


def describe_run(run: Run) -> dict[str, Any]:
    """The run; times are ISO 8601, None where there is none."""
    times = {
        "logical_date": run.logical_date,
        "run_after": run.run_after or run.logical_date or run.created,
        "data_interval_start": run.interval_start,
        "data_interval_end": run.interval_end,
        "queued_at": run.created,
        "start_date": run.started,
        "end_date": run.ended,
    }
    return {
        "run_id": run.key.run_id,
        "run_type": run.run_type,
        "conf": dict(run.conf),
        "note": run.note or None,
        "clear_number": run.clear_number,
        "asset_events": [dict(each) for each in run.events],
        **{name: moment.isoformat() if moment else None for name, moment in times.items()},
    }


def describe_instance(member: Member | None) -> dict[str, Any]:
    """What the runner has to know of a task instance beyond its key."""
    if member is None:
        return {}
    told: dict[str, Any] = {"max_tries": member.max_tries, "reschedules": member.reschedules}
    if member.first_started is not None:
        told["first_started"] = member.first_started.isoformat()
    if member.next is not None:
        told["next"] = dict(member.next)
    return told


def describe_end(member: Member | None) -> dict[str, Any]:
    """What a callback has to know of a task instance: what a task has, its state, and when its last try went on."""
    if member is None:
        return {}
    times = {name: at.isoformat() for name in ("started", "ended") if (at := getattr(member, name)) is not None}
    return {**describe_instance(member), "state": str(member.state), **times}


def describe_call(
    dag: SerializedDag,
    run: Run,
    name: str,
    *,
    key: TryKey | None = None,
    instance: Mapping[str, Any] | None = None,
    reason: str = "",
    error: str = "",
) -> dict[str, Any]:
    """The call of a callback that no task's process makes, as `runner.callbacks` takes it.

    `name` is the DAG's argument, such as `on_failure_callback`; with a `key` it is its task's. `reason` is one of
    success, task_failure, all_tasks_deadlocked, timed_out for a DAG; `error` is why a try failed.
    """
    params = dag.params if key is None else dag.task(key.task_id).payload.get("params", dag.params)
    return {
        "dag_id": dag.dag_id,
        "run_id": run.key.run_id,
        "task_id": key.task_id if key else "",
        "map_index": key.map_index if key else NOT_MAPPED,
        "try_number": key.try_number if key else 1,
        "name": name,
        "reason": reason,
        "error": error,
        "loader": dict(dag.loader),
        "params": dict(params),
        "run": {**describe_run(run), "state": str(run.state)},
        "instance": dict(instance or {}),
    }


def describe_missed(dag: SerializedDag, run: Run, deadline: Deadline) -> dict[str, Any]:
    """The call of what a deadline's alert names, with the context that Airflow gives it."""
    due = deadline.due.isoformat()
    told = {
        "id": str(uuid5(NAMESPACE_OID, f"{run.key.dag_id}/{run.key.run_id}/{due}/{deadline.number}")),
        "deadline_time": due,
        "name": deadline.alert["name"] or None,
    }
    context = {"dag_run": _describe_response(dag, run), "deadline": told}
    return {
        **describe_call(dag, run, "deadline"),
        "deadline": {**deadline.alert["callback"], "context": context},
    }


def _describe_response(dag: SerializedDag, run: Run) -> dict[str, Any]:
    """The run as Airflow's REST API gives it; None for what isn't known here."""
    told = describe_run(run)
    times = ("logical_date", "queued_at", "start_date", "end_date", "data_interval_start", "data_interval_end")
    known = (*times, "run_after", "run_id", "run_type", "conf", "note")
    took = (run.ended - run.started) / timedelta(seconds=1) if run.started and run.ended else None
    unknown = ("last_scheduling_decision", "triggered_by", "triggering_user_name", "bundle_version", "partition_key",
               "partition_date")  # fmt: skip
    return {
        **dict.fromkeys(unknown),
        **{name: told[name] for name in known},
        "dag_run_id": run.key.run_id,
        "dag_id": run.key.dag_id,
        "dag_display_name": dag.display_name or dag.dag_id,
        "dag_versions": [],
        "state": str(run.state),
        "duration": took,
    }
