"""What outlives a supervisor that is killed: outcomes that nobody has acknowledged, and who ran which try.

AIRDOCK_HOME/run/
  outcomes/<key>.json             the outcome of a try that ended, until it is acknowledged
  tries/<key>-<owner>-<count>/    a try that runs, or whose owner died
    try.json                      its key, digest, isolation, and times so far
    channel.sock                  where its runner connects
    runner.pyz                    the runner
    pid                           where it is a plain process: its pid and start time, as <owner> has them
  recover.lock                    held by whoever clears up after the dead

`<key>` follows from the try's key, `<owner>` is the pid and start time of the process that runs it, both hexadecimal.
"""

import contextlib
import fcntl
import hashlib
import itertools
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Self

from airdock.files import TEMPORARY_PREFIX, save_json
from airdock.model.keys import TryKey
from airdock.model.outcome import Outcome, Times
from airdock.record import record

__all__ = ["Process", "Record", "Spool", "name_of", "remove_folder"]


def name_of(key: TryKey) -> str:
    """A short name of the try, the same in every process: 16 hexadecimal digits."""
    text = json.dumps(key.to_dict(), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@record
class Process:
    """A process, told apart from a later one with its pid by when it was started."""

    pid: int
    start_time: int

    @classmethod
    def of(cls, pid: int) -> Self:
        """The process that has this pid now."""
        return cls(pid=pid, start_time=_start_time(pid) or 0)

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The owner that `str` wrote; None for anything else."""
        try:
            pid, start_time = (int(part, 16) for part in text.split("."))
        except ValueError:
            return None
        return cls(pid=pid, start_time=start_time)

    def __str__(self) -> str:
        return f"{self.pid:x}.{self.start_time:x}"

    @property
    def is_alive(self) -> bool:
        """Whether it can still do anything; one that only waits to be reaped can't."""
        return _start_time(self.pid) == self.start_time


def _start_time(pid: int) -> int | None:
    """Clock ticks from boot to the start of `pid`; None where it isn't there or only waits to be reaped.

    Field 22 of proc_pid_stat(5); the name before it may hold anything, so fields are counted after its last bracket.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


_count: Final = itertools.count()
"""For all spools of this process: a try's folder names its container, and a try and its callbacks may run at once."""


@record
class Record:
    """What try.json says."""

    key: TryKey
    digest: str
    isolation: str
    times: Times

    def to_dict(self) -> dict[str, Any]:
        return {
            "key": self.key.to_dict(),
            "digest": self.digest,
            "isolation": self.isolation,
            "times": self.times.to_dict(),
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        return cls(
            key=TryKey.from_dict(value["key"]),
            digest=value["digest"],
            isolation=value["isolation"],
            times=Times.from_dict(value["times"]),
        )


class Spool:
    """The folders above, below `root`, for one owner."""

    def __init__(self, root: Path, *, owner: Process | None = None) -> None:
        self._root = root
        self._outcomes = root / "outcomes"
        self._tries = root / "tries"
        self._owner = owner or Process.of(os.getpid())

    def open(self) -> None:
        """Make the folders; only their owner may enter, since sockets in them are open to every id."""
        for folder in (self._outcomes, self._tries):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def begin(self, record: Record) -> Path:
        """Make the folder of a try; whoever runs it removes it."""
        folder = self._tries / f"{name_of(record.key)}-{self._owner}-{next(_count):x}"
        folder.mkdir()
        folder.chmod(0o755)  # whatever the umask: ids of a container come in through its mount
        save_json(folder / "try.json", record.to_dict(), durable=False)
        return folder

    def put(self, key: TryKey, outcome: Outcome) -> None:
        """Keep an outcome until `drop`. What was kept of this try is replaced."""
        entry = {"key": key.to_dict(), "owner": str(self._owner), "outcome": outcome.to_dict()}
        save_json(self._path(key), entry, durable=False)

    def drop(self, key: TryKey) -> None:
        """Forget an outcome. Idempotent."""
        self._path(key).unlink(missing_ok=True)

    def holds(self, key: TryKey) -> bool:
        """Whether an outcome of this try waits to be acknowledged."""
        return self._path(key).exists()

    def unacknowledged(self) -> Iterator[tuple[TryKey, Outcome]]:
        """The outcomes that nobody alive has told: those of dead owners, and our own."""
        for path in sorted(self._outcomes.glob("*.json")):
            entry = _load(path)
            owner = Process.parse(entry["owner"]) if entry else None
            if entry and (owner is None or owner == self._owner or not owner.is_alive):
                yield TryKey.from_dict(entry["key"]), Outcome.from_dict(entry["outcome"])

    def abandoned(self) -> Iterator[tuple[Path, Record | None]]:
        """The folders of dead owners' tries, with what is known of each (None: its owner died while it began)."""
        for folder in sorted(self._tries.iterdir()):
            owner = Process.parse(folder.name.split("-")[1]) if folder.name.count("-") == 2 else None
            if owner is not None and not owner.is_alive:
                entry = _load(folder / "try.json")
                yield folder, Record.from_dict(entry) if entry else None

    @contextlib.contextmanager
    def recovering(self) -> Iterator[None]:
        """Let only one process at a time clear up after the dead."""
        descriptor = os.open(self._root / "recover.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            self._drop_unfinished()
            yield
        finally:
            os.close(descriptor)

    def _drop_unfinished(self) -> None:
        """Remove outcomes that were being written when their process was killed; writing one takes no minute."""
        before = time.time() - 60
        for path in self._outcomes.glob(f"{TEMPORARY_PREFIX}*"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < before:
                    path.unlink()

    def _path(self, key: TryKey) -> Path:
        return self._outcomes / f"{name_of(key)}.json"


def remove_folder(folder: Path) -> None:
    """Remove a try's folder. Idempotent."""
    shutil.rmtree(folder, ignore_errors=True)


def _load(path: Path) -> dict[str, Any] | None:
    try:
        value: dict[str, Any] = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return value
