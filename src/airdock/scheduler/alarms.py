"""When something is due in which run."""

import heapq
from collections.abc import Iterator
from datetime import datetime

from airdock.model.keys import RunKey

__all__ = ["Alarms"]


class Alarms:
    """A run may have several; one that rings for nothing does no harm."""

    def __init__(self) -> None:
        self._due: list[tuple[datetime, str, str]] = []

    def set(self, due: datetime | None, run: RunKey) -> None:
        """Ring for the run then; None is never."""
        if due is not None:
            heapq.heappush(self._due, (due, run.dag_id, run.run_id))

    @property
    def next(self) -> datetime | None:
        return self._due[0][0] if self._due else None

    def ring(self, now: datetime) -> Iterator[RunKey]:
        """The runs in which something is due by now, as often as it is."""
        while self._due and self._due[0][0] <= now:
            _, dag_id, run_id = heapq.heappop(self._due)
            yield RunKey(dag_id=dag_id, run_id=run_id)
