"""How far a transfer is: one line on a terminal that is written over, and nothing anywhere else."""

import sys
import time
from types import TracebackType
from typing import Final, Self

from airdock.cli.units import render_size

__all__ = ["Meter"]

_PAUSE_S: Final = 0.1
_CLEAR: Final = "\r\x1b[K"


class Meter:
    """Counts bytes on stderr while a block runs; `quiet`, or a stderr that is no terminal, shows nothing."""

    def __init__(self, what: str, *, quiet: bool = False) -> None:
        self._what = what
        self._shows = not quiet and sys.stderr.isatty()
        self._done = 0
        self._total = 0
        self._next = 0.0
        self._shown = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown:
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()

    def add(self, size: int) -> None:
        """So many bytes more."""
        self._done += size
        self._draw()

    def set(self, done: int, total: int) -> None:
        """So many of all there are."""
        self._done, self._total = done, total
        self._draw()

    def _draw(self) -> None:
        if not self._shows or (now := time.monotonic()) < self._next:
            return
        self._next = now + _PAUSE_S
        of = f" of {render_size(self._total)}" if self._total else ""
        sys.stderr.write(f"{_CLEAR}{self._what} {render_size(self._done)}{of}")
        sys.stderr.flush()
        self._shown = True
