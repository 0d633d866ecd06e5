"""Which runs an owner gets. Pure."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from airdock.model.states import RunState
from airdock.store.records import Run

__all__ = ["choose", "is_free"]


def is_free(run: Run, *, owner: str, now: datetime, displacing: Collection[str] = ()) -> bool:
    """Whether this owner may have the run."""
    is_live = run.lease_until is not None and run.lease_until > now
    return run.owner in ("", owner) or run.owner in displacing or not is_live


def choose(
    runs: Iterable[Run],
    *,
    owner: str,
    now: datetime,
    displacing: Collection[str],
    begun: Mapping[tuple[str, int | None], int],
    room: Mapping[str, int],
    backfills: Mapping[int, int],
) -> list[Run]:
    """Those of the runs that the owner gets, see `Store.take_runs`.

    `begun` says how many runs are running or about to, by DAG and backfill; `backfills` how many each backfill may.
    """
    counts = Counter(dict(begun))
    taken = []
    for run in runs:
        if not is_free(run, owner=owner, now=now, displacing=displacing):
            continue
        place = (run.key.dag_id, run.backfill)
        if run.state is RunState.QUEUED and not _is_about_to_begin(run, now):
            limit = room.get(run.key.dag_id) if run.backfill is None else backfills.get(run.backfill)
            if limit is not None and counts[place] >= limit:
                continue
            counts[place] += 1
        taken.append(run)
    return taken


def _is_about_to_begin(run: Run, now: datetime) -> bool:
    return bool(run.owner) and run.lease_until is not None and run.lease_until > now
