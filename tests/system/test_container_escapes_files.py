"""A hostile container swaps folders for links while files are copied: nothing of the machine is read or written."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airdock.containers import rooted
from airdock.containers.rooted import open_in, walk

Account = Any
"""`conftest.Account`; conftest can't be imported by name."""


@pytest.fixture(params=[open_in, walk], ids=["openat2", "by hand"])
def opening(request: pytest.FixtureRequest) -> Callable[[int, str, int], int]:
    """Both ways to open a path inside a root."""
    found: Callable[[int, str, int], int] = request.param
    return found


@pytest.fixture
def root(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A root folder with a secret beside it."""
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "root/folder").mkdir(parents=True)
    (tmp_path / "root/folder/secret").write_text("own")
    (tmp_path / "root/secret").write_text("root's own")
    descriptor = os.open(tmp_path / "root", os.O_PATH | os.O_DIRECTORY)
    yield tmp_path / "root", descriptor
    os.close(descriptor)


@pytest.mark.parametrize(
    ("target", "path", "found"),
    [
        ("..", "/link/secret", "root's own"),
        ("../../../..", "link/secret", "root's own"),
        ("/", "link/secret", "root's own"),
        ("/folder", "link/secret", "own"),
        ("folder/", "link/secret", "own"),
        ("../folder/../../secret", "link", "root's own"),
        ("folder", "../../link/../folder/./secret", "own"),
        ("secret", "link", "root's own"),
    ],
)
def test_a_path_ends_inside(
    opening: Callable[[int, str, int], int], root: tuple[Path, int], target: str, path: str, found: str
) -> None:
    (root[0] / "link").symlink_to(target)
    with open(opening(root[1], path, os.O_RDONLY)) as file:
        assert file.read() == found


def test_links_that_go_round_and_nothing(opening: Callable[[int, str, int], int], root: tuple[Path, int]) -> None:
    (root[0] / "link").symlink_to("link")
    (root[0] / "gone").symlink_to(f"{root[0].parent}/secret")
    for path, error in (("link", OSError), ("gone", FileNotFoundError), ("secret/x", NotADirectoryError)):
        with pytest.raises(error):
            opening(root[1], path, os.O_RDONLY)
    for flags in (os.O_RDONLY | os.O_NOFOLLOW,):
        with pytest.raises(OSError, match="symbolic links"):
            opening(root[1], "gone", flags)


def test_links_of_proc_lead_nowhere(opening: Callable[[int, str, int], int]) -> None:
    everything = os.open("/", os.O_PATH)
    inside = os.open("/proc", os.O_PATH)
    try:
        with pytest.raises(OSError):
            os.close(opening(inside, f"{os.getpid()}/root/etc/passwd", os.O_RDONLY))
    finally:
        os.close(everything)
        os.close(inside)


def test_without_openat2_paths_are_walked(root: tuple[Path, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooted, "_OPENAT2", 100_000)  # the kernel says that it knows no such call
    (root[0] / "link").symlink_to("/folder")
    with open(open_in(root[1], "link/secret", os.O_RDONLY)) as file:
        assert file.read() == "own"


def test_swapping_while_a_path_is_opened(opening: Callable[[int, str, int], int], root: tuple[Path, int]) -> None:
    folder, descriptor = root
    (folder / "evil").symlink_to("../..")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            (folder / "folder").rename(folder / "aside")
            (folder / "evil").rename(folder / "folder")
            (folder / "folder").rename(folder / "evil")
            (folder / "aside").rename(folder / "folder")

    thread = threading.Thread(target=swap)
    thread.start()
    seen = set()
    try:
        for _ in range(3000):
            try:
                with open(opening(descriptor, "folder/secret", os.O_RDONLY)) as file:
                    seen.add(file.read())
            except (FileNotFoundError, NotADirectoryError):
                continue
    finally:
        stop.set()
        thread.join()
    assert "own" in seen
    assert seen <= {"own", "root's own"}


_SWAP = """
mkdir -p /d/real /aside; echo own > /d/real/f; ln -s "$1" /evil; echo ready
while :; do mv /d/real /aside/r; mv /evil /d/real; mv /d/real /evil; mv /aside/r /d/real; done
"""


@pytest.mark.usefixtures("unchanged_machine")
def test_a_container_that_swaps_folders_while_cp_runs(account: Account) -> None:
    name = "swapping"
    account.run("sh", "-c", "rm -rf trap got; mkdir -p trap got give; echo secret > trap/f; echo planted > give/p")
    trap = account.home / "trap"
    made = account.airdock("container", "run", "-d", "--name", name, "host", "sh", "-c", _SWAP, "sh", str(trap))
    assert made.returncode == 0, made.stderr
    try:
        for number in range(3):
            account.airdock("container", "cp", f"{name}:/d/real/.", str(account.home / f"got/{number}"))
            account.airdock("container", "cp", f"{name}:/d", str(account.home / f"got/d{number}"))
            account.airdock("container", "cp", str(account.home / "give"), f"{name}:/d/real/")
        contents = {path.read_text() for path in (account.home / "got").rglob("f") if not path.is_symlink()}
        assert contents <= {"own\n"}, "a file of the machine came out through the container"
        assert {path.name for path in trap.iterdir()} == {"f"}, "a file was planted on the machine"
    finally:
        account.airdock("container", "rm", "-f", name)
