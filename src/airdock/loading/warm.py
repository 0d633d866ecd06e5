"""Runs jobs in forks of one process that has imported what they need: see `dag.load_server`."""

import json
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

from airdock.errors import AirdockError, DagError, LauncherDiedError
from airdock.loading.base import Ended, Job, Load
from airdock.loading.cold import RESULT_BYTES
from airdock.loading.file import LOADER
from airdock.loading.given import open_given
from airdock.loading.lines import tell_lines
from airdock.model.mount import Mount

__all__ = ["Start", "WarmLoad"]

_SERVER: Final = (sys.executable, "-P", "-m", "airdock.dag.load_server")
_IDLE_S: Final = 20.0
"""A process that nothing was asked of for so long is ended."""
_REST_S: Final = 60.0
"""For how long jobs run cold where a process was lost that had done nothing yet."""

_log = logging.getLogger(__name__)


class Start(Protocol):
    """Starts `argv` where `place` is seen, with `stdin`; gives what ends it with all it started."""

    def __call__(self, argv: Sequence[str], *, place: Sequence[Mount], stdin: int) -> Callable[[], None]: ...


class _LostError(Exception):
    """The process that was to fork is gone."""


class _Loader:
    """The process, while it is there. `stamp` tells the folder that it was started for from one in its place."""

    def __init__(self, start: Start, place: Sequence[Mount], stamp: object) -> None:
        self.stamp = stamp
        self.has_done = False
        self.used = time.monotonic()
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                self._end = start(_SERVER, place=place, stdin=theirs.fileno())
        except BaseException:
            self._requests.close()
            raise

    def run(self, job: Job, tell: Callable[[str], None], limit_s: float) -> Ended:
        reading, said = os.pipe2(os.O_CLOEXEC)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        given = open_given(job.given)
        result = os.memfd_create("airdock-result", os.MFD_CLOEXEC)
        try:
            with ours:
                try:
                    self._send(job, [given, said, result, theirs.fileno()])
                finally:
                    os.close(said)
                    theirs.close()
                tell_lines(reading, ours.fileno(), tell, limit_s)  # after a TimeoutError, closing `ours` kills it
                code = ours.recv(1)
            if not code:
                raise _LostError
            self.used, self.has_done = time.monotonic(), True
            return Ended(exit_code=code[0], result=_read(result))
        finally:
            for descriptor in (reading, given, result):
                os.close(descriptor)

    def _send(self, job: Job, descriptors: list[int]) -> None:
        message = {
            "path": str(job.path),
            "root": str(job.root) if job.root is not None else "",
            "environ": dict(job.environ),
        }
        try:
            socket.send_fds(self._requests, [json.dumps(message).encode()], descriptors)
        except OSError as error:
            raise _LostError from error

    def close(self) -> None:
        self._requests.close()
        try:
            self._end()
        except (AirdockError, OSError) as error:  # its launcher was killed, say: whoever comes next clears up
            _log.warning("what loaded DAG files could not be removed: %s", error)


class WarmLoad:
    """A `Load` for the DAG files of a folder, which see all of it; what else is to be run, `cold` runs.

    The process is there from the first job until there were none for a while. A job whose process is lost, whoever
    killed it, is run anew by `cold`. Any thread may call. `close` at the end: what runs then is killed, and it and what
    is asked later raises DagError.
    """

    def __init__(
        self, folder: Path, *, place: Sequence[Mount], start: Start, cold: Load, idle_s: float = _IDLE_S
    ) -> None:
        self._folder, self._place, self._start, self._cold = folder, tuple(place), start, cold
        self._idle_s = idle_s
        self._lock = threading.Lock()
        self._loader: _Loader | None = None
        self._running = 0
        self._rests_until = 0.0
        self._closing = threading.Event()

    def __call__(self, job: Job, *, tell: Callable[[str], None], limit_s: float) -> Ended:
        if job.module == LOADER and job.place == self._place and (loader := self._take()) is not None:
            try:
                return loader.run(job, tell, limit_s)
            except _LostError:
                self._lose(loader)
            finally:
                with self._lock:
                    self._running -= 1
        if self._closing.is_set():
            raise DagError("the file was not loaded, because all is to stop", where=str(job.path))
        return self._cold(job, tell=tell, limit_s=limit_s)

    def close(self) -> None:
        """End the process, and what it is at. Idempotent."""
        self._closing.set()
        self._drop()

    def _take(self) -> _Loader | None:
        """The process, started where there is none; None where jobs better run cold."""
        with self._lock:
            if self._closing.is_set() or time.monotonic() < self._rests_until:
                return None
            stamp = self._stamp()
            if self._loader is not None and self._loader.stamp != stamp:  # it sees what was there before
                self._end()
            if self._loader is None:
                try:
                    self._loader = _Loader(self._start, self._place, stamp)
                except LauncherDiedError:
                    return None
                threading.Thread(target=self._watch, args=[self._loader], name="airdock-warm", daemon=True).start()
            self._running += 1
            return self._loader

    def _stamp(self) -> object:
        try:
            status = self._folder.stat()
        except OSError:
            return None
        return (status.st_dev, status.st_ino)

    def _watch(self, loader: _Loader) -> None:
        """End a process that has nothing to do."""
        while not self._closing.wait(self._idle_s):
            with self._lock:
                if self._loader is not loader:
                    return
                if not self._running and time.monotonic() - loader.used >= self._idle_s:
                    self._end()
                    return

    def _lose(self, loader: _Loader) -> None:
        if self._closing.is_set():
            return
        _log.warning("the process that loads DAG files ended; what it was at is loaded in processes of their own")
        if not loader.has_done:
            self._rests_until = time.monotonic() + _REST_S
        self._drop(loader)

    def _drop(self, loader: _Loader | None = None) -> None:
        """End this process, or whichever there is."""
        with self._lock:
            if loader in (None, self._loader):
                self._end()

    def _end(self) -> None:
        """With the lock held."""
        if self._loader is not None:
            self._loader.close()
            self._loader = None


def _read(result: int) -> bytes | None:
    size = os.fstat(result).st_size
    return os.pread(result, size, 0) if 0 < size <= RESULT_BYTES else None
