"""Runs tries on this machine, a number of them side by side."""

import os
import threading
from collections import deque
from collections.abc import Collection, Sequence

from airdock.clock import Clock, SystemClock
from airdock.executors.base import Capacity, Emit, Event, Executor, Finished, RunInfo, Supervise, Waiting
from airdock.model.keys import TryKey
from airdock.model.outcome import Lost, Outcome, Times
from airdock.model.workload import Workload

__all__ = ["LocalExecutor", "default_slots"]

_FEWEST_SLOTS = 4


def default_slots() -> int:
    """Twice the processors this process may use, at least 4: tasks wait for disks and other machines too."""
    return max(2 * len(os.sched_getaffinity(0)), _FEWEST_SLOTS)


class LocalExecutor(Executor):
    """Hands tries to a `Supervise`, at most `slots` at a time; the rest waits in the order it came."""

    name = "local"

    def __init__(self, *, supervise: Supervise, slots: int | None = None, clock: Clock | None = None) -> None:
        self._supervise = supervise
        self._slots = slots or default_slots()
        self._clock = clock or SystemClock()
        self._emit: Emit = lambda _event: None
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Workload, RunInfo]] = deque()
        self._running: set[TryKey] = set()
        self._is_open = True

    def subscribe(self, emit: Emit) -> None:
        self._emit = emit

    def start(self) -> None:
        self._supervise.start()

    def submit(self, workloads: Sequence[Workload], *, run_info: RunInfo) -> None:
        with self._lock:
            is_open = self._is_open
            if is_open:
                self._line_up(workloads, run_info)
        if is_open:
            self._run_next()
        else:
            self._lose([workload.key for workload in workloads], "the executor was stopped")

    def _line_up(self, workloads: Sequence[Workload], run_info: RunInfo) -> None:
        room = max(self._slots - len(self._running) - len(self._waiting), 0)
        for workload in workloads[room:]:
            self._emit(Waiting(key=workload.key, reason="slot"))
        self._waiting.extend((workload, run_info) for workload in workloads)

    def _run_next(self) -> None:
        while (chosen := self._choose()) is not None:
            workload, run_info = chosen
            self._supervise.run(workload, run_info=run_info, emit=self._pass_on)

    def _choose(self) -> tuple[Workload, RunInfo] | None:
        with self._lock:
            if not self._waiting or len(self._running) >= self._slots:
                return None
            chosen = self._waiting.popleft()
            self._running.add(chosen[0].key)
            return chosen

    def _pass_on(self, event: Event) -> None:
        is_end = isinstance(event, Finished)
        if is_end:  # before it is told, so that whoever hears of it finds the slot free
            with self._lock:
                self._running.discard(event.key)
        self._emit(event)
        if is_end:
            self._run_next()

    def cancel(self, keys: Collection[TryKey]) -> None:
        wanted = set(keys)
        with self._lock:
            waiting = [workload.key for workload, _ in self._waiting if workload.key in wanted]
            self._waiting = deque(each for each in self._waiting if each[0].key not in wanted)
            running = self._running & wanted
        self._lose(waiting, "cancelled")
        for key in running:
            self._supervise.cancel(key)

    def _lose(self, keys: Collection[TryKey], reason: str) -> None:
        """End tries that never began; nothing needs to be kept for them, because nothing of them would be lost."""
        for key in keys:
            outcome = Outcome(ending=Lost(reason=reason), times=Times(ended=self._clock.now()))
            self._emit(Finished(key=key, outcome=outcome))

    def adopt(self, keys: Collection[TryKey]) -> frozenset[TryKey]:
        told: set[TryKey] = set()

        def pass_on(event: Event) -> None:
            told.add(event.key)
            self._emit(event)

        with self._lock:  # a run may come back to the process that ran its tries all along
            own = self._running | {workload.key for workload, _ in self._waiting}
        self._supervise.recover(emit=pass_on)
        return frozenset(keys) & (told | own)

    def capacity(self) -> Capacity:
        return Capacity(slots=self._slots)

    def ack(self, event: Finished) -> None:
        self._supervise.ack(event.key)

    def stop(self) -> None:
        with self._lock:
            self._is_open = False
            waiting = [workload.key for workload, _ in self._waiting]
            self._waiting.clear()
        self._lose(waiting, "the executor was stopped")
        self._supervise.stop()

    def join(self) -> None:
        self._supervise.join()
