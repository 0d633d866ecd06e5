"""The folders of a run on this machine.

AIRDOCK_HOME/
    workspaces/<dag_id>/<run_id>/   /workspace of all its tasks; stays
    run/tmp/<dag_id>%2F<run_id>/    /tmp of those whose author named no image; goes with the run's end
"""

import logging
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from airdock.errors import AirdockError
from airdock.model.keys import RunKey
from airdock.model.mount import Mount
from airdock.runner.base import WORKSPACE
from airdock.runner.logs import folder_name, run_folder

__all__ = ["TEST_PREFIX", "RunFolders"]

TEST_PREFIX: Final = "test__"
"""How the id of a run begins that tests one task."""

_TMP: Final = "/tmp"  # noqa: S108  of a container
_TMP_MODE: Final = 0o1777
_OLD_S: Final = 86_400.0
_SEPARATOR: Final = folder_name("/")

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
            self._tidy(tmp)

    def sweep(self, open_runs: Callable[[], Iterable[RunKey]]) -> None:
        """Remove what is there of runs that ended when whoever worked on them was killed; comes back soon.

        `open_runs` are those that are kept anywhere and go on. A test of a task is kept nowhere: its folder has to be
        old.
        """
        found = list((self._home / "run" / "tmp").glob("*"))
        if not found:
            return
        going_on = {self._tmp(run) for run in open_runs()}  # asked for later than the folders: none is missing
        for folder in found:
            if folder not in going_on and not (_SEPARATOR + TEST_PREFIX in folder.name and _is_young(folder)):
                self._tidy(folder)

    def join(self) -> None:
        """Wait until all is removed."""
        if self._tidying is not None:
            self._tidying.shutdown()
            self._tidying = None

    def _tidy(self, tmp: Path) -> None:
        self._tidying = self._tidying or ThreadPoolExecutor(1, thread_name_prefix="airdock-tidy")
        self._tidying.submit(self._clear, tmp)

    def _clear(self, tmp: Path) -> None:
        try:
            self._remove(tmp)
        except (AirdockError, OSError) as error:
            _log.warning("%s could not be removed: %s", tmp, error)

    def _tmp(self, run: RunKey) -> Path:
        return self._home / "run" / "tmp" / folder_name(f"{run.dag_id}/{run.run_id}")


def _is_young(folder: Path) -> bool:
    try:
        return time.time() - folder.stat().st_mtime < _OLD_S
    except OSError:
        return True
