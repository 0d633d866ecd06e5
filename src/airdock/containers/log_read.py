"""What a container printed, read back from its log files: the last lines, a stretch of time, and what follows."""

import json
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from airdock.record import positional

__all__ = ["LogEntry", "LogReader"]

_BLOCK: Final = 64 * 1024


@positional
class LogEntry:
    """One line, or a piece of one: `text` ends with a line end where the line does. `time` is RFC 3339."""

    stream: str
    time: str
    text: str


class LogReader:
    """Reads one container's log; files that are rotated while it is read are read to their end.

    `since` and `until` are RFC 3339 in UTC, as the entries' times are, or empty.
    """

    def __init__(self, path: Path, *, since: str = "", until: str = "") -> None:
        self._path = path
        self._since = since
        self._until = until
        self._file: IO[bytes] | None = None
        self._rest = b""

    def read(self, tail: int | None = None) -> Iterator[LogEntry]:
        """The entries there are, the oldest first; of them the last `tail`, where that is given."""
        if tail is None:
            for number in reversed(range(1, self._count())):
                with open(f"{self._path}.{number}", "rb") as file:
                    yield from self._chosen(file)
            yield from self.more()
        else:
            yield from self._read_last(tail)

    def more(self) -> Iterator[LogEntry]:
        """What was added since the last read, also over a rotation."""
        while True:
            if self._file is None and not self._reopen():
                return
            assert self._file is not None
            before = os.fstat(self._file.fileno()).st_ino
            yield from self._chosen(self._file)
            try:
                if self._path.stat().st_ino == before:
                    return
            except FileNotFoundError:
                return  # it is being rotated, or removed
            yield from self._chosen(self._file)  # what came before it was rotated
            self._file.close()
            self._file = None

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _read_last(self, tail: int) -> Iterator[LogEntry]:
        kept: deque[LogEntry] = deque(maxlen=tail)
        if self._reopen():
            assert self._file is not None
            if not (self._since or self._until):
                _seek_back(self._file, tail)
            kept.extend(self._chosen(self._file))
        for number in range(1, self._count()):
            if len(kept) >= tail:
                break
            with open(f"{self._path}.{number}", "rb") as file:
                older: deque[LogEntry] = deque(self._chosen(file), maxlen=tail - len(kept))
            kept.extendleft(reversed(older))
        yield from kept

    def _chosen(self, file: IO[bytes]) -> Iterator[LogEntry]:
        while line := file.readline():
            if not line.endswith(b"\n"):
                self._rest += line  # it is being written
                return
            line, self._rest = self._rest + line, b""
            try:
                value = json.loads(line)
                entry = LogEntry(value["stream"], value["time"], value["log"])
            except (ValueError, KeyError, TypeError):
                continue  # the machine went down while it was written
            if self._since <= entry.time and (not self._until or entry.time <= self._until):
                yield entry

    def _reopen(self) -> bool:
        try:
            self._file = self._path.open("rb")
        except FileNotFoundError:
            return False
        return True

    def _count(self) -> int:
        number = 1
        while os.path.exists(f"{self._path}.{number}"):  # noqa: PTH110 - a number at the end is no path of its own
            number += 1
        return number


def _seek_back(file: IO[bytes], lines: int) -> None:
    """Go to where the last `lines` lines of a file begin."""
    position = file.seek(0, os.SEEK_END)
    found = 0
    while position > 0 and found <= lines:
        step = min(_BLOCK, position)
        position -= step
        file.seek(position)
        block = file.read(step)
        for index in range(len(block) - 1, -1, -1):
            if block[index] == 0x0A:
                found += 1
                if found > lines:
                    file.seek(position + index + 1)
                    return
    file.seek(0)
