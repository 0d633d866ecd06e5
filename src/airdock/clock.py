"""Where time comes from: a contract, the machine's clock, and one that is set by hand."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

__all__ = ["Clock", "ManualClock", "SystemClock"]


class Clock(Protocol):
    """Wall time for records, monotonic time for durations and deadlines.

    `now` is timezone-aware UTC. `monotonic` is in seconds, never goes back, and means nothing across processes
    of different boots.
    """

    def now(self) -> datetime: ...

    def monotonic(self) -> float: ...


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


@dataclass(kw_only=True, slots=True)
class ManualClock:
    """A clock that stands still until it is moved: for replay and for tests of anything that waits."""

    at: datetime = field(default_factory=lambda: datetime(2026, 1, 1, tzinfo=UTC))
    elapsed_s: float = 0.0

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.elapsed_s

    def advance(self, by: timedelta) -> None:
        """Move both clocks forward."""
        self.at += by
        self.elapsed_s += by.total_seconds()
