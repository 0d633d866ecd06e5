"""One thread that waits for many descriptors and timers and calls back, so that no try needs a thread of its own."""

import heapq
import itertools
import logging
import os
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

__all__ = ["READ", "WRITE", "Loop", "Timer"]

READ: Final = selectors.EVENT_READ
WRITE: Final = selectors.EVENT_WRITE

_log = logging.getLogger(__name__)


@dataclass(order=True, slots=True)
class Timer:
    """A call that is due at a point of the monotonic clock, unless it is cancelled first."""

    due: float
    order: int
    callback: Callable[[], None] | None = field(compare=False)

    def cancel(self) -> None:
        self.callback = None


class Loop:
    """Calls back from its own thread. Only `post`, `stop` and `join` may be called from other threads.

    A callback that raises is logged and costs the others nothing. `stop` ends the loop once what was posted before it
    has been called; what is watched or due after that is forgotten, and stays its owner's to close.
    """

    def __init__(self, name: str) -> None:
        self._selector = selectors.DefaultSelector()
        self._posted: deque[Callable[[], None] | None] = deque()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._selector.register(self._wake, READ, self._woken)
        self._timers: list[Timer] = []
        self._order = itertools.count()
        self._running = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._running = True
        self._thread.start()

    def stop(self) -> None:
        self._posted.append(None)
        self._wake_up()

    def join(self) -> None:
        """Wait for the thread to end and close what the loop itself holds."""
        if self._thread.ident is not None:
            self._thread.join()
        if self._wake >= 0:
            self._selector.close()
            os.close(self._wake)
            self._wake = -1

    def post(self, callback: Callable[[], None]) -> None:
        """Have `callback` called soon, in order with the others that were posted. From any thread."""
        self._posted.append(callback)
        self._wake_up()

    def time(self) -> float:
        """The clock of the timers: the machine's monotonic one, in seconds."""
        return time.monotonic()

    def at(self, due: float, callback: Callable[[], None]) -> Timer:
        """Have `callback` called once `time` has reached `due`. From the loop's thread."""
        timer = Timer(due, next(self._order), callback)
        heapq.heappush(self._timers, timer)
        return timer

    def watch(self, descriptor: int, events: int, callback: Callable[[], None]) -> None:
        """Call `callback` whenever the descriptor is ready; watching it again replaces what was said before."""
        if descriptor in self._selector.get_map():
            self._selector.modify(descriptor, events, callback)
        else:
            self._selector.register(descriptor, events, callback)

    def unwatch(self, descriptor: int) -> None:
        """Stop watching. Idempotent; to be called before the descriptor is closed."""
        if descriptor >= 0 and descriptor in self._selector.get_map():
            self._selector.unregister(descriptor)

    def _wake_up(self) -> None:
        if self._wake >= 0:
            os.eventfd_write(self._wake, 1)

    def _woken(self) -> None:
        os.eventfd_read(self._wake)
        while self._posted:
            callback = self._posted.popleft()
            if callback is None:
                self._running = False
                return
            self._call(callback)

    def _run(self) -> None:
        while self._running:
            for key, _ in self._selector.select(self._pause()):
                # What an earlier callback of this round stopped watching isn't called any more.
                if self._running and self._selector.get_map().get(key.fd) == key:
                    self._call(key.data)
            self._ring()

    def _pause(self) -> float | None:
        return max(0.0, self._timers[0].due - time.monotonic()) if self._timers else None

    def _ring(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0].due <= now:
            timer = heapq.heappop(self._timers)
            if timer.callback is not None:
                self._call(timer.callback)

    def _call(self, callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception:
            _log.exception("a callback of %s failed", self._thread.name)
