"""A batch of changes as SQL statements, a handful for the whole batch."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, func, insert, select, text, tuple_, update

from airdock.errors import ConflictError
from airdock.model.keys import NOT_MAPPED, RunKey, TaskKey
from airdock.model.states import RUN_FINISHED, RunState, TaskState
from airdock.store import rows
from airdock.store.changes import Change, Room, Use, fold, grow, split_claims
from airdock.store.deadlines import forget_met
from airdock.store.dialect import upsert
from airdock.store.journal import callback_row, event_row
from airdock.store.records import Batch, Expansion, RunTransition, Transition
from airdock.store.schema import (
    ACTIVE_ROWS,
    PAUSING_ROWS,
    answers,
    asset_events,
    callbacks,
    pools,
    runs,
    task_instances,
    tries,
    xcoms,
)
from airdock.store.sql_find import numbers_of
from airdock.store.sql_rows import SqlRows

__all__ = ["commit"]

_c = task_instances.c


def _given(column: Any, name: str) -> Any:
    """The parameter, or what the column has where the parameter is None."""
    return func.coalesce(bindparam(name, type_=column.type), column)


_CHANGE = (
    update(task_instances)
    .where(_c.run == bindparam("in_run"), _c.task_id == bindparam("in_task"), _c.map_index == bindparam("in_index"))
    .where(_c.state == bindparam("in_state"), _c.try_number == bindparam("in_try"))
    .values(
        state=bindparam("to_state"),
        try_number=bindparam("to_try"),
        until=bindparam("to_until"),
        ended=bindparam("to_ended"),
        max_tries=_given(_c.max_tries, "to_max_tries"),
        executor=_given(_c.executor, "to_executor"),
        started=_given(_c.started, "to_started"),
        pool=_given(_c.pool, "to_pool"),
        pool_slots=_given(_c.pool_slots, "to_slots"),
        next=bindparam("to_next"),
        trigger=bindparam("to_trigger"),
        label=_given(_c.label, "to_label"),
        first_started=func.coalesce(_c.first_started, bindparam("to_started", type_=_c.started.type)),
    )
)

_TRY_KEY = ("run", "task_id", "map_index", "try_number")

_FORGET_XCOMS = delete(xcoms).where(
    xcoms.c.run == bindparam("in_run"),
    xcoms.c.task_id == bindparam("in_task"),
    xcoms.c.map_index == bindparam("in_index"),
)

_use = (runs.c.dag_id, runs.c.run_id, _c.task_id, _c.pool)
_COUNTED = (
    select(*_use, func.count().label("instances"), func.sum(_c.pool_slots).label("slots"))
    .join(runs, runs.c.id == _c.run)
    .group_by(*_use)
)
_USES = _COUNTED.where(text(f"task_instances.{ACTIVE_ROWS}"))
_PAUSING = _COUNTED.where(text(f"task_instances.{PAUSING_ROWS}"))


def commit(connection: Connection, batch: Batch, *, owner: str) -> frozenset[TaskKey]:
    """Do what `Store.commit` promises in the connection's transaction."""
    numbers = _own(connection, batch, owner)
    if batch.answers:
        keep = upsert(connection, answers, ("run", "environment"), ("digest", "reused", "error", "at"))
        connection.execute(keep, [rows.answer_row(each, run=numbers[each.run]) for each in batch.answers])
    for expansion in batch.expansions:
        _expand(connection, expansion, numbers[expansion.run])
    plain, claiming = split_claims(batch.transitions)
    _change(connection, fold(plain), numbers)
    refused: frozenset[TaskKey] = frozenset()
    if claiming:
        refused = _find_room(connection, claiming).claim(claiming)
        allowed = [step for step in claiming if step.target is not TaskState.QUEUED or step.key not in refused]
        _change(connection, fold(allowed), numbers)
    for step in batch.runs:
        _change_run(connection, step, numbers[step.key])
        forget_met(SqlRows(connection), step)
    if batch.events:
        connection.execute(insert(asset_events), [event_row(each) for each in batch.events])
    if batch.callbacks:
        connection.execute(insert(callbacks), [callback_row(each) for each in batch.callbacks])
    return refused


def _own(connection: Connection, batch: Batch, owner: str) -> dict[RunKey, int]:
    keys = {step.key.run for step in batch.transitions} | {each.run for each in batch.expansions}
    keys |= {answer.run for answer in batch.answers} | {step.key for step in batch.runs}
    numbers = numbers_of(connection, keys)
    owners = select(runs.c.owner).where(runs.c.id.in_(numbers.values()), runs.c.owner != owner)
    other = connection.execute(owners).first()
    if other is not None:
        raise ConflictError("the run was taken over", where=other.owner or "nobody")
    return numbers


def _expand(connection: Connection, expansion: Expansion, run: int) -> None:
    if expansion.first:
        _grow(connection, expansion, run)
        return
    unexpanded = (_c.run == run, _c.task_id == expansion.task_id, _c.map_index == NOT_MAPPED)
    row = connection.execute(select(task_instances).where(*unexpanded, _c.state == TaskState.NONE.value)).first()
    if row is None:
        raise ConflictError("the task was expanded already, or isn't there", where=expansion.task_id)
    connection.execute(delete(task_instances).where(*unexpanded))
    values = dict(row._mapping)
    connection.execute(insert(task_instances), [{**values, "map_index": index} for index in range(expansion.length)])


def _grow(connection: Connection, expansion: Expansion, run: int) -> None:
    like = (_c.run == run, _c.task_id == expansion.task_id, _c.map_index == 0)
    row = connection.execute(select(task_instances).where(*like)).one()
    added = grow(rows.instance_of(row._mapping, run=expansion.run), expansion)
    if added:
        connection.execute(insert(task_instances), [rows.instance_row(each, run=run) for each in added])


def _change(connection: Connection, changes: Mapping[TaskKey, Change], numbers: Mapping[RunKey, int]) -> None:
    if not changes:
        return
    found = list(changes.values())
    wanted = [rows.change_row(change, run=numbers[change.key.run]) for change in found]
    if connection.execute(_CHANGE, wanted).rowcount != len(wanted):
        raise _conflict(connection, found, numbers)
    again = [
        {"in_run": numbers[change.key.run], "in_task": change.key.task_id, "in_index": change.key.map_index}
        for change in found
        if change.begins_again
    ]
    if again:
        connection.execute(_FORGET_XCOMS, again)
    closed = [
        rows.outcome_row(key, outcome, run=numbers[change.key.run])
        for change in found
        for key, outcome in change.closed
    ]
    if closed:
        connection.execute(upsert(connection, tries, _TRY_KEY, ("outcome",)), closed)
    opened = [rows.try_row(each, run=numbers[change.key.run]) for change in found for each in change.opened]
    if opened:
        columns = ("digest", "executor", "queued", "outcome")
        connection.execute(upsert(connection, tries, _TRY_KEY, columns), opened)


def _conflict(connection: Connection, changes: Sequence[Change], numbers: Mapping[RunKey, int]) -> ConflictError:
    """Which of the changes met another state than it should have; those that met the right one are made by now."""
    for change in changes:
        place = (numbers[change.key.run], change.key.task_id, change.key.map_index)
        wanted = select(_c.state, _c.try_number).where(tuple_(_c.run, _c.task_id, _c.map_index) == place)
        row = connection.execute(wanted).first()
        if len(changes) == 1 or row is None or (row.state, row.try_number) != (change.state.value, change.try_number):
            found = "nothing" if row is None else f"{row.state} in try {row.try_number}"
            expected = f"{change.source} in try {change.source_try}"
            return ConflictError(f"expected {expected}, found {found}", where=change.key.label)
    return ConflictError("a task instance was in the state already that it should have come to")


def _find_room(connection: Connection, claiming: Sequence[Transition]) -> Room:
    sizes = [rows.pool_of(row._mapping) for row in connection.execute(select(pools))]
    used = _count_uses(connection, _USES)
    limits = [step.limits for step in claiming if step.limits is not None]
    if any(pool.include_deferred for pool in sizes) or any(
        each.task is not None or each.task_in_run is not None for each in limits
    ):
        used += _count_uses(connection, _PAUSING, pausing=True)
    return Room(pools=sizes, used=used)


def _count_uses(connection: Connection, wanted: Select[Any], *, pausing: bool = False) -> list[Use]:
    return [
        Use(
            run=RunKey(dag_id=row.dag_id, run_id=row.run_id),
            task_id=row.task_id,
            pool=row.pool,
            count=row.instances,
            slots=row.slots,
            pausing=pausing,
        )
        for row in connection.execute(wanted)
    ]


def _change_run(connection: Connection, step: RunTransition, run: int) -> None:
    at = rows.micros(step.at)
    values: dict[str, Any] = {"state": step.target.value, "reason": step.reason, "ended": None}
    if step.target is RunState.RUNNING:
        values["started"] = func.coalesce(runs.c.started, at)
    if step.target in RUN_FINISHED:
        values["ended"] = at
    wanted = update(runs).where(runs.c.id == run, runs.c.state == step.source.value).values(**values)
    if connection.execute(wanted).rowcount != 1:
        found = connection.execute(select(runs.c.state).where(runs.c.id == run)).scalar()
        raise ConflictError(f"expected the run {step.source}, found it {found}", where=step.key.run_id)
