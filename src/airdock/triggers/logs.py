"""What triggers print, on its way into the logs of the tries that wait for them."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from airdock.clock import Clock
from airdock.model.keys import TryKey
from airdock.runner.logs import LogFile, LogStream, log_path
from airdock.runner.secrets import Mask

__all__ = ["OWN_LOG", "TriggerLogs"]

OWN_LOG: Final = "triggers.log"
"""Beside the folders of DAGs: what belongs to no task's trigger."""

_log = logging.getLogger(__name__)


class TriggerLogs:
    """The logs of one process's triggers, below `root`. Belongs to one thread; whoever made it closes it.

    However many triggers there are, two files are open: what the process itself prints goes to `own`, and the log last
    written to is kept. A supervisor that writes to the same one does so at its end too (O_APPEND). What `mask` knows
    is written to none of them.
    """

    def __init__(self, root: Path, clock: Clock) -> None:
        self._root, self._clock = root, clock
        self.mask = Mask()
        self._keys: dict[int, TryKey] = {}
        self._last: tuple[int, LogFile] | None = None
        self._own = self._open(root / OWN_LOG)
        self.own = LogStream(self._own)

    def begin(self, message: Mapping[str, Any]) -> None:
        """The process is told to run this trigger; those of assets have no try."""
        if message.get("key"):
            self._keys[message["id"]] = TryKey.from_dict(message["key"])

    def write(self, id: int, text: str) -> None:
        """Append whole lines, given without the last one's end."""
        try:
            stream = LogStream(self._of(id))
        except OSError as error:
            _log.warning("what a trigger of %s printed is lost: %s", self._keys[id].task_id, error.strerror)
            return
        stream.feed(text.encode(errors="replace") + b"\n")

    def end(self, id: int) -> None:
        """The trigger prints no more."""
        self._keys.pop(id, None)
        self._close_last(id)

    def close(self) -> None:
        self._close_last()
        self._own.close()

    def _of(self, id: int) -> LogFile:
        key = self._keys.get(id)
        if key is None:
            return self._own
        if self._last is None or self._last[0] != id:
            self._close_last()
            self._last = (id, self._open(log_path(self._root, key)))
        return self._last[1]

    def _open(self, path: Path) -> LogFile:
        log = LogFile(path, self._clock)
        log.mask = self.mask
        return log

    def _close_last(self, id: int | None = None) -> None:
        if self._last is not None and id in (None, self._last[0]):
            self._last[1].close()
            self._last = None
