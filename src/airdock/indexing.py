"""What a server knows of the DAG folder, kept in the store: what was loaded before it started is known at once."""

import hashlib
import json
import threading
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from airdock.dag.serialized import FORMAT_VERSION, SerializedDag
from airdock.loading.index import LoadedFile
from airdock.store.base import Store
from airdock.store.records import DagRow, ImportProblem

__all__ = ["StoreDagIndex", "digest_of"]


class StoreDagIndex:
    """A `loading.index.DagIndex`. Any thread may call.

    A DAG that is new is paused if it says so itself, or if `pause_new` does and it says nothing. Who is paused is the
    store's to say, and read anew by `refresh`.
    """

    def __init__(self, *, store: Store, pause_new: bool = False) -> None:
        self._store, self._pause_new = store, pause_new
        self._lock = threading.Lock()
        self._digests: dict[Path, str] = {}
        self._errors: dict[Path, Mapping[str, str]] = {}
        self._dags: dict[str, SerializedDag] = {}
        self._by_path: dict[Path, list[str]] = {}
        self._paused: frozenset[str] = frozenset()
        self._restore()

    def _restore(self) -> None:
        """Take up what the store has; what another Airdock wrote in another form is loaded anew."""
        rows = self._store.list_dags()
        stale: set[str] = set()
        for row in rows:
            body = self._store.load_dag(row.digest)
            if body.get("format_version") != FORMAT_VERSION:
                stale.add(row.fileloc)
                continue
            dag = SerializedDag.from_dict(body)
            self._add([dag])
            self._digests[Path(row.fileloc)] = dag.source_digest
        for fileloc in stale:
            self._digests.pop(Path(fileloc), None)
        self._paused = frozenset(row.dag_id for row in rows if row.is_paused)

    def digests(self) -> Mapping[Path, str]:
        """The digest of each file that was saved and not forgotten, whatever it came to."""
        with self._lock:
            return dict(self._digests)

    def save(self, loaded: LoadedFile) -> None:
        """Keep this in place of what there was of the file. A file that has an error keeps the DAGs it had."""
        path = str(loaded.path)
        paused = self._paused
        if loaded.error is not None:
            problem = ImportProblem(fileloc=path, error=loaded.error, at=loaded.at)
            self._store.save_loaded({path: problem})
        else:
            self._store.save_loaded({path: self._rows(loaded)}, paused=self._begin_paused(loaded))
            paused = self._store.paused_dags()
        with self._lock:
            self._digests[loaded.path] = loaded.digest
            self._errors.pop(loaded.path, None)
            if loaded.error is not None:
                self._errors[loaded.path] = dict(loaded.error)
            else:
                self._drop([loaded.path])
                self._add(loaded.dags)
                self._paused = paused

    def forget(self, paths: Collection[Path]) -> None:
        """These files are gone: their DAGs are known no more, and nor are their errors."""
        self._store.save_loaded({}, gone=[str(path) for path in paths])
        with self._lock:
            for path in paths:
                self._digests.pop(path, None)
                self._errors.pop(path, None)
            self._drop(paths)

    def _rows(self, loaded: LoadedFile) -> list[DagRow]:
        found = []
        for dag in loaded.dags:
            body = dag.to_dict()
            digest = digest_of(body)
            self._store.save_dag(digest, dag_id=dag.dag_id, body=body)
            found.append(DagRow(dag_id=dag.dag_id, fileloc=str(loaded.path), digest=digest, loaded=loaded.at))
        return found

    def _begin_paused(self, loaded: LoadedFile) -> dict[str, bool]:
        said = {dag.dag_id: dag.is_paused_upon_creation for dag in loaded.dags}
        return {dag_id: self._pause_new if paused is None else paused for dag_id, paused in said.items()}

    def _drop(self, paths: Collection[Path]) -> None:
        for dag_id in [dag_id for path in paths for dag_id in self._by_path.pop(path, ())]:
            dag = self._dags.get(dag_id)
            if dag is not None and Path(dag.fileloc) in paths:  # else it is another file's by now
                del self._dags[dag_id]

    def _add(self, dags: Iterable[SerializedDag]) -> None:
        for dag in dags:
            self._dags[dag.dag_id] = dag
            self._by_path.setdefault(Path(dag.fileloc), []).append(dag.dag_id)

    def refresh(self) -> bool:
        """Read anew who is paused; whether that changed."""
        paused = self._store.paused_dags()
        with self._lock:
            before, self._paused = self._paused, paused
        return before != paused

    def is_paused(self, dag_id: str) -> bool:
        return dag_id in self._paused

    def dags(self) -> dict[str, SerializedDag]:
        """Every DAG by its id."""
        with self._lock:
            return dict(self._dags)

    def open_dags(self) -> dict[str, SerializedDag]:
        """Every DAG by its id, but for those that are paused."""
        with self._lock:
            return {dag_id: dag for dag_id, dag in self._dags.items() if dag_id not in self._paused}

    def errors(self) -> dict[Path, Mapping[str, str]]:
        """Why files can't be loaded."""
        with self._lock:
            return dict(self._errors)


def digest_of(body: Mapping[str, Any]) -> str:
    """What a serialised DAG is known by."""
    return "sha256:" + hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
