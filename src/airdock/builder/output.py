"""What a step prints, as lines: told as they come, the last ones kept for the error message."""

from collections import deque
from typing import Final

from airdock.model.progress import BuildOutput, Report

__all__ = ["StepOutput"]

_KEPT_LINES: Final = 40
_LONGEST_LINE: Final = 16 * 1024
"""In bytes; longer ones are told in parts, so that output without line ends can't fill the memory."""


class StepOutput:
    """Takes bytes in pieces of any size; `close` tells what is left of the last line."""

    def __init__(self, *, build: str, report: Report, step: int = 0) -> None:
        self._build = build
        self._step = step
        self._report = report
        self._rest = b""
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)

    @property
    def tail(self) -> str:
        """The last lines."""
        return "\n".join(self._lines)

    def write(self, piece: bytes) -> None:
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            self._tell(line)
        while len(self._rest) > _LONGEST_LINE:
            self._tell(self._rest[:_LONGEST_LINE])
            self._rest = self._rest[_LONGEST_LINE:]

    def close(self) -> None:
        if self._rest:
            self._tell(self._rest)
        self._rest = b""

    def _tell(self, line: bytes) -> None:
        # Progress bars write over their line; what counts is what stands there in the end.
        shown = line.rstrip(b"\r").rpartition(b"\r")[2].decode(errors="replace")
        self._lines.append(shown)
        self._report(BuildOutput(build=self._build, step=self._step, line=shown))
