"""The folders of a run on this machine.

AIRDOCK_HOME/
    workspaces/<dag_id>/<run_id>/   /workspace of all its tasks; stays
    run/tmp/<dag_id>/<run_id>/      /tmp of those whose author named no image; goes with the run's end
"""

import contextlib
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from airdock.errors import AirdockError
from airdock.model.keys import RunKey
from airdock.model.mount import Mount
from airdock.runner.base import WORKSPACE
from airdock.runner.logs import run_folder

__all__ = ["RunFolders"]

_TMP: Final = "/tmp"  # noqa: S108  of a container
_TMP_MODE: Final = 0o1777

_log = logging.getLogger(__name__)


class RunFolders:
    """`remove` removes a folder with files of whatever ids containers had. Any thread may call."""

    def __init__(self, home: Path, *, remove: Callable[[Path], None]) -> None:
        self._home, self._remove = home, remove
        self._tidying: ThreadPoolExecutor | None = None

    def workspace(self, run: RunKey) -> Path:
        """Made when it is first asked for."""
        folder = run_folder(self._home / "workspaces", run.dag_id, run.run_id)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def mounts(self, run: RunKey) -> tuple[Mount, ...]:
        """What the run's tasks see of them."""
        tmp = self._tmp(run)
        if not tmp.exists():
            tmp.mkdir(parents=True, exist_ok=True)
            tmp.chmod(_TMP_MODE)
        return (
            Mount(source=str(self.workspace(run)), target=WORKSPACE, read_only=False),
            Mount(source=str(tmp), target=_TMP, read_only=False),
        )

    def end(self, run: RunKey) -> None:
        """Remove what goes with the run's end; comes back at once."""
        tmp = self._tmp(run)
        try:
            tmp.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            self._tidying = self._tidying or ThreadPoolExecutor(1, thread_name_prefix="airdock-tidy")
            self._tidying.submit(self._clear, tmp)
            return
        _forget(tmp.parent)

    def join(self) -> None:
        """Wait until all is removed."""
        if self._tidying is not None:
            self._tidying.shutdown()
            self._tidying = None

    def _clear(self, tmp: Path) -> None:
        try:
            self._remove(tmp)
        except (AirdockError, OSError) as error:
            _log.warning("%s could not be removed: %s", tmp, error)
        _forget(tmp.parent)

    def _tmp(self, run: RunKey) -> Path:
        return run_folder(self._home / "run" / "tmp", run.dag_id, run.run_id)


def _forget(folder: Path) -> None:
    with contextlib.suppress(OSError):  # of other runs
        folder.rmdir()
