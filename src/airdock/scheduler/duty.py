"""What a scheduler does besides driving runs: claiming runs, and whatever else is due from time to time."""

import logging
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Protocol

from airdock.scheduler.course import Course
from airdock.store.records import Run

__all__ = ["Duties", "Duty", "Intake"]

_log = logging.getLogger(__name__)

Duty = Callable[[datetime], float | None]
"""Does what is due at this time (UTC); returns in how many seconds it wants to be called again, None for its pace."""


class Intake(Protocol):
    """Claims runs for this scheduler: new ones, and those whose owner died."""

    @property
    def pause_s(self) -> float:
        """How long after a look the next one comes where nobody tells of anything."""

    def claim(self, courses: Collection[Course], *, now: datetime) -> list[Run]:
        """The runs that are this scheduler's from now on; `courses` are those that it works on already."""


class Duties:
    """Calls each duty when its time has come, or at once after `look`; one that raises is logged and called again."""

    def __init__(self) -> None:
        self._duties: list[tuple[float, Duty]] = []
        self._due: list[float] = []

    def add(self, pace_s: float, duty: Duty) -> None:
        """Call it at once, then at this pace, unless it names a time itself."""
        self._duties.append((pace_s, duty))
        self._due.append(0.0)

    def look(self) -> None:
        """Something changed: all are due."""
        self._due = [0.0] * len(self._duties)

    def pause_s(self, at: float) -> float | None:
        """How long nothing is due, by the monotonic clock; None is for ever."""
        return max(min(self._due) - at, 0.0) if self._due else None

    def do(self, now: datetime, at: float) -> None:
        """Call those that are due at `at`, by the monotonic clock."""
        for number, (pace_s, duty) in enumerate(self._duties):
            if self._due[number] <= at:
                self._due[number] = at + pace_s
                self._due[number] = at + self._call(duty, now, pace_s)

    def _call(self, duty: Duty, now: datetime, pace_s: float) -> float:
        try:
            pause_s = duty(now)
        except Exception:
            _log.exception("a duty of the scheduler failed; it is tried again")
            return pace_s
        return pace_s if pause_s is None else min(pause_s, pace_s)
