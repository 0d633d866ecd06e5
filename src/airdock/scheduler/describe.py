"""What runners are told of runs and task instances: JSON, as `runner.inside` reads it."""

from collections.abc import Mapping
from typing import Any

from airdock.dag.serialized import SerializedDag
from airdock.model.keys import NOT_MAPPED, TryKey
from airdock.scheduler.view import Member
from airdock.store.records import Run

__all__ = ["describe_call", "describe_end", "describe_instance", "describe_run"]


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
