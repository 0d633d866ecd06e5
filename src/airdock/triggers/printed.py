"""What triggers print and log, told from what else their process does: whose a line is, its asyncio task says.

Threads that `asyncio.to_thread` starts inherit that. Lines go over a connection of their own, which blocks as a pipe
does: one that prints without end waits for its reader, and fills nobody's memory.

    out    {"type": "log", "id": n, "text": "whole lines, without the last end"}    {"type": "done", "id": n}
"""

import io
import logging
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, Final, TextIO

__all__ = ["Printed", "whose"]

whose: Final[ContextVar[int]] = ContextVar("airdock_trigger", default=0)
"""The id of the trigger that this is the work of; 0 is nobody's."""

_MOST: Final = 256 * 1024
"""Characters sent at once, and kept while an end of line is waited for."""


class Printed:
    """Takes what triggers write to the streams that `install` puts in place. Any thread may write.

    `frame` makes bytes of a message. What can't be sent is written where the process itself writes.
    """

    def __init__(self, connection: socket.socket, frame: Callable[[Mapping[str, Any]], bytes]) -> None:
        self._connection, self._frame = connection, frame
        self._lock = threading.RLock()
        self._begun: dict[int, dict[TextIO, str]] = {}
        self._is_open = True

    def install(self) -> None:
        """Let standard output, standard error and the root logger be of the trigger that writes to them."""
        sys.stdout, sys.stderr = _Stream(sys.stdout, self), _Stream(sys.stderr, self)
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(levelname)s - %(message)s"))
        logging.basicConfig(level=logging.INFO, handlers=[handler])

    def take(self, id: int, beside: TextIO, text: str) -> None:
        """Send the lines that `text` completes; `beside` is where it would have been written."""
        with self._lock:
            lines = self._begun.setdefault(id, {})
            begun = lines.pop(beside, "")
            begun += text
            whole, end, rest = begun.rpartition("\n")
            if len(rest) > _MOST:
                whole, end, rest = begun, "\n", ""
            if rest:
                lines[beside] = rest
            if end:
                self._send_lines(id, beside, whole)

    def end(self, id: int) -> None:
        """The trigger writes no more."""
        with self._lock:
            for beside, rest in self._begun.pop(id, {}).items():
                self._send_lines(id, beside, rest)
            self._send({"type": "done", "id": id})

    def _send_lines(self, id: int, beside: TextIO, text: str) -> None:
        for part in _parts(text):
            if not self._send({"type": "log", "id": id, "text": part}):
                beside.write(part + "\n")

    def _send(self, message: Mapping[str, Any]) -> bool:
        if self._is_open:
            try:
                self._connection.sendall(self._frame(message))
            except OSError:
                self._is_open = False
        return self._is_open


class _Stream(io.TextIOBase):
    """A standard stream, but for what triggers write to it."""

    def __init__(self, beside: TextIO, printed: Printed) -> None:
        self._beside, self._printed = beside, printed

    def write(self, text: str) -> int:
        if id := whose.get():
            self._printed.take(id, self._beside, text)
            return len(text)
        return self._beside.write(text)

    def flush(self) -> None:
        self._beside.flush()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._beside.fileno()

    @property
    def buffer(self) -> Any:
        return self._beside.buffer

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._beside.encoding


def _parts(text: str) -> Iterator[str]:
    """The text in pieces that may be sent, cut between lines where that can be."""
    start = 0
    while len(text) - start > _MOST:
        cut = text.rfind("\n", start, start + _MOST + 1)
        end = start + _MOST if cut < 0 else cut
        yield text[start:end]
        start = end if cut < 0 else end + 1
    yield text[start:]
