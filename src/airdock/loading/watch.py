"""Tells what a DAG folder holds, now and whenever that changes: within a tenth of a second, by inotify(7)."""

import logging
import os
import select
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from airdock.loading.folder import DagFile, DagFolder
from airdock.loading.ignore import IGNORE_FILE
from airdock.loading.inotify import Change, Inotify

__all__ = ["Watcher"]

_SETTLE_S: Final = 0.05
"""Editors save in several steps, and checkouts write many files: so long nothing must have happened."""
_LONGEST_S: Final = 0.5
"""But what goes on for longer is looked at all the same."""
_BLIND_S: Final = 5.0
"""How often the folder is looked through where the kernel can't tell of all of it."""

_log = logging.getLogger(__name__)


class Watcher:
    """Calls `changed` with every DAG file of the folder, first from `start` on and then after each change.

    It is called from one thread, and should come back soon. `stop` is idempotent and safe before `start`.
    """

    def __init__(self, folder: DagFolder, *, changed: Callable[[Mapping[Path, DagFile]], None]) -> None:
        self._folder, self._changed = folder, changed
        self._inotify: Inotify | None = None
        self._is_blind = False
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="airdock-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._wake >= 0:
            os.eventfd_write(self._wake, 1)

    def join(self) -> None:
        """After `stop`."""
        if self._thread.ident is not None:
            self._thread.join()
        if self._wake >= 0:
            os.close(self._wake)
            self._wake = -1

    def _run(self) -> None:
        try:
            self._inotify = Inotify()
        except OSError as error:
            self._go_blind(error)
        try:
            last: Mapping[Path, DagFile] | None = None
            while not self._stopping.is_set():
                found = self._scan()
                if found != last:
                    last = found
                    self._call(found)
                self._wait()
        finally:
            if self._inotify is not None:
                self._inotify.close()

    def _call(self, found: Mapping[Path, DagFile]) -> None:
        try:
            self._changed(found)
        except Exception:
            _log.exception("what the DAG folder holds could not be taken in")

    def _scan(self) -> dict[Path, DagFile]:
        """What is there. A folder that is new is looked through again once it is watched, so that nothing is missed."""
        watched: set[Path] = set()
        while True:
            found = self._folder.scan()
            fresh = self._folder.folders - watched
            if not fresh or self._inotify is None:
                return found
            self._watch(fresh)
            watched |= fresh

    def _watch(self, folders: Iterable[Path]) -> None:
        assert self._inotify is not None
        for folder in folders:
            try:
                self._inotify.watch(folder)
            except (FileNotFoundError, NotADirectoryError):
                continue  # gone meanwhile, which the folder above tells
            except OSError as error:
                self._go_blind(error)

    def _go_blind(self, error: OSError) -> None:
        if not self._is_blind:
            self._is_blind = True
            _log.warning("the DAG folder is looked through every %g s, because watching it fails: %s", _BLIND_S, error)

    def _wait(self) -> None:
        """Until something happened that may concern DAG files, and no more of it happens."""
        if not self._await_change():
            return
        ends = time.monotonic() + _LONGEST_S
        while not self._stopping.is_set() and time.monotonic() < ends:
            if not self._poll(_SETTLE_S):
                return
            self._read()

    def _await_change(self) -> bool:
        """False where it is time to look without that anything was told, or to stop."""
        while not self._stopping.is_set():
            if not self._poll(_BLIND_S if self._is_blind else None):
                return False
            if any(_concerns(change) for change in self._read()):
                return True
        return False

    def _poll(self, timeout_s: float | None) -> bool:
        waiting = [self._wake, *([self._inotify.fileno()] if self._inotify else [])]
        return bool(select.select(waiting, [], [], timeout_s)[0])

    def _read(self) -> list[Change]:
        return list(self._inotify.read()) if self._inotify else []


def _concerns(change: Change) -> bool:
    return (
        change.is_folder or change.is_overflow or change.path.suffix == ".py" or change.path.name == IGNORE_FILE
    ) and change.path.name != "__pycache__"
