"""What is known of loaded DAG files: the contract, and one that lasts as long as this process."""

import threading
from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path
from typing import Protocol

from airdock.dag.serialized import SerializedDag
from airdock.record import record

__all__ = ["DagIndex", "LoadedFile", "MemoryDagIndex"]


@record
class LoadedFile:
    """What a DAG file of this digest came to: its DAGs, or `error` as AirdockError.to_dict gives it."""

    path: Path
    digest: str
    at: datetime
    dags: tuple[SerializedDag, ...] = ()
    error: Mapping[str, str] | None = None


class DagIndex(Protocol):
    """Keeps the latest of each file. Any thread may call."""

    def digests(self) -> Mapping[Path, str]:
        """The digest of each file that was saved and not forgotten, whatever it came to."""

    def save(self, loaded: LoadedFile) -> None:
        """Keep this in place of what there was of the file. A file that has an error keeps the DAGs it had."""

    def forget(self, paths: Collection[Path]) -> None:
        """These files are gone: their DAGs are known no more, and nor are their errors."""


class MemoryDagIndex:
    """A `DagIndex` in this process's memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: dict[Path, LoadedFile] = {}
        self._dags: dict[str, SerializedDag] = {}

    def digests(self) -> Mapping[Path, str]:
        with self._lock:
            return {path: file.digest for path, file in self._files.items()}

    def save(self, loaded: LoadedFile) -> None:
        with self._lock:
            self._files[loaded.path] = loaded
            if loaded.error is None:
                self._drop({loaded.path})
                self._dags.update({dag.dag_id: dag for dag in loaded.dags})

    def forget(self, paths: Collection[Path]) -> None:
        with self._lock:
            for path in paths:
                self._files.pop(path, None)
            self._drop(paths)

    def _drop(self, paths: Collection[Path]) -> None:
        for dag_id in [dag_id for dag_id, dag in self._dags.items() if Path(dag.fileloc) in paths]:
            del self._dags[dag_id]

    def dags(self) -> dict[str, SerializedDag]:
        """Every DAG by its id."""
        with self._lock:
            return dict(self._dags)

    def errors(self) -> dict[Path, Mapping[str, str]]:
        """Why files can't be loaded."""
        with self._lock:
            return {path: file.error for path, file in self._files.items() if file.error is not None}
