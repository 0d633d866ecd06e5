"""An index of DAGs that is kept in step with a folder."""

import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airdock.dag.serialized import SerializedDag
from airdock.errors import DagFileError
from airdock.loading.catalogue import Catalogue
from airdock.loading.folder import DagFile
from airdock.loading.index import LoadedFile, MemoryDagIndex


def make_file(name: str, digest: str = "1") -> DagFile:
    return DagFile(path=Path("/dags") / name, digest=digest)


class Shop:
    """A catalogue over files whose DAGs are given by hand."""

    def __init__(self, side_by_side: int = 4) -> None:
        self.index = MemoryDagIndex()
        self.told: queue.Queue[LoadedFile | None] = queue.Queue()
        self.loads: list[str] = []
        self.ids: dict[str, list[str]] = {}
        self.before: Callable[[str], None] = lambda _name: None
        self.catalogue = Catalogue(index=self.index, load=self._load, changed=self.told.put, side_by_side=side_by_side)

    def _load(self, path: Path) -> list[SerializedDag]:
        self.loads.append(path.name)
        self.before(path.name)
        if path.name not in self.ids:
            raise DagFileError("broken", where=str(path))
        return [SerializedDag(dag_id=each, fileloc=str(path), tasks=()) for each in self.ids[path.name]]

    def take(self, *files: DagFile, changes: int) -> None:
        """Take these files, and wait until that many changes were told."""
        self.catalogue.take({file.path: file for file in files})
        for _ in range(changes):
            self.told.get(timeout=10)


@pytest.fixture
def shop() -> Iterator[Shop]:
    shop = Shop()
    yield shop
    shop.catalogue.stop()
    shop.catalogue.join()


def test_files_are_loaded_once_for_each_content(shop: Shop) -> None:
    shop.ids = {"a.py": ["one", "two"], "b.py": ["three"]}
    shop.take(make_file("a.py"), make_file("b.py"), changes=2)
    assert set(shop.index.dags()) == {"one", "two", "three"}
    shop.take(make_file("a.py"), make_file("b.py"), changes=0)
    shop.ids["a.py"] = ["one"]
    shop.take(make_file("a.py", "2"), make_file("b.py"), changes=1)
    assert set(shop.index.dags()) == {"one", "three"}
    assert sorted(shop.loads) == ["a.py", "a.py", "b.py"]


def test_a_file_that_is_gone_takes_its_dags_along(shop: Shop) -> None:
    shop.ids = {"a.py": ["one"], "b.py": ["two"]}
    shop.take(make_file("a.py"), make_file("b.py"), changes=2)
    shop.take(make_file("b.py"), changes=1)
    assert set(shop.index.dags()) == {"two"}
    shop.ids["c.py"] = ["one"]
    shop.take(make_file("b.py"), make_file("c.py"), changes=1)
    assert set(shop.index.dags()) == {"one", "two"}


def test_a_broken_file_says_why_and_keeps_the_dags_it_had(shop: Shop) -> None:
    shop.ids = {"a.py": ["one"]}
    shop.take(make_file("a.py"), changes=1)
    shop.ids = {}
    shop.take(make_file("a.py", "2"), changes=1)
    assert shop.index.errors()[Path("/dags/a.py")]["message"] == "broken"
    assert set(shop.index.dags()) == {"one"}
    shop.ids = {"a.py": ["one"]}
    shop.take(make_file("a.py", "3"), changes=1)
    assert shop.index.errors() == {}


def test_two_files_cannot_have_one_dag(shop: Shop) -> None:
    shop.ids = {"a.py": ["one"], "b.py": ["one"]}
    shop.take(make_file("a.py"), changes=1)
    shop.take(make_file("a.py"), make_file("b.py"), changes=1)
    (error,) = shop.index.errors().values()
    assert "'one', which /dags/a.py has too" in error["message"]
    assert shop.index.dags()["one"].fileloc == "/dags/a.py"


def test_files_are_loaded_side_by_side(shop: Shop) -> None:
    meeting = threading.Barrier(4, timeout=10)
    shop.before = lambda _name: meeting.wait() and None
    shop.ids = {f"{number}.py": [f"d{number}"] for number in range(4)}
    shop.take(*(make_file(name) for name in shop.ids), changes=4)
    assert len(shop.index.dags()) == 4


def test_what_changes_while_it_is_loaded_is_loaded_again(shop: Shop) -> None:
    began, go = threading.Event(), threading.Event()

    def wait(_name: str) -> None:
        began.set()
        assert go.wait(10)

    shop.before = wait
    shop.ids = {"a.py": ["one"]}
    shop.take(make_file("a.py"), changes=0)
    assert began.wait(10)
    shop.take(make_file("a.py", "2"), changes=0)
    go.set()
    assert (told := shop.told.get(timeout=10)) is not None
    assert told.digest == "2"
    assert shop.index.digests() == {Path("/dags/a.py"): "2"}
