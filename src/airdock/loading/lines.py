"""The lines that a DAG file prints while it is loaded: a bounded number, of bounded length, within a time."""

import os
import select
import time
from collections.abc import Callable
from typing import Final

__all__ = ["tell_lines"]

_TOLD_LINES: Final = 1000
"""How many lines of what a file prints are told: what comes after is read and dropped."""
_LINE_BYTES: Final = 4096


def tell_lines(descriptor: int, ended: int, tell: Callable[[str], None], limit_s: float) -> None:
    """Hand on lines until the process ended whose output they are. Raises TimeoutError when that takes `limit_s`.

    `ended` becomes readable with its end: a process that it left behind may hold its output open. A line is cut where
    it is too long, and lines are dropped where there are too many.
    """
    lines = _Lines(tell)
    deadline = time.monotonic() + limit_s
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    poll.register(ended, select.POLLIN)
    os.set_blocking(descriptor, False)
    while True:
        left_s = deadline - time.monotonic()
        ready = dict(poll.poll(left_s * 1000)) if left_s > 0 else {}
        if not ready:
            raise TimeoutError
        if descriptor in ready and not lines.take(descriptor):
            poll.unregister(descriptor)
        elif ended in ready:
            break
    lines.end(descriptor)


class _Lines:
    """Lines cut out of what is read."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._kept = b""
        self._left = _TOLD_LINES

    def take(self, descriptor: int) -> bool:
        """Tell what is there, at most one piece; False where nothing more will come."""
        try:
            piece = os.read(descriptor, 1 << 16)
        except BlockingIOError:
            return True
        *whole, kept = (self._kept + piece).split(b"\n")
        self._kept = kept[:_LINE_BYTES]
        for line in whole:
            self._say(line)
        return bool(piece)

    def end(self, descriptor: int) -> None:
        """Tell what was printed last, without waiting."""
        deadline = time.monotonic() + 1  # whoever it left behind may print for ever
        while time.monotonic() < deadline and select.select([descriptor], [], [], 0)[0] and self.take(descriptor):
            pass
        if self._kept:
            self._say(self._kept)

    def _say(self, line: bytes) -> None:
        self._left -= 1
        if self._left >= 0:
            self._tell(line[:_LINE_BYTES].decode(errors="replace"))
        elif self._left == -1:
            self._tell(f"(more than {_TOLD_LINES} lines: the rest is left out)")
