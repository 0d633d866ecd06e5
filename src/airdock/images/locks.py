"""Locks between processes: `flock` on a file, given up by the kernel when its holder dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["hold_lock", "take_lock"]


@contextmanager
def hold_lock(path: Path) -> Iterator[None]:
    """Hold the lock at `path` while the block runs; waits for whoever has it, threads of this process included."""
    descriptor = take_lock(path)
    assert descriptor is not None
    try:
        yield
    finally:
        os.close(descriptor)


def take_lock(path: Path, *, wait: bool = True, shared: bool = False) -> int | None:
    """The descriptor that holds the lock at `path`, to be closed; None when it's taken and `wait` is off.

    Any number may hold it `shared`, and nobody else then.
    The file may be removed by whoever holds its lock, so a lock counts only while its file is still in its place.
    """
    while True:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
            fcntl.flock(descriptor, kind | (0 if wait else fcntl.LOCK_NB))
            if _is_in_place(descriptor, path):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_in_place(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False
