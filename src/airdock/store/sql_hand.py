"""What people do to runs by hand, as SQL: let instances begin anew, put them into a state."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, case, delete, func, select, update

from airdock.model.keys import TaskKey
from airdock.model.states import RUN_FINISHED, RunState, TaskState
from airdock.store import rows
from airdock.store.base import ACTIVE
from airdock.store.schema import runs, task_instances, xcoms

__all__ = ["clear", "force"]

_c = task_instances.c
_ACTIVE = [state.value for state in ACTIVE]


def clear(connection: Connection, run: int, retries: Mapping[TaskKey, int]) -> None:
    """`Store.clear`, in the connection's transaction."""
    is_active = _c.state.in_(_ACTIVE)
    for key, more in retries.items():
        place = {"run": run, "task_id": key.task_id, "map_index": key.map_index}
        connection.execute(
            update(task_instances)
            .filter_by(**place)
            .values(
                state=case((is_active, TaskState.RESTARTING.value), else_=TaskState.NONE.value),
                max_tries=_c.try_number + more,
                until=None,
                started=case((is_active, _c.started), else_=None),
                ended=None,
                next=None,
                first_started=None,
            )
        )
        connection.execute(delete(xcoms).filter_by(**place))
    state = RunState(connection.execute(select(runs.c.state).where(runs.c.id == run)).scalar_one())
    values: dict[str, Any] = {"ended": None, "reason": "", "clear_number": runs.c.clear_number + 1}
    if state in RUN_FINISHED:
        values |= {"state": RunState.QUEUED.value, "started": None}
    _change_run(connection, run, values)


def force(
    connection: Connection,
    run: int,
    states: Mapping[TaskKey, TaskState],
    *,
    at: datetime,
    run_state: RunState | None,
) -> None:
    """`Store.force`, in the connection's transaction."""
    for key, state in states.items():
        connection.execute(
            update(task_instances)
            .filter_by(run=run, task_id=key.task_id, map_index=key.map_index)
            .values(state=state.value, ended=rows.micros(at), until=None, next=None)
        )
    values: dict[str, Any] = {}
    if run_state is not None:
        values = {"state": run_state.value, "ended": rows.micros(at) if run_state in RUN_FINISHED else None}
        values["started"] = func.coalesce(runs.c.started, rows.micros(at))
    _change_run(connection, run, values)


def _change_run(connection: Connection, run: int, values: Mapping[str, Any]) -> None:
    """Change the run, and take it away from whoever owns it."""
    connection.execute(update(runs).where(runs.c.id == run).values(**values, owner="", lease_until=None))
