"""What a DAG folder holds, and that its changes are told."""

import os
import queue
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from airdock.loading.folder import DagFile, DagFolder
from airdock.loading.watch import Watcher

TEXT = "from airdock.sdk import DAG\n"


class Seen:
    """What was told, in order."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._told: queue.Queue[Mapping[Path, DagFile]] = queue.Queue()
        self.watcher = Watcher(DagFolder(root), changed=self._told.put)

    def until(self, *names: str, digest_of: str = "", other_than: str = "") -> str:
        """Wait until just these files are there; returns the digest of one of them, which isn't `other_than`."""
        while True:
            found = self._told.get(timeout=10)
            digest = found[self._root / digest_of].digest if self._root / digest_of in found else ""
            if {str(path.relative_to(self._root)) for path in found} == set(names) and (
                not digest_of or digest != other_than
            ):
                return digest


@pytest.fixture
def seen(tmp_path: Path) -> Iterator[Seen]:
    (tmp_path / "first.py").write_text(TEXT)
    seen = Seen(tmp_path)
    seen.watcher.start()
    seen.until("first.py")
    yield seen
    seen.watcher.stop()
    seen.watcher.join()


def test_a_new_file_is_seen(seen: Seen, tmp_path: Path) -> None:
    (tmp_path / "second.py").write_text(TEXT)
    seen.until("first.py", "second.py")


def test_a_file_that_is_written_again_is_seen(seen: Seen, tmp_path: Path) -> None:
    (tmp_path / "first.py").write_text(TEXT + "x = 1\n")
    one = seen.until("first.py", digest_of="first.py")
    (tmp_path / "first.py").write_text(TEXT + "x = 2\n")
    assert seen.until("first.py", digest_of="first.py", other_than=one) != one


def test_an_editors_save_by_renaming_is_seen(seen: Seen, tmp_path: Path) -> None:
    (tmp_path / ".first.py.swp").write_text(TEXT + "y = 1\n")
    os.rename(tmp_path / "first.py", tmp_path / "first.py~")
    os.rename(tmp_path / ".first.py.swp", tmp_path / "first.py")
    assert seen.until("first.py", digest_of="first.py")


def test_a_file_that_goes_is_seen(seen: Seen, tmp_path: Path) -> None:
    (tmp_path / "first.py").unlink()
    seen.until()


def test_files_in_new_folders_are_seen_however_deep(seen: Seen, tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b" / "c"
    deep.mkdir(parents=True)
    (deep / "deep.py").write_text(TEXT)
    seen.until("first.py", "a/b/c/deep.py")
    (deep / "more.py").write_text(TEXT)
    seen.until("first.py", "a/b/c/deep.py", "a/b/c/more.py")


def test_a_folder_that_moves_takes_its_files_along(seen: Seen, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "one.py").write_text(TEXT)
    seen.until("first.py", "old/one.py")
    (tmp_path / "old").rename(tmp_path / "new")
    seen.until("first.py", "new/one.py")
    (tmp_path / "new" / "two.py").write_text(TEXT)
    seen.until("first.py", "new/one.py", "new/two.py")


def test_an_ignore_file_takes_effect_at_once(seen: Seen, tmp_path: Path) -> None:
    (tmp_path / ".airflowignore").write_text("fir*\n")
    seen.until()


def test_what_is_no_dag_file_is_left_out(tmp_path: Path) -> None:
    for name, text in {
        "yes.py": "from airflow import DAG",
        "words.py": "import airflow",
        "other.py": "a dag",
        "notes.txt": "dag airflow",
        ".hidden/x.py": TEXT,
        "__pycache__/y.py": TEXT,
        "UPPER.py": "AIRFLOW DAG",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "up").symlink_to(tmp_path)
    (tmp_path / "nowhere.py").symlink_to(tmp_path / "missing")
    assert {path.name for path in DagFolder(tmp_path).scan()} == {"yes.py", "UPPER.py"}


def test_a_file_that_did_not_change_is_not_read_again(tmp_path: Path) -> None:
    file = tmp_path / "one.py"
    file.write_text(TEXT)
    os.utime(file, (1, 1))
    folder = DagFolder(tmp_path)
    (first,) = folder.scan().values()
    file.write_text(TEXT.replace("DAG", "Dag"))
    os.utime(file, (1, 1))  # same size, time and inode: taken for the same
    assert list(folder.scan().values()) == [first]


@pytest.mark.parametrize(
    ("rules", "ignored"),
    [
        ("a.py", {"a.py", "sub/a.py", "sub/deep/a.py"}),
        ("/a.py", {"a.py"}),
        ("sub/", {"sub/a.py", "sub/b.py", "sub/deep/a.py"}),
        ("sub/*.py", {"sub/a.py", "sub/b.py"}),
        ("**/deep/*", {"sub/deep/a.py"}),
        ("sub/**", {"sub/a.py", "sub/b.py", "sub/deep/a.py"}),
        ("*.py\n!b.py", {"a.py", "sub/a.py", "sub/deep/a.py"}),
        ("# a.py\n\n[ab].py", {"a.py", "b.py", "sub/a.py", "sub/b.py", "sub/deep/a.py"}),
        ("[!a].py", {"b.py", "sub/b.py"}),
        ("?.p?", {"a.py", "b.py", "sub/a.py", "sub/b.py", "sub/deep/a.py"}),
        ("a.py/", set()),
        ("x(+", set()),
    ],
)
def test_ignore_rules(tmp_path: Path, rules: str, ignored: set[str]) -> None:
    names = {"a.py", "b.py", "sub/a.py", "sub/b.py", "sub/deep/a.py"}
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(TEXT)
    (tmp_path / ".airflowignore").write_text(rules)
    found = {str(path.relative_to(tmp_path)) for path in DagFolder(tmp_path).scan()}
    assert names - found == ignored


def test_an_ignore_file_of_a_folder_counts_below_it(tmp_path: Path) -> None:
    for name in ("a.py", "sub/a.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(TEXT)
    (tmp_path / "sub" / ".airflowignore").write_text("/a.py")
    assert list(DagFolder(tmp_path).scan()) == [tmp_path / "a.py"]


def test_stopping_before_starting_is_harmless(tmp_path: Path) -> None:
    watcher: Callable[[], Watcher] = lambda: Watcher(DagFolder(tmp_path), changed=lambda _found: None)  # noqa: E731
    made = watcher()
    made.stop()
    made.join()
