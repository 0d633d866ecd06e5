"""Has the callbacks called that were stored: each at least once, whatever dies meanwhile."""

import logging
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, Protocol

from airdock.errors import AirdockError
from airdock.scheduler.owner import is_dead
from airdock.store.base import Store

__all__ = ["Calling", "Calls"]

_LEASE_S: Final = 700.0
"""Longer than a call may take: one whose caller died where that can't be seen from here is made again after that."""
_MOST_AT_ONCE: Final = 8

_log = logging.getLogger(__name__)


class Calls(Protocol):
    """Makes calls: `runner.callbacks.Callbacks` says what they are and what is told of them."""

    def run(self, call: Mapping[str, Any], done: Callable[[str | None], None]) -> None: ...


class Calling:
    """`open` gives who makes calls, and is asked with the first that there is. Any thread may call."""

    def __init__(self, *, store: Store, owner: str, open: Callable[[], Calls]) -> None:
        self._store, self._owner, self._open = store, owner, open
        self._calls: Calls | None = None
        self._changed = threading.Condition()
        self._going_on: set[int] = set()
        self._is_open = True

    def take(self, now: datetime | None = None) -> None:
        """Begin the calls that nobody makes yet, as many as go at once; a duty."""
        with self._changed:
            room = _MOST_AT_ONCE - len(self._going_on) if self._is_open else 0
            if room <= 0:
                return
            dead = {row.owner for row in self._store.list_callbacks() if is_dead(row.owner)}
            rows = self._store.take_callbacks(owner=self._owner, lease_s=_LEASE_S, limit=room, displacing=dead)
            self._going_on |= {row.number for row in rows}
        for row in rows:
            if self._calls is None:
                self._calls = self._open()
            self._calls.run(row.call, lambda error, number=row.number: self._end(number, error))  # type: ignore[misc]

    def stop(self) -> None:
        """Begin no more. Idempotent."""
        with self._changed:
            self._is_open = False

    def wait(self) -> None:
        """Come back when none goes on."""
        with self._changed:
            self._changed.wait_for(lambda: not self._going_on)

    def _end(self, number: int, error: str | None) -> None:
        if error:
            _log.warning("a callback could not be called: %s", error)
        try:
            if error is not None:
                self._store.end_callbacks([number])
        except AirdockError as failed:  # it is called again: at least once is what is promised
            _log.warning("that a callback was called could not be stored: %s", failed.message)
        with self._changed:
            self._going_on.discard(number)
            self.take()  # before `wait` looks whether there is one
            self._changed.notify_all()
