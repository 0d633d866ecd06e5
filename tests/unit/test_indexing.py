"""What a server knows of its DAG folder outlives it."""

from datetime import UTC, datetime
from pathlib import Path

from airdock.dag.serialized import SerializedDag, SerializedTask
from airdock.indexing import StoreDagIndex
from airdock.loading.index import LoadedFile
from airdock.store.memory import MemoryStore
from airdock.store.sql import SqlStore

AT = datetime(2026, 3, 4, tzinfo=UTC)
FILE = Path("/dags/a.py")


def dag(dag_id: str, digest: str = "sha256:1", paused: bool | None = None) -> SerializedDag:
    return SerializedDag(
        dag_id=dag_id,
        fileloc=str(FILE),
        tasks=(SerializedTask(task_id="t", operator="@task"),),
        source_digest=digest,
        is_paused_upon_creation=paused,
    )


def loaded(*dags: SerializedDag, digest: str = "sha256:1", **more: object) -> LoadedFile:
    return LoadedFile(path=FILE, digest=digest, at=AT, dags=dags, **more)  # type: ignore[arg-type]


def test_what_was_loaded_is_known_to_the_next_server(tmp_path: Path) -> None:
    store = SqlStore(path=tmp_path / "a.db")
    StoreDagIndex(store=store).save(loaded(dag("a"), dag("b")))
    again = StoreDagIndex(store=store)
    assert again.digests() == {FILE: "sha256:1"}
    assert again.dags() == {"a": dag("a"), "b": dag("b")}
    store.close()


def test_a_broken_file_keeps_its_dags_and_is_looked_at_again_by_the_next_server() -> None:
    store = MemoryStore()
    index = StoreDagIndex(store=store)
    index.save(loaded(dag("a")))
    index.save(loaded(digest="sha256:2", error={"error": "DagFileError", "message": "no"}))
    assert list(index.dags()) == ["a"] and index.errors()[FILE]["message"] == "no"
    assert store.list_problems()[0].error["message"] == "no"
    assert StoreDagIndex(store=store).digests() == {FILE: "sha256:1"}


def test_a_dag_that_is_gone_is_known_no_more() -> None:
    store = MemoryStore()
    index = StoreDagIndex(store=store)
    index.save(loaded(dag("a"), dag("b")))
    index.save(loaded(dag("b", "sha256:2"), digest="sha256:2"))
    assert list(index.dags()) == list(StoreDagIndex(store=store).dags()) == ["b"]
    index.forget([FILE])
    assert index.dags() == StoreDagIndex(store=store).dags() == {}


def test_new_dags_are_paused_as_they_say_or_as_the_server_does() -> None:
    for pause_new in (False, True):
        index = StoreDagIndex(store=MemoryStore(), pause_new=pause_new)
        index.save(loaded(dag("plain"), dag("paused", paused=True), dag("open", paused=False)))
        assert index.is_paused("paused") and not index.is_paused("open")
        assert index.is_paused("plain") is pause_new


def test_who_is_paused_by_another_process_is_read_anew() -> None:
    store = MemoryStore()
    index = StoreDagIndex(store=store)
    index.save(loaded(dag("a"), dag("b")))
    store.pause_dags(["a"], is_paused=True)
    assert not index.is_paused("a")
    assert index.refresh() and not index.refresh()
    assert index.is_paused("a") and list(index.open_dags()) == ["b"]
