"""Downloads that broke off: counted, kept for whoever is at work on them, removed when they are in the way."""

import os
import time
from pathlib import Path

import pytest

from airdock.images.downloads import Downloads
from airdock.images.locks import hold_lock

OLD = time.time() - 30 * 24 * 3600


@pytest.fixture
def downloads(tmp_path: Path) -> Downloads:
    return Downloads(root=tmp_path)


def write(path: Path, size: int = 8192, *, age: float = 0.0) -> Path:
    path.write_bytes(os.urandom(size))
    if age:
        os.utime(path, (age, age))
    return path


def test_where_nothing_was_downloaded_there_is_nothing(downloads: Downloads) -> None:
    assert (downloads.size(), downloads.drop()) == ((0, 0), 0)
    assert not downloads.folder.exists()


def test_what_somebody_is_at_work_on_stays(downloads: Downloads) -> None:
    with downloads.claim("aa") as path:
        write(path)
        write(downloads.folder / "bb")
        assert downloads.size() == (16384, 8192)
        assert downloads.drop() == 8192
        assert [one.name for one in downloads.folder.iterdir() if not one.name.endswith(".lock")] == ["aa"]
    assert downloads.drop() == 8192
    assert list(downloads.folder.iterdir()) == []


def test_what_nobody_went_on_with_for_a_week_goes_by_itself(downloads: Downloads) -> None:
    with downloads.claim("aa"):
        write(downloads.folder / "bb", age=OLD)
        write(downloads.folder / "cc")
        write(downloads.folder / "dd", age=OLD)
        with hold_lock(downloads.folder / "dd.lock"), downloads.claim("ee"):
            assert sorted(one.name for one in downloads.folder.iterdir()) == [
                "aa.lock",
                "cc",
                "dd",
                "dd.lock",
                "ee.lock",
            ]


def test_until_spares_what_came_since(downloads: Downloads) -> None:
    downloads.folder.mkdir()
    write(downloads.folder / "aa", age=time.time() - 3600)
    write(downloads.folder / "bb")
    assert downloads.drop(before=time.time() - 60) == 8192
    assert [one.name for one in downloads.folder.iterdir()] == ["bb"]


def test_pipes_go_when_nobody_has_them_open(downloads: Downloads) -> None:
    downloads.folder.mkdir()
    left, used = downloads.make_pipe(), downloads.make_pipe()
    for path in (left, used):
        os.utime(path, (OLD, OLD))
    descriptor = os.open(used, os.O_RDWR | os.O_NONBLOCK)
    try:
        downloads.drop()
        assert list(downloads.folder.iterdir()) == [used]
    finally:
        os.close(descriptor)


def test_nothing_else_is_touched(downloads: Downloads, tmp_path: Path) -> None:
    downloads.folder.mkdir()
    secret = write(tmp_path / "secret")
    (downloads.folder / "aa").symlink_to(secret)
    (downloads.folder / "bb").mkdir()
    assert downloads.drop() == 0
    assert secret.exists() and (downloads.folder / "bb").is_dir()
