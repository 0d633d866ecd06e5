"""What people do to runs by hand, as SQL: let instances begin anew, put them into a state."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, case, delete, func, insert, or_, select, update

from airdock.errors import ConflictError
from airdock.model.keys import TaskKey
from airdock.model.states import RUN_FINISHED, RunState, TaskState
from airdock.store import rows
from airdock.store.base import ACTIVE
from airdock.store.records import Backfill, Instance
from airdock.store.schema import runs, task_instances, xcoms

__all__ = ["clear", "force", "join_backfill", "pin"]

_c = task_instances.c


_PLACE = (_c.run == bindparam("in_run"), _c.task_id == bindparam("in_task"), _c.map_index == bindparam("in_index"))
_IS_ACTIVE = or_(*(_c.state == state.value for state in sorted(ACTIVE)))
_CLEAR = (
    update(task_instances)
    .where(*_PLACE)
    .values(
        state=case((_IS_ACTIVE, TaskState.RESTARTING.value), else_=TaskState.NONE.value),
        max_tries=_c.try_number + bindparam("more"),
        until=None,
        started=case((_IS_ACTIVE, _c.started), else_=None),
        ended=None,
        next=None,
        trigger=None,
        first_started=None,
    )
)
_FORCE = (
    update(task_instances)
    .where(*_PLACE)
    .values(state=bindparam("to_state"), ended=bindparam("to_ended"), until=None, next=None, trigger=None)
)
_FORGET_TASKS = delete(task_instances).where(_c.run == bindparam("in_run"), _c.task_id == bindparam("in_task"))
_FORGET_XCOMS = delete(xcoms).where(
    xcoms.c.run == bindparam("in_run"),
    xcoms.c.task_id == bindparam("in_task"),
    xcoms.c.map_index == bindparam("in_index"),
)


def clear(connection: Connection, run: int, retries: Mapping[TaskKey, int]) -> None:
    """`Store.clear`, in the connection's transaction."""
    places = [_place(run, key) for key in retries]
    if places:
        connection.execute(
            _CLEAR, [{**place, "more": more} for place, more in zip(places, retries.values(), strict=True)]
        )
        connection.execute(_FORGET_XCOMS, places)
    state = RunState(connection.execute(select(runs.c.state).where(runs.c.id == run)).scalar_one())
    values: dict[str, Any] = {"ended": None, "reason": "", "clear_number": runs.c.clear_number + 1}
    if state in RUN_FINISHED:
        values |= {"state": RunState.QUEUED.value, "started": None}
    _change_run(connection, run, values)


def pin(connection: Connection, run: int, digest: str, *, kept: Collection[str], added: Sequence[Instance]) -> None:
    """`Store.pin`, in the connection's transaction."""
    known = connection.execute(select(_c.task_id, _c.state).where(_c.run == run).distinct()).all()
    gone = {row.task_id for row in known} - set(kept)
    if busy := sorted({row.task_id for row in known if row.task_id in gone and TaskState(row.state) in ACTIVE}):
        raise ConflictError(f"task {busy[0]} isn't in the new version, and goes on", where=str(run))
    places = [{"in_run": run, "in_task": task_id} for task_id in sorted(gone)]
    if places:
        connection.execute(_FORGET_TASKS, places)
    if added:
        connection.execute(insert(task_instances), [rows.instance_row(each, run=run) for each in added])
    _change_run(connection, run, {"dag_digest": digest})


def force(
    connection: Connection,
    run: int,
    states: Mapping[TaskKey, TaskState],
    *,
    at: datetime,
    run_state: RunState | None,
    doom: str,
) -> None:
    """`Store.force`, in the connection's transaction."""
    ended = rows.micros(at)
    found = [{**_place(run, key), "to_state": state.value, "to_ended": ended} for key, state in states.items()]
    if found:
        connection.execute(_FORCE, found)
    values: dict[str, Any] = {"reason": doom} if doom else {}
    if run_state is not None:
        values |= {"state": run_state.value, "ended": ended if run_state in RUN_FINISHED else None}
        values["started"] = func.coalesce(runs.c.started, ended)
    _change_run(connection, run, values)


def join_backfill(connection: Connection, run: int, backfill: Backfill, at: datetime) -> None:
    """The run is one of the backfill, in the connection's transaction."""
    values: dict[str, Any] = {"backfill": backfill.number, "run_type": "backfill", "created": rows.micros(at)}
    if backfill.conf:
        values["conf"] = rows.dump(dict(backfill.conf))
    _change_run(connection, run, values)


def _place(run: int, key: TaskKey) -> dict[str, Any]:
    return {"in_run": run, "in_task": key.task_id, "in_index": key.map_index}


def _change_run(connection: Connection, run: int, values: Mapping[str, Any]) -> None:
    """Change the run, and take it away from whoever owns it."""
    connection.execute(update(runs).where(runs.c.id == run).values(**values, owner="", lease_until=None))
