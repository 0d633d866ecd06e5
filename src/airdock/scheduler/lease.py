"""How fresh a scheduler's lease of its runs is, for those who watch over its tries from other threads."""

from collections.abc import Sequence
from datetime import timedelta

from airdock.clock import Clock
from airdock.errors import ConflictError
from airdock.scheduler.owner import Owner
from airdock.store.records import SchedulerRow

__all__ = ["Lease", "has_company"]


class Lease:
    """A lease of `length_s` seconds; a scheduler of another machine may take over the runs of one that is over.

    A try has half of it: whoever runs it asks `check` before each half, and so has ended it before the whole is over.
    """

    def __init__(self, length_s: float, clock: Clock) -> None:
        self.length_s, self._clock = length_s, clock
        self._since = clock.monotonic()
        self._is_wanted = False

    @property
    def of_tries_s(self) -> float:
        return self.length_s / 2

    def renewed(self, asked_at: float) -> None:
        """The store granted it, which was asked for at this time of the monotonic clock."""
        self._since, self._is_wanted = asked_at, False

    def want(self) -> None:
        """Have it renewed at once."""
        self._is_wanted = True

    @property
    def due_s(self) -> float:
        """In how many seconds to renew it; three times before it is over."""
        return 0.0 if self._is_wanted else self._since + self.length_s / 3 - self._clock.monotonic()

    def check(self) -> None:
        """ConflictError where it was not renewed for so long that no try may count on it."""
        age_s = self._clock.monotonic() - self._since
        if age_s > self.length_s - self.of_tries_s:
            raise ConflictError(f"the scheduler's lease was not renewed for {age_s:.1f} s")


def has_company(rows: Sequence[SchedulerRow], owner: str, *, missing_s: float) -> bool:
    """Whether a scheduler of another machine was seen lately, by the store's clock, which sees `owner` often."""
    own = Owner.parse(owner)
    seen = {Owner.parse(row.owner): row.seen for row in rows}
    if own not in seen:  # it hasn't said yet that it is there
        return False
    late = seen[own] - timedelta(seconds=missing_s)
    return any(at > late for other, at in seen.items() if other.place != own.place)
