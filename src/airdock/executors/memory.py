"""The executor that ends everything at once, as it was told to: for dry runs, and for tests of whoever schedules."""

from collections.abc import Callable, Collection, Sequence

from airdock.clock import Clock, SystemClock
from airdock.executors.base import Capacity, Emit, Executor, Finished, RunInfo, Started
from airdock.model.keys import TryKey
from airdock.model.outcome import Ending, Lost, Outcome, Succeeded, Times
from airdock.model.workload import Workload

__all__ = ["MemoryExecutor"]


def _succeed(_workload: Workload) -> Ending:
    return Succeeded()


class MemoryExecutor(Executor):
    """Runs nothing. `script` says how each workload ends; None lets it run until it is cancelled.

    Endings that weren't acknowledged are kept in `kept`, which the next executor can be given, as if it came after a
    crash.
    """

    name = "memory"

    def __init__(
        self,
        *,
        script: Callable[[Workload], Ending | None] = _succeed,
        slots: int | None = None,
        clock: Clock | None = None,
        kept: dict[TryKey, Outcome] | None = None,
    ) -> None:
        self._script = script
        self._slots = slots
        self._clock = clock or SystemClock()
        self.kept = {} if kept is None else kept
        self._running: dict[TryKey, Workload] = {}
        self._emit: Emit = lambda _event: None

    def subscribe(self, emit: Emit) -> None:
        self._emit = emit

    def start(self) -> None: ...

    def submit(self, workloads: Sequence[Workload], *, run_info: RunInfo) -> None:
        for workload in workloads:
            self._emit(Started(key=workload.key, at=self._clock.now()))
            ending = self._script(workload)
            if ending is None:
                self._running[workload.key] = workload
            else:
                self._end(workload, ending)

    def _end(self, workload: Workload, ending: Ending) -> None:
        outcome = Outcome(ending=ending, digest=workload.digest, times=Times(ended=self._clock.now()))
        self.kept[workload.key] = outcome
        self._emit(Finished(key=workload.key, outcome=outcome))

    def cancel(self, keys: Collection[TryKey]) -> None:
        for key in keys:
            workload = self._running.pop(key, None)
            if workload is not None:
                self._end(workload, Lost(reason="cancelled"))

    def adopt(self, keys: Collection[TryKey]) -> frozenset[TryKey]:
        for key, outcome in list(self.kept.items()):
            self._emit(Finished(key=key, outcome=outcome))
        return frozenset(keys) & frozenset(self.kept)

    def capacity(self) -> Capacity:
        return Capacity(slots=self._slots)

    def ack(self, event: Finished) -> None:
        self.kept.pop(event.key, None)

    def stop(self) -> None:
        self.cancel(list(self._running))

    def join(self) -> None: ...
