"""Who owns runs, as SQL."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, func, select, text, update

from airdock.errors import ConflictError
from airdock.model.keys import RunKey
from airdock.model.states import RunState
from airdock.store import rows
from airdock.store.claims import choose, is_free
from airdock.store.records import Run
from airdock.store.schema import OPEN_RUNS, backfills, runs
from airdock.store.sql_find import find_run

__all__ = ["release_run", "renew_runs", "take_run", "take_runs"]

_MINE = (runs.c.dag_id == bindparam("in_dag"), runs.c.run_id == bindparam("in_run"))
_LEASE = update(runs).where(*_MINE).values(owner=bindparam("to_owner"), lease_until=bindparam("to_until"))


def take_run(connection: Connection, key: RunKey, *, owner: str, now: datetime, lease_s: float, displacing: str) -> Run:
    """`Store.take_run`."""
    run = find_run(connection, key)
    if not is_free(run, owner=owner, now=now, displacing={displacing}):
        raise ConflictError("somebody else runs this run", where=run.owner)
    _lease(connection, [key], owner, now + timedelta(seconds=lease_s))
    return find_run(connection, key)


def take_runs(
    connection: Connection,
    keys: Sequence[RunKey],
    *,
    owner: str,
    now: datetime,
    lease_s: float,
    displacing: Collection[str],
    room: Mapping[str, int],
) -> list[Run]:
    """`Store.take_runs`."""
    found = _load(connection, keys)
    numbers = {run.backfill for run in found.values() if run.backfill is not None}
    limits = select(backfills.c.number, backfills.c.max_active_runs).where(backfills.c.number.in_(numbers))
    taken = choose(
        [found[key] for key in keys if key in found],
        owner=owner,
        now=now,
        displacing=displacing,
        begun=_count_begun(connection, {key.dag_id for key in found}, now),
        room=room,
        backfills={row.number: row.max_active_runs for row in connection.execute(limits)} if numbers else {},
    )
    _lease(connection, [run.key for run in taken], owner, now + timedelta(seconds=lease_s))
    fresh = _load(connection, [run.key for run in taken])
    return [fresh[run.key] for run in taken]


def renew_runs(connection: Connection, keys: Collection[RunKey], *, owner: str, until: datetime) -> frozenset[RunKey]:
    """`Store.renew_runs`."""
    mine = [run.key for run in _load(connection, keys).values() if run.owner == owner]
    _lease(connection, mine, owner, until)
    return frozenset(mine)


def release_run(connection: Connection, key: RunKey, *, owner: str) -> None:
    """`Store.release_run`."""
    if find_run(connection, key).owner == owner:
        _lease(connection, [key], "", None)


def _lease(connection: Connection, keys: Sequence[RunKey], owner: str, until: datetime | None) -> None:
    if keys:
        lease = {"to_owner": owner, "to_until": rows.micros(until)}
        connection.execute(_LEASE, [{"in_dag": key.dag_id, "in_run": key.run_id, **lease} for key in keys])


def _load(connection: Connection, keys: Collection[RunKey]) -> dict[RunKey, Run]:
    """Those of the runs that are there, kept from others until the transaction ends."""
    found: dict[RunKey, Run] = {}
    for dag_id in dict.fromkeys(key.dag_id for key in keys):
        run_ids = [key.run_id for key in keys if key.dag_id == dag_id]
        wanted = select(runs).where(runs.c.dag_id == dag_id, runs.c.run_id.in_(run_ids)).with_for_update()
        for row in connection.execute(wanted):
            run = rows.run_of(row._mapping)
            found[run.key] = run
    return found


def _count_begun(connection: Connection, dag_ids: Collection[str], now: datetime) -> dict[tuple[str, int | None], int]:
    """How many runs of these DAGs are running or about to, by DAG and backfill."""
    is_begun = (runs.c.state == RunState.RUNNING.value) | (
        (runs.c.owner != "") & (runs.c.lease_until > rows.micros(now))
    )
    place = (runs.c.dag_id, runs.c.backfill)
    wanted = select(*place, func.count().label("number")).where(text(f"runs.{OPEN_RUNS}"), is_begun)
    found = connection.execute(wanted.where(runs.c.dag_id.in_(dag_ids)).group_by(*place))
    return {(row.dag_id, row.backfill): row.number for row in found}
