"""How a command tells the servers of its home that it changed something: it touches a file whose folder they watch.

AIRDOCK_HOME/run/bell/
    rung    what it holds says nothing

Servers on other machines, and those that can't watch, see what changed when they look the next time.
"""

import contextlib
import logging
import os
import select
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from airdock.loading.inotify import Inotify

__all__ = ["Bell"]

_log = logging.getLogger(__name__)


class Bell:
    """The bell of one home; `run` is its folder for what passes."""

    def __init__(self, run: Path) -> None:
        self._folder = run / "bell"

    def ring(self) -> None:
        """Let who listens look, if somebody does."""
        with contextlib.suppress(OSError):  # nobody ever listened here; or they look without being told
            (self._folder / "rung").touch()

    @contextmanager
    def listening(self, heard: Callable[[], None]) -> Iterator[None]:
        """Call `heard`, from a thread, whenever it rings."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            watching = _watch(self._folder)
        except OSError as error:
            _log.warning("what other commands change is seen some seconds later, because listening fails: %s", error)
            yield
            return
        end, ended = os.pipe2(os.O_CLOEXEC)
        try:
            thread = threading.Thread(target=_listen, args=[watching, end, heard], name="airdock-bell", daemon=True)
            thread.start()
            try:
                yield
            finally:
                os.write(ended, b"\0")
                thread.join()
        finally:
            watching.close()
            os.close(end)
            os.close(ended)


def _watch(folder: Path) -> Inotify:
    watching = Inotify()
    try:
        watching.watch(folder)
    except OSError:
        watching.close()
        raise
    return watching


def _listen(watching: Inotify, end: int, heard: Callable[[], None]) -> None:
    while end not in select.select([watching.fileno(), end], [], [])[0]:
        if list(watching.read()):
            heard()
