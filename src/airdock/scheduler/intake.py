"""Claims runs for a scheduler that serves: those that wait to begin, and those whose owner is gone."""

import contextlib
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Final

from airdock.clock import Clock, SystemClock
from airdock.errors import ConflictError
from airdock.model.states import RUN_FINISHED, RunState
from airdock.scheduler.course import Course
from airdock.scheduler.owner import is_alive, is_dead
from airdock.store.base import Store
from airdock.store.records import Run

__all__ = ["StoreIntake"]

_LOOK: Final = 10_000
"""How many of the newest unfinished runs are looked at."""
_OPEN: Final = (RunState.QUEUED, RunState.RUNNING)


class StoreIntake:
    """Takes unfinished runs of the DAGs that `knows` says yes to, at most `max_active(dag_id)` of one DAG at a time.

    An owner of this machine is displaced as soon as it is dead, and not before: one that can't renew its lease, or
    after a clock was set, may have tasks that run. One of another machine is displaced when its lease is over; but not
    by who could not reach the store for a while itself, until it had the time to renew its lease, nor within
    `strangers_s` of the first look, in which it learns that somebody else is there.
    """

    def __init__(
        self,
        *,
        store: Store,
        owner: str,
        lease_s: float,
        knows: Callable[[str], bool] = lambda _dag_id: True,
        max_active: Callable[[str], int | None] = lambda _dag_id: None,
        strangers_s: float = 0.0,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._looked: float | None = None
        self._spares_until = self._clock.monotonic() + strangers_s
        self._store, self._owner, self._lease_s = store, owner, lease_s
        self._knows, self._max_active = knows, max_active
        self._has_looked_back = False

    @property
    def pause_s(self) -> float:
        return self._lease_s / 3

    def claim(self, courses: Collection[Course], *, now: datetime) -> list[Run]:
        """The oldest first; those of a backfill in the order in which they were made."""
        self._look_back()
        spares = self._spares_strangers()
        held = {course.run.key for course in courses}
        is_open = self._store.list_runs(states=_OPEN, limit=_LOOK)
        others = {run.owner for run in is_open} - {self._owner}
        kept = {owner for owner in others if is_alive(owner) or (spares and owner and not is_dead(owner))}
        due = [run for run in reversed(is_open) if run.key not in held and run.owner not in kept and _is_due(run, now)]
        wanted = sorted((run for run in due if self._knows(run.key.dag_id)), key=_rank)
        limits = {dag_id: self._max_active(dag_id) for dag_id in {run.key.dag_id for run in wanted}}
        if not wanted:
            return []
        return self._store.take_runs(
            [run.key for run in wanted],
            owner=self._owner,
            lease_s=self._lease_s,
            displacing=[owner for owner in {run.owner for run in wanted} if is_dead(owner)],
            room={dag_id: limit for dag_id, limit in limits.items() if limit is not None},
        )

    def _spares_strangers(self) -> bool:
        """Whether owners of other machines keep their runs, whatever their leases say."""
        at = self._clock.monotonic()
        if self._looked is not None and at - self._looked > 2 * self.pause_s:
            self._spares_until = max(self._spares_until, at + self._lease_s)
        self._looked = at
        return at < self._spares_until

    def _look_back(self) -> None:
        """Once: let go of runs that ended, and whose owner died before it could."""
        if self._has_looked_back:
            return
        self._has_looked_back = True
        for run in self._store.list_runs(states=RUN_FINISHED, limit=_LOOK):
            if is_dead(run.owner):
                with contextlib.suppress(ConflictError):  # somebody else does it right now
                    self._store.take_run(run.key, owner=self._owner, lease_s=self._lease_s, displacing=run.owner)
                    self._store.release_run(run.key, owner=self._owner)


def _is_due(run: Run, now: datetime) -> bool:
    date = run.logical_date or now
    return date <= now and (run.run_after or date) <= now


def _rank(run: Run) -> tuple[datetime, datetime]:
    return (run.created if run.backfill is not None else run.logical_date or run.created, run.created)
