"""Rows of the database to records, and records to rows."""

import json
from collections.abc import Mapping
from typing import Any, Final

from airdock.model.environment import Environment
from airdock.model.keys import RunKey, TaskKey, TryKey
from airdock.model.outcome import Outcome
from airdock.model.states import RunState, TaskState
from airdock.store.changes import Change
from airdock.store.records import Answer, Instance, Pool, Run, Try
from airdock.store.times import known_time, micros, time_of

__all__ = [
    "answer_of",
    "answer_row",
    "change_row",
    "dump",
    "environment_text",
    "instance_of",
    "instance_row",
    "micros",
    "outcome_row",
    "pool_of",
    "run_of",
    "run_row",
    "time_of",
    "try_of",
    "try_row",
]

Row = Mapping[Any, Any]

_STATES: Final = {state.value: state for state in TaskState}  # a tenth of the time that the enum itself takes


def dump(value: Any) -> str:
    """Compact JSON. Keys keep their order: params and confs are shown, and mapped over, as they were written."""
    return json.dumps(value, separators=(",", ":"))


def _dump(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else dump(dict(value))


def environment_text(environment: Environment) -> str:
    """What an environment is known by: equal ones have equal text."""
    return json.dumps(environment.to_dict(), sort_keys=True, separators=(",", ":"))


def run_row(run: Run) -> dict[str, Any]:
    return {
        "dag_id": run.key.dag_id,
        "run_id": run.key.run_id,
        "state": run.state.value,
        "dag_digest": run.dag_digest,
        "conf": dump(dict(run.conf)),
        "logical_date": micros(run.logical_date),
        "created": micros(run.created),
        "started": micros(run.started),
        "ended": micros(run.ended),
        "reason": run.reason,
        "owner": run.owner,
        "lease_until": micros(run.lease_until),
        "run_type": run.run_type,
        "run_after": micros(run.run_after),
        "interval_start": micros(run.interval_start),
        "interval_end": micros(run.interval_end),
        "note": run.note,
        "clear_number": run.clear_number,
        "backfill": run.backfill,
        "events": dump([dict(each) for each in run.events]),
    }


def run_of(row: Row) -> Run:
    return Run(
        key=RunKey(dag_id=row["dag_id"], run_id=row["run_id"]),
        state=RunState(row["state"]),
        dag_digest=row["dag_digest"],
        conf=json.loads(row["conf"]),
        logical_date=time_of(row["logical_date"]),
        created=known_time(row["created"]),
        started=time_of(row["started"]),
        ended=time_of(row["ended"]),
        reason=row["reason"],
        owner=row["owner"],
        lease_until=time_of(row["lease_until"]),
        run_type=row["run_type"],
        run_after=time_of(row["run_after"]),
        interval_start=time_of(row["interval_start"]),
        interval_end=time_of(row["interval_end"]),
        note=row["note"],
        clear_number=row["clear_number"],
        backfill=row["backfill"],
        events=tuple(json.loads(row["events"])),
    )


def instance_row(instance: Instance, *, run: int) -> dict[str, Any]:
    return {
        "run": run,
        "task_id": instance.key.task_id,
        "map_index": instance.key.map_index,
        "state": instance.state.value,
        "try_number": instance.try_number,
        "max_tries": instance.max_tries,
        "pool": instance.pool,
        "pool_slots": instance.pool_slots,
        "executor": instance.executor,
        "until": micros(instance.until),
        "started": micros(instance.started),
        "ended": micros(instance.ended),
        "next": _dump(instance.next),
        "trigger": _dump(instance.trigger),
        "first_started": micros(instance.first_started),
        "label": instance.label,
        "note": instance.note,
    }


def instance_of(row: Row, *, run: RunKey) -> Instance:
    return Instance(
        key=TaskKey(dag_id=run.dag_id, run_id=run.run_id, task_id=row["task_id"], map_index=row["map_index"]),
        state=_STATES[row["state"]],
        try_number=row["try_number"],
        max_tries=row["max_tries"],
        pool=row["pool"],
        pool_slots=row["pool_slots"],
        executor=row["executor"],
        until=time_of(row["until"]),
        started=time_of(row["started"]),
        ended=time_of(row["ended"]),
        next=None if row["next"] is None else json.loads(row["next"]),
        trigger=None if row["trigger"] is None else json.loads(row["trigger"]),
        first_started=time_of(row["first_started"]),
        label=row["label"],
        note=row["note"],
    )


def change_row(change: Change, *, run: int) -> dict[str, Any]:
    """Parameters of the statement that changes an instance; None leaves a column as it is, but for until and ended."""
    limits = change.limits
    return {
        "in_run": run,
        "in_task": change.key.task_id,
        "in_index": change.key.map_index,
        "in_state": change.source.value,
        "in_try": change.source_try,
        "to_state": change.state.value,
        "to_try": change.try_number,
        "to_max_tries": change.max_tries,
        "to_until": micros(change.until),
        "to_executor": change.executor,
        "to_started": micros(change.started),
        "to_ended": micros(change.ended),
        "to_pool": limits.pool if limits else None,
        "to_slots": limits.pool_slots if limits else None,
        "to_next": _dump(change.next),
        "to_trigger": _dump(change.trigger),
        "to_label": change.label or None,
    }


def pool_of(row: Row) -> Pool:
    return Pool(
        name=row["name"],
        slots=row["slots"],
        description=row["description"],
        include_deferred=bool(row["include_deferred"]),
    )


def try_row(each: Try, *, run: int) -> dict[str, Any]:
    return {
        "run": run,
        "task_id": each.key.task_id,
        "map_index": each.key.map_index,
        "try_number": each.key.try_number,
        "digest": each.digest,
        "executor": each.executor,
        "queued": micros(each.queued),
        "outcome": dump(each.outcome.to_dict()) if each.outcome else None,
    }


def outcome_row(key: TryKey, outcome: Outcome, *, run: int) -> dict[str, Any]:
    return try_row(Try(key=key, outcome=outcome), run=run)


def try_of(row: Row, *, run: RunKey) -> Try:
    task = TaskKey(dag_id=run.dag_id, run_id=run.run_id, task_id=row["task_id"], map_index=row["map_index"])
    return Try(
        key=task.attempt(row["try_number"]),
        digest=row["digest"],
        executor=row["executor"],
        queued=time_of(row["queued"]),
        outcome=Outcome.from_dict(json.loads(row["outcome"])) if row["outcome"] else None,
    )


def answer_row(answer: Answer, *, run: int) -> dict[str, Any]:
    return {
        "run": run,
        "environment": environment_text(answer.environment),
        "digest": answer.digest,
        "reused": int(answer.reused),
        "error": dump(dict(answer.error)) if answer.error is not None else None,
        "at": micros(answer.at),
    }


def answer_of(row: Row, *, run: RunKey) -> Answer:
    return Answer(
        run=run,
        environment=Environment.from_dict(json.loads(row["environment"])),
        at=known_time(row["at"]),
        digest=row["digest"],
        reused=bool(row["reused"]),
        error=json.loads(row["error"]) if row["error"] is not None else None,
    )
