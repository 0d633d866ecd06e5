"""Makes each thing once, whoever asks for it at the same time: threads by sharing the answer, processes by a lock."""

import contextlib
import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Generic, TypeVar

__all__ = ["Once", "hold_lock"]

T = TypeVar("T")


class Once(Generic[T]):
    """Shares what is being made. What was made isn't kept: the maker remembers it where it likes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._making: dict[str, Future[T]] = {}

    def get(self, key: str, make: Callable[[], T]) -> T:
        """What `make` returns or raises: ours, or that of the thread that is at it already."""
        with self._lock:
            future = self._making.get(key)
            mine = future is None
            if future is None:
                future = self._making[key] = Future()
        if mine:
            try:
                future.set_result(make())
            except BaseException as error:
                future.set_exception(error)
            finally:
                with self._lock:
                    del self._making[key]
        return future.result()


@contextlib.contextmanager
def hold_lock(path: Path) -> Iterator[None]:
    """Let one process at a time into the block. The file stays; it is empty."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
