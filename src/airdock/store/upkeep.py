"""Take out of a store what nobody needs any more: what is old, and DAGs that are to be forgotten."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Final

from airdock.errors import ConflictError, StoreError
from airdock.model.states import RUN_FINISHED, RunState
from airdock.store.base import Store
from airdock.store.filters import RunFilter
from airdock.store.journal import AGES
from airdock.store.records import Run

__all__ = ["TABLES", "clean", "delete_dag"]

_AT_ONCE: Final = 500
"""How many runs are deleted in one transaction, so that a scheduler beside waits for none of them long."""
_RUNS: Final = "runs"
_DAGS: Final = "dags"

TABLES: Final = (_RUNS, *AGES, _DAGS)
"""What can be cleaned; with runs go their instances, tries, XComs, answers and deadlines, then versions of DAGs."""


def clean(store: Store, *, before: datetime, tables: Collection[str] = TABLES, pretend: bool = False) -> dict[str, int]:
    """Forget what is older, and say how many rows of each table; with `pretend` none go.

    Of runs those go that ended before, but each DAG keeps its newest and the newest of its schedule, from which the
    next is reckoned. "dags" are versions of DAGs that neither a run nor a file has. Done in several transactions: what
    is interrupted can be done again. StoreError for a table that isn't in `TABLES`.
    """
    if unknown := sorted(set(tables) - set(TABLES)):
        raise StoreError(f"expected tables that can be cleaned, found {', '.join(unknown)}", hint=", ".join(TABLES))
    found: dict[str, int] = {}
    if _RUNS in tables:
        parts = _old_runs(store, before, pretend=pretend)
        found[_RUNS] = sum(len(part) if pretend else store.delete_runs([run.key for run in part]) for part in parts)
    found |= {table: store.forget_old(table, before, pretend=pretend) for table in AGES if table in tables}
    if _DAGS in tables:
        found[_DAGS] = store.delete_unused_dags(pretend=pretend)
    return found


def _old_runs(store: Store, before: datetime, *, pretend: bool) -> Iterator[Sequence[Run]]:
    """In parts, the oldest first; each part is to be deleted before the next, unless this is for pretence."""
    newest: dict[str, Collection[str]] = {}
    skip = 0
    while True:
        wanted = RunFilter(states=RUN_FINISHED, ended_before=before, oldest_first=True, limit=_AT_ONCE, offset=skip)
        found = store.find_runs(wanted)
        for dag_id in {run.key.dag_id for run in found} - newest.keys():
            newest[dag_id] = _newest(store, dag_id)
        old = [run for run in found if run.key.run_id not in newest[run.key.dag_id]]
        if old:
            yield old
        skip += len(found) if pretend else len(found) - len(old)
        if len(found) < _AT_ONCE:
            return


def _newest(store: Store, dag_id: str) -> frozenset[str]:
    scheduled = RunFilter(dag_id=dag_id, types=["scheduled"], by_date=True, limit=1)
    found = [*store.find_runs(RunFilter(dag_id=dag_id, limit=1)), *store.find_runs(scheduled)]
    return frozenset(run.key.run_id for run in found)


def delete_dag(store: Store, dag_id: str) -> int:
    """Forget a DAG with its runs; gives how many runs. Events of assets and the log stay.

    ConflictError while a run of it is worked on. A DAG whose file is still there comes back when it's loaded again.
    """
    now = store.now()
    for run in store.list_runs(dag_id=dag_id, states=[RunState.QUEUED, RunState.RUNNING], limit=_AT_ONCE):
        if run.owner and run.lease_until is not None and run.lease_until > now:
            raise ConflictError(
                f"a run of {dag_id!r} is worked on", where=run.key.run_id, hint="end it first: airdock runs cancel"
            )
    deleted = 0
    while found := store.list_runs(dag_id=dag_id, limit=_AT_ONCE):
        deleted += store.delete_runs([run.key for run in found])
    store.forget_all_of(dag_id)
    store.delete_unused_dags()
    return deleted
