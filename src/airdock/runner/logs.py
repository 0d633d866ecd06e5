"""The log of each try: plain lines with the time at which they were read.

logs/<dag>/<run>/<task>[/<map index>]/<try>.log
    2026-01-02T03:04:05.678Z what the task printed
"""

import hashlib
import os
from datetime import datetime
from pathlib import Path
from typing import Final

from airdock.clock import Clock
from airdock.model.keys import NOT_MAPPED, TryKey
from airdock.runner.secrets import Mask

__all__ = ["LINE_LIMIT", "LogFile", "LogStream", "folder_name", "log_path", "log_url", "run_folder", "tail"]

LINE_LIMIT: Final = 1024 * 1024
"""Bytes after which a line is broken."""
_BLOCK: Final = 64 * 1024
_NAME_BYTES: Final = 255


def log_path(root: Path, key: TryKey) -> Path:
    """Where the log of this try lies below `root`."""
    folder = run_folder(root, key.dag_id, key.run_id) / folder_name(key.task_id)
    if key.map_index != NOT_MAPPED:
        folder /= str(key.map_index)
    return folder / f"{key.try_number}.log"


def log_url(path: Path) -> str:
    """The log as a URL that its reader on this machine can open."""
    return path.absolute().as_uri()


def run_folder(root: Path, dag_id: str, run_id: str) -> Path:
    """The folder below `root` that belongs to one run."""
    return root / folder_name(dag_id) / folder_name(run_id)


def folder_name(text: str) -> str:
    """An id as the name of one folder: never a way up, never two folders, never longer than a name may be."""
    name = text.replace("%", "%25").replace("/", "%2F").replace("\0", "%00")
    if name.strip(".") == "":
        return name.replace(".", "%2E")
    if len(whole := os.fsencode(name)) <= _NAME_BYTES:
        return name
    # A name is measured in bytes, an id in characters: what is cut off still tells ids apart.
    return f"{whole[: _NAME_BYTES - 17].decode(errors='ignore')}~{hashlib.sha256(whole).hexdigest()[:16]}"


class LogFile:
    """A log that is written to. Whoever opened it closes it; after that, what is written is dropped.

    What can't be written, on a full disk, is dropped too: `lacking` says why, and whoever prints goes on. What `mask`
    knows is never written.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._clock = clock
        self.path = path
        self.lacking = ""
        self.mask = Mask()
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def write(self, lines: list[bytes]) -> None:
        """Append whole lines, given without their ends, with the time of now."""
        if self._descriptor < 0 or not lines:
            return
        stamp = _stamp(self._clock.now())
        data = memoryview(b"".join([stamp + self.mask.line(line) + b"\n" for line in lines]))
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError as error:
            self.lacking = error.strerror or str(error)

    def note(self, text: str) -> None:
        """Append what Airdock itself has to say about the try."""
        self.write([b"airdock: " + line.encode() for line in text.splitlines()])

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def _stamp(now: datetime) -> bytes:
    return now.replace(tzinfo=None).isoformat(timespec="milliseconds").encode() + b"Z "


class LogStream:
    """One of a try's output streams on its way into the log, cut into lines.

    `last_line` is the last whole line so far, without its end.
    """

    def __init__(self, log: LogFile, *, limit: int = LINE_LIMIT) -> None:
        self._log = log
        self._limit = limit
        self._partial = b""
        self.last_line = b""

    def feed(self, data: bytes) -> None:
        """Write the lines that `data` completes."""
        *lines, self._partial = (self._partial + data).split(b"\n")
        lines = [line.removesuffix(b"\r") for line in lines]
        if any(len(line) > self._limit for line in lines):
            lines = [part for line in lines for part in self._broken(line)]
        if len(self._partial) > self._limit:
            *parts, self._partial = self._broken(self._partial)
            lines += parts
        self._write(lines)

    def finish(self) -> None:
        """Write what is left without an end of line."""
        if self._partial:
            partial, self._partial = self._partial, b""
            self._write([partial])

    def _broken(self, line: bytes) -> list[bytes]:
        return [line[start : start + self._limit] for start in range(0, len(line), self._limit)] or [line]

    def _write(self, lines: list[bytes]) -> None:
        if lines:
            self.last_line = lines[-1]
            self._log.write(lines)


def tail(path: Path, lines: int) -> list[str]:
    """The last `lines` lines of a log, without reading what lies before them. Nothing where there is no log."""
    if lines <= 0:
        return []
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return []
    with file:
        position = file.seek(0, os.SEEK_END)
        data = b""
        while position > 0 and data.count(b"\n") <= lines:
            start = max(0, position - _BLOCK)
            file.seek(start)
            data = file.read(position - start) + data
            position = start
    whole = data.removesuffix(b"\n")
    return [line.decode("utf-8", "replace") for line in whole.split(b"\n")[-lines:]] if whole else []
