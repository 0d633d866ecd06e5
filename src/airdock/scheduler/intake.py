"""Claims runs for a scheduler that serves: those that wait to begin, and those whose owner is gone."""

from collections import Counter
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Final

from airdock.errors import ConflictError, StoreError
from airdock.model.keys import RunKey
from airdock.model.states import RUN_FINISHED, RunState
from airdock.scheduler.course import Course
from airdock.scheduler.owner import Owner
from airdock.store.base import Store
from airdock.store.records import Run

__all__ = ["StoreIntake"]

_LOOK: Final = 10_000
"""How many of the newest runs are looked at."""


class StoreIntake:
    """Takes unfinished runs of the DAGs that `knows` says yes to, at most `max_active(dag_id)` of one DAG at a time.

    An owner of this machine that is known to be dead is displaced at once, another when its lease is over.
    """

    def __init__(
        self,
        *,
        store: Store,
        owner: str,
        lease_s: float,
        knows: Callable[[str], bool] = lambda _dag_id: True,
        max_active: Callable[[str], int | None] = lambda _dag_id: None,
    ) -> None:
        self._store, self._owner, self._lease_s = store, owner, lease_s
        self._knows, self._max_active = knows, max_active

    @property
    def pause_s(self) -> float:
        return self._lease_s / 3

    def claim(self, courses: Collection[Course], *, now: datetime) -> list[Run]:
        """The oldest first."""
        held = {course.run.key for course in courses}
        runs = self._store.list_runs(limit=_LOOK)
        self._release([run for run in runs if run.state in RUN_FINISHED and run.owner and run.key not in held])
        is_open = [run for run in runs if run.state not in RUN_FINISHED]
        running = Counter(run.key.dag_id for run in is_open if run.state is RunState.RUNNING or run.key in held)
        claimed = []
        for run in sorted(is_open, key=lambda run: (run.logical_date or run.created, run.created)):
            if run.key in held or not self._knows(run.key.dag_id) or not self._is_due(run, now):
                continue
            limit = self._max_active(run.key.dag_id)
            if run.state is RunState.QUEUED and limit is not None and running[run.key.dag_id] >= limit:
                continue
            if (taken := self._take(run.key, run.owner)) is not None:
                running[run.key.dag_id] += run.state is RunState.QUEUED
                claimed.append(taken)
        return claimed

    def _release(self, ended: Collection[Run]) -> None:
        """Let go of runs that ended, and whose owner died before it could."""
        for run in ended:
            if _is_dead(run.owner) and self._take(run.key, run.owner) is not None:
                self._store.release_run(run.key, owner=self._owner)

    def _is_due(self, run: Run, now: datetime) -> bool:
        return run.logical_date is None or run.logical_date <= now

    def _take(self, key: RunKey, owner: str) -> Run | None:
        try:
            return self._store.take_run(
                key, owner=self._owner, lease_s=self._lease_s, displacing=owner if _is_dead(owner) else ""
            )
        except ConflictError:
            return None  # it is somebody else's, who lives


def _is_dead(owner: str) -> bool:
    try:
        return bool(owner) and Owner.parse(owner).is_dead()
    except StoreError:
        return False
