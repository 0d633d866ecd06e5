"""A store that waits where another can't be had for a while: it is locked, its disk is full, its server is away."""

import contextlib
import logging
import queue
import time
from collections.abc import Callable
from typing import Any, Final, cast

from airdock.errors import StoreAwayError
from airdock.store.base import Store

__all__ = ["Patience", "be_patient"]

_PAUSE_S: Final = 0.5

_log = logging.getLogger(__name__)


class Patience:
    """How long to wait: until `limit_s` are over, or `give_up` was called, from any thread or signal handler."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._is_over = False
        # No Event: a signal handler that sets one would wait for ever for the thread that it interrupts in its wait.
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()

    def give_up(self) -> None:
        self._is_over = True
        self._wake.put(None)

    def wait(self) -> bool:
        """Whether to go on after a moment."""
        if not self._is_over:
            with contextlib.suppress(queue.Empty):
                self._wake.get(timeout=_PAUSE_S)
        return not self._is_over


def be_patient(store: Store, patience: Patience) -> Store:
    """The same store, but what raises StoreAwayError is asked for again.

    A verb that did its work before its answer was lost is asked for twice: what changes a state in the store compares
    first, and so says that somebody else was there before.
    """
    return cast("Store", _Patient(store, patience))


class _Patient:
    def __init__(self, store: Store, patience: Patience) -> None:
        self._store, self._patience = store, patience

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        return self._with_patience(found) if callable(found) else found

    def _with_patience(self, verb: Callable[..., Any]) -> Callable[..., Any]:
        def ask(*args: Any, **kwargs: Any) -> Any:
            since = time.monotonic()
            is_told = False
            while True:
                try:
                    return verb(*args, **kwargs)
                except StoreAwayError as error:
                    if time.monotonic() - since > self._patience.limit_s or not self._patience.wait():
                        raise
                    if not is_told:
                        is_told = True
                        _log.warning("waiting for the database: %s", error.message)

        return ask
