"""Removing what containers left."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from airdock.runtime.removal import remove_bundle, remove_small_bundle, remove_tree


def make(folder: Path) -> None:
    for name in ("upper/a/b", "work/work"):
        (folder / name).mkdir(parents=True)
    (folder / "upper/a/b/file").touch()
    (folder / "state.json").touch()
    os.chmod(folder / "work/work", 0)
    os.chmod(folder / "upper/a", 0o500)


@pytest.mark.parametrize("remove", [remove_bundle, remove_small_bundle])
def test_nothing_stays_whatever_the_modes(remove: Callable[[str], object], tmp_path: Path) -> None:
    make(tmp_path / "x")
    remove(str(tmp_path / "x"))
    remove(str(tmp_path / "x"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("remove", [remove_bundle, remove_small_bundle])
def test_upper_can_be_kept(remove: Callable[[str, bool], object], tmp_path: Path) -> None:
    make(tmp_path / "x")
    remove(str(tmp_path / "x"), True)
    assert os.listdir(tmp_path / "x") == ["upper"]
    assert (tmp_path / "x/upper/a/b/file").exists()


def test_a_large_one_is_left_to_somebody_who_has_the_time(tmp_path: Path) -> None:
    (tmp_path / "x/upper").mkdir(parents=True)
    for number in range(100):
        (tmp_path / f"x/upper/{number}").touch()
    assert not remove_small_bundle(str(tmp_path / "x"))
    assert len(os.listdir(tmp_path / "x/upper")) == 100


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/kept").touch()
    (tmp_path / "x").mkdir()
    (tmp_path / "x/link").symlink_to(tmp_path / "outside")
    (tmp_path / "direct").symlink_to(tmp_path / "outside")
    assert remove_small_bundle(str(tmp_path / "x"))
    remove_tree(str(tmp_path / "direct"))
    assert (tmp_path / "outside/kept").exists()


def test_two_may_remove_the_same_at_once(tmp_path: Path) -> None:
    for index in range(2000):
        (tmp_path / f"x/{index % 7}/{index}").mkdir(parents=True)
    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(remove_tree, str(tmp_path / "x")) for _ in range(4)]:
            done.result()
    assert list(tmp_path.iterdir()) == []
