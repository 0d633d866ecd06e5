"""What a container prints, kept in files as Docker's `json-file` driver keeps it, one line of JSON per line of output.

Lines longer than 16 KiB are cut into entries without a line end; `max_size` is when a file makes room for the next.
"""

import json
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

from airdock.errors import ContainerError
from airdock.record import record

__all__ = ["LogOptions", "LogWriter", "parse_log_options"]

_MOST_BYTES: Final = 16 * 1024
_DRIVERS: Final = ("json-file", "none")
_UNITS: Final = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


@record
class LogOptions:
    """`max_bytes` 0 is one file that grows; else `max_files` of about that size each."""

    driver: str = "json-file"
    max_bytes: int = 0
    max_files: int = 1

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        return cls(**value)


class LogWriter:
    """Writes one container's log; `write` takes output as it comes, `flush` what has no line end yet."""

    def __init__(
        self, path: Path, options: LogOptions, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._path = path
        self._options = options
        self._now = now
        self._open: dict[str, bytes] = {}
        self._file = -1
        self._size = 0
        if options.driver != "none":
            self._reopen()

    def write(self, stream: str, output: bytes) -> bool:
        """Keep what came out of "stdout" or "stderr"; gives whether whole entries were written."""
        if self._file < 0:
            return False
        *lines, rest = (self._open.get(stream, b"") + output).split(b"\n")
        entries = [piece for line in lines for piece in _pieces(line + b"\n")]
        while len(rest) >= _MOST_BYTES:
            entries.append(rest[:_MOST_BYTES])
            rest = rest[_MOST_BYTES:]
        self._open[stream] = rest
        self._append(stream, entries)
        return bool(entries)

    def flush(self) -> None:
        """Keep what came without a line end, since nothing follows."""
        for stream, rest in self._open.items():
            if rest:
                self._append(stream, [rest])
        self._open.clear()

    def close(self) -> None:
        self.flush()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _append(self, stream: str, entries: list[bytes]) -> None:
        if not entries or self._file < 0:
            return
        time = self._now().isoformat().replace("+00:00", "Z")
        batch = b""
        for entry in entries:
            line = json.dumps({"log": entry.decode(errors="replace"), "stream": stream, "time": time}).encode() + b"\n"
            size = self._size + len(batch)
            if self._options.max_bytes and size and size + len(line) > self._options.max_bytes:
                self._put(batch)
                self._rotate()
                batch = b""
            batch += line
        self._put(batch)

    def _put(self, content: bytes) -> None:
        try:
            self._size += os.write(self._file, content)
        except OSError:
            pass  # a full disk must not end the container

    def _rotate(self) -> None:
        os.close(self._file)
        if self._options.max_files > 1:
            for number in range(self._options.max_files - 1, 0, -1):
                older = Path(f"{self._path}.{number - 1}") if number > 1 else self._path
                if older.exists():
                    older.rename(f"{self._path}.{number}")
        else:
            self._path.unlink(missing_ok=True)
        self._reopen()

    def _reopen(self) -> None:
        self._file = os.open(self._path, os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC, 0o640)
        self._size = os.fstat(self._file).st_size


def parse_log_options(driver: str, options: Mapping[str, str]) -> LogOptions:
    """What `--log-driver` and `--log-opt` ask for. Raises ContainerError."""
    driver = driver or "json-file"
    if driver not in _DRIVERS:
        raise ContainerError(
            f"expected a log driver to be {' or '.join(_DRIVERS)}, found {driver!r}", where="--log-driver"
        )
    unknown = sorted(set(options) - {"max-size", "max-file"})
    if unknown:
        raise ContainerError(f"expected log options max-size and max-file, found {unknown[0]!r}", where="--log-opt")
    size, count = options.get("max-size", "").lower(), options.get("max-file", "1")
    number = size.rstrip("kmgb")
    unit = size[len(number) :].rstrip("b")
    if (size and size != "-1" and not (number.isdigit() and unit in _UNITS)) or not (count.isdigit() and int(count)):
        raise ContainerError(
            "expected max-size such as 10m and max-file a whole number, found "
            + ", ".join(f"{name}={value}" for name, value in options.items()),
            where="--log-opt",
        )
    if "max-file" in options and not number.isdigit():
        raise ContainerError(
            "expected max-size beside max-file, found none", where="--log-opt", hint="--log-opt max-size=10m"
        )
    most = int(number) * _UNITS[unit] if number.isdigit() else 0
    return LogOptions(driver=driver, max_bytes=most, max_files=int(count))


def _pieces(line: bytes) -> list[bytes]:
    return [line[start : start + _MOST_BYTES] for start in range(0, len(line), _MOST_BYTES)]
