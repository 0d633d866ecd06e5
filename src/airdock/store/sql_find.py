"""What is looked for in a SQL database, as `filters` say it."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, Select, func, select, text

from airdock.errors import UnknownRunError
from airdock.model.keys import RunKey
from airdock.model.states import RunState, TaskState
from airdock.store import rows
from airdock.store.base import ACTIVE, PAUSING
from airdock.store.filters import InstanceFilter, PoolUse, RunFilter
from airdock.store.records import Instance, Run
from airdock.store.schema import ACTIVE_ROWS, OPEN_RUNS, PAUSING_ROWS, runs, task_instances

__all__ = [
    "count_open_runs",
    "count_uses",
    "find_instances",
    "find_run",
    "find_runs",
    "number_of",
    "numbers_of",
    "select_runs",
]

_c = task_instances.c
_OPEN = {RunState.QUEUED, RunState.RUNNING}
_COUNTED = (TaskState.QUEUED, TaskState.RUNNING, TaskState.DEFERRED, TaskState.SCHEDULED)


def number_of(connection: Connection, key: RunKey) -> int:
    """The database's number of a run. UnknownRunError.

    It is looked up each time: another process may delete the run, and the number be given again.
    """
    return numbers_of(connection, [key])[key]


def numbers_of(connection: Connection, keys: Collection[RunKey]) -> dict[RunKey, int]:
    """The numbers of all these runs. UnknownRunError if one isn't there."""
    by_dag: defaultdict[str, list[str]] = defaultdict(list)
    for key in keys:
        by_dag[key.dag_id].append(key.run_id)
    found: dict[RunKey, int] = {}
    for dag_id, run_ids in by_dag.items():
        wanted = select(runs.c.id, runs.c.run_id).where(runs.c.dag_id == dag_id, _among(runs.c.run_id, run_ids))
        found |= {RunKey(dag_id=dag_id, run_id=row.run_id): row.id for row in connection.execute(wanted)}
    for key in keys:
        if key not in found:
            raise UnknownRunError(f"there is no run {key.run_id!r} of DAG {key.dag_id!r}")
    return found


def _among(column: Any, values: Sequence[Any]) -> Any:
    return column == values[0] if len(values) == 1 else column.in_(values)


def find_run(connection: Connection, key: RunKey) -> Run:
    """UnknownRunError if it isn't there."""
    found = connection.execute(select(runs).where(runs.c.dag_id == key.dag_id, runs.c.run_id == key.run_id)).first()
    if found is None:
        raise UnknownRunError(f"there is no run {key.run_id!r} of DAG {key.dag_id!r}")
    return rows.run_of(found._mapping)


def find_runs(connection: Connection, wanted: RunFilter) -> list[Run]:
    """`Store.find_runs`."""
    return [rows.run_of(row._mapping) for row in connection.execute(select_runs(wanted))]


def select_runs(wanted: RunFilter) -> Select[Any]:
    """The statement of a filter."""
    order = runs.c.logical_date if wanted.by_date else runs.c.created
    orders = [order, runs.c.id] if wanted.oldest_first else [order.desc(), runs.c.id.desc()]
    found = select(runs).order_by(*orders).limit(wanted.limit)
    if wanted.offset:
        found = found.offset(wanted.offset)
    if wanted.by_date:
        found = found.where(runs.c.logical_date.is_not(None))
    return found.where(*_conditions(wanted))


def _conditions(wanted: RunFilter) -> list[Any]:
    c, found = runs.c, list[Any]()
    for column, value in ((c.dag_id, wanted.dag_id), (c.run_id, wanted.run_id), (c.backfill, wanted.backfill)):
        if value is not None:
            found.append(column == value)
    for column, values in (
        (c.run_id, wanted.run_ids),
        (c.run_type, wanted.types),
        (c.logical_date, None if wanted.dates is None else [rows.micros(date) for date in wanted.dates]),
    ):
        if values is not None:
            found.append(column.in_(list(values)))
    if wanted.states is not None:
        # Said literally where it can be, so that the index of open runs answers it.
        states = [state.value for state in wanted.states]
        found.append(text(f"runs.{OPEN_RUNS}") if set(wanted.states) == _OPEN else c.state.in_(states))
    if wanted.after is not None:
        found.append(c.logical_date > rows.micros(wanted.after))
    if wanted.before is not None:
        found.append(c.logical_date < rows.micros(wanted.before))
    if wanted.ended_before is not None:
        found.append(c.ended < rows.micros(wanted.ended_before))
    return found


def find_instances(connection: Connection, wanted: InstanceFilter) -> list[Instance]:
    """`Store.find_instances`."""
    found = select(runs.c.dag_id, runs.c.run_id, task_instances).join(runs, runs.c.id == _c.run)
    found = found.order_by(runs.c.created.desc(), runs.c.id.desc(), _c.task_id, _c.map_index)
    for column, value in ((runs.c.dag_id, wanted.dag_id), (runs.c.run_id, wanted.run_id), (_c.task_id, wanted.task_id)):
        if value is not None:
            found = found.where(column == value)
    if wanted.states is not None:
        found = found.where(_c.state.in_([state.value for state in wanted.states]))
        for states, condition in ((ACTIVE, ACTIVE_ROWS), (PAUSING, PAUSING_ROWS)):
            if states.issuperset(wanted.states):  # said literally, so that their index answers it
                found = found.where(text(f"task_instances.{condition}"))
    return [
        rows.instance_of(row._mapping, run=RunKey(dag_id=row.dag_id, run_id=row.run_id))
        for row in connection.execute(found.limit(wanted.limit).offset(wanted.offset))
    ]


def count_open_runs(connection: Connection, *, backfill: bool) -> dict[tuple[str, RunState], int]:
    """`Store.count_open_runs`."""
    kind = runs.c.backfill.is_not(None) if backfill else runs.c.backfill.is_(None)
    wanted = select(runs.c.dag_id, runs.c.state, func.count().label("number")).where(text(f"runs.{OPEN_RUNS}"), kind)
    found = connection.execute(wanted.group_by(runs.c.dag_id, runs.c.state))
    return {(row.dag_id, RunState(row.state)): row.number for row in found}


def count_uses(connection: Connection) -> dict[str, PoolUse]:
    """`Store.count_uses`."""
    wanted = (
        select(_c.pool, _c.state, func.sum(_c.pool_slots).label("slots"))
        .join(runs, runs.c.id == _c.run)
        .where(text(f"runs.{OPEN_RUNS}"), _c.state.in_([state.value for state in _COUNTED]))
        .group_by(_c.pool, _c.state)
    )
    counts: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for row in connection.execute(wanted):
        counts[row.pool][row.state] = row.slots
    return {pool: PoolUse(**found) for pool, found in counts.items()}
