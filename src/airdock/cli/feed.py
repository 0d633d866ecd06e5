"""From any thread into one: events wait in a queue, and one thread folds them into the board and lets the view draw."""

import queue
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from airdock.cli.board import Board
from airdock.clock import Clock
from airdock.model.progress import Progress

if TYPE_CHECKING:
    from airdock.cli.summary import Summary  # builds have none

__all__ = ["Feed", "View"]


class View(Protocol):
    """Shows a run. All three are called from one thread at a time.

    `show` gets each event after the board took it in. `draw` is called at most ten times a second, and only where
    `draws` is true. `close` leaves the terminal as it was and shows the summary, which is None where the run broke
    off.
    """

    draws: bool

    def show(self, event: Progress, board: Board, now: float) -> None: ...

    def draw(self, board: Board, now: float) -> None: ...

    def close(self, summary: "Summary | None") -> None: ...


class Feed:
    """A `Report` that hands everything to a view, in the order it came.

    The thread starts with the first event, not before: a process that has threads can't fork a launcher cheaply.
    """

    def __init__(
        self, view: View, *, clock: Clock, names: Mapping[str, str] | None = None, frame_s: float = 0.1
    ) -> None:
        """`names` says what images are called, by digest."""
        self.board = Board(labels=dict(names or {}))
        self._view = view
        self._clock = clock
        self._frame_s: Final = frame_s
        self._started = clock.monotonic()
        self._queue: queue.SimpleQueue[Progress | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._broken: Exception | None = None

    def __call__(self, event: Progress) -> None:
        """Take one event and come back at once."""
        self._queue.put(event)
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._loop, name="view", daemon=True)
                    self._thread.start()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the feed was made."""
        return self._clock.monotonic() - self._started

    def close(self, make_summary: Callable[[Board], "Summary"] | None = None) -> None:
        """Show what still waits, then the summary; raises what the view raised, such as a closed pipe."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
        if self._broken is not None:
            raise self._broken
        self._view.close(make_summary(self.board) if make_summary else None)

    def _loop(self) -> None:
        due = 0.0
        while True:
            now = self.elapsed_s
            if self._view.draws and now >= due:
                self._guard(partial(self._view.draw, self.board, now))
                due = now + self._frame_s
            try:
                event = self._queue.get(timeout=max(due - self.elapsed_s, 0.0) if self._view.draws else None)
            except queue.Empty:
                continue
            if event is None:
                return
            now = self.elapsed_s
            self.board.apply(event, now)
            self._guard(partial(self._view.show, event, self.board, now))

    def _guard(self, act: Callable[[], None]) -> None:
        # A view that can't show (its pipe was closed) must not stop the run, whose tasks matter more.
        if self._broken is None:
            try:
                act()
            except Exception as error:
                self._broken = error
