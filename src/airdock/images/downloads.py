"""What came so far of blobs whose download broke off: kept to go on from, until it's old or the room is wanted.

images/
  downloads/
    <hex>           what came so far of a blob; the next download of it goes on from there
    <hex>.lock      held by the one who downloads it
    .tmp-XXXXXXXX   a pipe to the child that unpacks
"""

import errno
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from airdock.files import TEMPORARY_PREFIX
from airdock.images.locks import take_lock

__all__ = ["Downloads"]

_KEPT_S: Final = 7 * 24 * 3600.0
_LOCK: Final = ".lock"


class Downloads:
    """The folder `downloads/` of one store; several processes may download into it."""

    def __init__(self, *, root: Path) -> None:
        self.folder = root / "downloads"

    @contextmanager
    def claim(self, name: str) -> Iterator[Path]:
        """The place for a blob's bytes, for one process at a time; what nobody went on with for a week goes first."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.drop(before=time.time() - _KEPT_S)
        lock_path = self.folder / f"{name}{_LOCK}"
        lock = take_lock(lock_path)
        assert lock is not None
        try:
            yield self.folder / name
        finally:
            lock_path.unlink(missing_ok=True)  # ours until it's closed: who waits for it sees that it's gone
            os.close(lock)

    def make_pipe(self) -> Path:
        """A named pipe."""
        path = self.folder / f"{TEMPORARY_PREFIX}{os.urandom(8).hex()}"
        os.mkfifo(path, 0o600)
        return path

    def size(self) -> tuple[int, int]:
        """Bytes of them all, and of those that nobody is at work on."""
        total = idle = 0
        for path, found in self._files():
            with suppress(FileNotFoundError):
                size = found.st_blocks * 512
                total += size
                idle += 0 if self._is_busy(path) else size
        return total, idle

    def drop(self, *, before: float = float("inf")) -> int:
        """Remove what nobody is at work on, and what killed processes left, last written to before a time in seconds.

        Gives the bytes.
        """
        freed = 0
        for path, found in self._files():
            if found.st_mtime >= before:
                continue
            lock_path = path.with_name(f"{path.name}{_LOCK}")
            lock = take_lock(lock_path, wait=False)
            if lock is None:
                continue
            try:
                path.unlink(missing_ok=True)
                freed += found.st_blocks * 512
            finally:
                lock_path.unlink(missing_ok=True)
                os.close(lock)
        self._drop_pipes(before)
        return freed

    def _files(self) -> list[tuple[Path, os.stat_result]]:
        found = []
        for path in self.folder.glob("[0-9a-f]*") if self.folder.is_dir() else ():
            with suppress(FileNotFoundError):
                status = path.lstat()
                if stat.S_ISREG(status.st_mode) and path.suffix != _LOCK:
                    found.append((path, status))
        return found

    def _is_busy(self, path: Path) -> bool:
        lock_path = path.with_name(f"{path.name}{_LOCK}")
        if not lock_path.exists():
            return False
        lock = take_lock(lock_path, wait=False)
        if lock is None:
            return True
        os.close(lock)
        return False

    def _drop_pipes(self, before: float) -> None:
        """Pipes without anybody at their ends, and locks that belong to nothing."""
        for path in self.folder.glob(f"{TEMPORARY_PREFIX}*"):
            with suppress(FileNotFoundError):
                if path.lstat().st_mtime < min(before, time.time() - 60) and _is_deserted(path):
                    path.unlink()
        for path in self.folder.glob(f"*{_LOCK}"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < before and (lock := take_lock(path, wait=False)) is not None:
                    path.unlink(missing_ok=True)
                    os.close(lock)


def _is_deserted(pipe: Path) -> bool:
    """Whether nobody has a pipe open: who downloads has both its ends. Source: fifo(7)."""
    try:
        os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError as error:
        return error.errno == errno.ENXIO
    return False
