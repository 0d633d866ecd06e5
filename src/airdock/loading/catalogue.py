"""Keeps an index of DAGs in step with a folder: what is new is loaded, a number of files side by side."""

import contextlib
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from airdock.clock import Clock, SystemClock
from airdock.dag.serialized import SerializedDag
from airdock.errors import AirdockError, DagError
from airdock.loading.folder import DagFile
from airdock.loading.index import DagIndex, LoadedFile

__all__ = ["Catalogue"]

_AGAIN_S: Final = 2.0
"""After what pause a file is loaded again where this machine, and not the file, was the reason that it wasn't."""

_log = logging.getLogger(__name__)


class Catalogue:
    """`take` gives it what the folder holds; a file of which the index has this very content isn't loaded again.

    `load` loads one file, and raises AirdockError; it is called from `side_by_side` threads. `changed` is told after
    each file that was loaded or went away. `stop` begins nothing more, and keeps nothing of what is being loaded, which
    `join` waits for.
    """

    def __init__(
        self,
        *,
        index: DagIndex,
        load: Callable[[Path], Sequence[SerializedDag]],
        changed: Callable[[LoadedFile | None], None],
        side_by_side: int,
        clock: Clock | None = None,
    ) -> None:
        self._index, self._load, self._changed = index, load, changed
        self._clock = clock or SystemClock()
        self._threads = ThreadPoolExecutor(side_by_side, thread_name_prefix="airdock-load")
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._wanted: dict[Path, str] = {}
        self._owners: dict[str, Path] = {}

    def take(self, files: Mapping[Path, DagFile]) -> None:
        """Load what is new or has other content, forget what is gone. Comes back at once."""
        known = self._index.digests()
        with self._lock:
            gone = [path for path in {*known, *self._wanted} if path not in files]
            new = [
                file
                for path, file in files.items()
                if file.digest != (self._wanted[path] if path in self._wanted else known.get(path))
            ]
            self._wanted = {path: file.digest for path, file in files.items()}
            self._owners = {dag_id: path for dag_id, path in self._owners.items() if path in files}
        if gone:
            self._index.forget(gone)
            self._changed(None)
        for file in new:
            self._threads.submit(self._take, file)

    def stop(self) -> None:
        self._stopping.set()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def join(self) -> None:
        self._threads.shutdown(wait=True)

    def _take(self, file: DagFile) -> None:
        if not self._is_wanted(file):
            return
        try:
            loaded = self._load_file(file)
            if not self._stopping.is_set() and self._is_wanted(file):  # else it changed or went away meanwhile
                self._index.save(loaded)
                self._changed(loaded)
        except Exception:
            _log.exception("what %s came to could not be kept; it is loaded again", file.path)
            if not self._stopping.wait(_AGAIN_S):
                with contextlib.suppress(RuntimeError):  # stopped right now
                    self._threads.submit(self._take, file)

    def _is_wanted(self, file: DagFile) -> bool:
        with self._lock:
            return self._wanted.get(file.path) == file.digest

    def _load_file(self, file: DagFile) -> LoadedFile:
        try:
            dags = tuple(self._load(file.path))
            self._claim(file, dags)
        except AirdockError as error:
            return LoadedFile(path=file.path, digest=file.digest, at=self._clock.now(), error=error.to_dict())
        return LoadedFile(path=file.path, digest=file.digest, at=self._clock.now(), dags=dags)

    def _claim(self, file: DagFile, dags: Sequence[SerializedDag]) -> None:
        """Every DAG id is of one file: the first that has it. DagError names the other."""
        with self._lock:
            for dag in dags:
                owner = self._owners.get(dag.dag_id, file.path)
                if owner != file.path:
                    raise DagError(
                        f"expected a DAG id of its own, found {dag.dag_id!r}, which {owner} has too",
                        where=str(file.path),
                        hint="rename one of them",
                    )
            self._owners = {dag_id: path for dag_id, path in self._owners.items() if path != file.path}
            self._owners |= {dag.dag_id: file.path for dag in dags}
