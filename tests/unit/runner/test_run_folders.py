"""A run's tasks share a workspace, which stays, and a /tmp, which doesn't."""

import os
import shutil
from pathlib import Path

import pytest

from airdock.errors import ContainerError
from airdock.model.keys import RunKey
from airdock.runner.run_folders import RunFolders

RUN, OTHER = RunKey(dag_id="d", run_id="r/1"), RunKey(dag_id="d", run_id="r/2")


def test_both_are_there_for_every_task(tmp_path: Path) -> None:
    folders = RunFolders(tmp_path, remove=shutil.rmtree)
    workspace, tmp = folders.mounts(RUN)
    assert (workspace.target, tmp.target) == ("/workspace", "/tmp")
    assert not workspace.read_only and not tmp.read_only
    assert Path(workspace.source) == folders.workspace(RUN)
    assert Path(tmp.source).stat().st_mode & 0o7777 == 0o1777
    assert folders.mounts(RUN) == (workspace, tmp)
    assert folders.mounts(OTHER)[1] != tmp


def test_at_its_end_tmp_goes_and_the_workspace_stays(tmp_path: Path) -> None:
    folders = RunFolders(tmp_path, remove=shutil.rmtree)
    workspace, tmp = (Path(mount.source) for mount in folders.mounts(RUN))
    Path(folders.mounts(OTHER)[1].source, "other").touch()
    for folder in (workspace, tmp):
        (folder / "file").touch()
    folders.end(RUN)
    folders.join()
    assert (workspace / "file").exists() and not tmp.exists()
    assert Path(folders.mounts(OTHER)[1].source, "other").exists()
    folders.end(OTHER)
    folders.join()
    assert list((tmp_path / "run/tmp").iterdir()) == []
    folders.end(OTHER)


def test_an_empty_one_goes_at_once(tmp_path: Path) -> None:
    def never(folder: Path) -> None:
        raise AssertionError(folder)

    folders = RunFolders(tmp_path, remove=never)
    folders.mounts(RUN)
    folders.end(RUN)
    assert list((tmp_path / "run/tmp").iterdir()) == []


def test_what_cannot_be_removed_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def fail(folder: Path) -> None:
        raise ContainerError(f"{folder} is in use")

    folders = RunFolders(tmp_path, remove=fail)
    Path(folders.mounts(RUN)[1].source, "file").touch()
    folders.end(RUN)
    folders.join()
    assert "could not be removed" in caplog.text


def test_what_the_killed_left_is_swept(tmp_path: Path) -> None:
    folders = RunFolders(tmp_path, remove=shutil.rmtree)
    gone, open_run = (Path(folders.mounts(run)[1].source) for run in (RUN, OTHER))
    tests = [RunKey(dag_id="t", run_id=f"test__{number}") for number in range(2)]
    old, young = (Path(folders.mounts(run)[1].source) for run in tests)
    for folder in (gone, open_run, old, young):
        (folder / "file").touch()
    os.utime(old, (1, 1))
    folders.sweep(lambda: [OTHER])
    folders.join()
    assert [folder.exists() for folder in (gone, open_run, old, young)] == [False, True, False, True]


def test_where_nothing_is_left_nobody_is_asked(tmp_path: Path) -> None:
    def never() -> list[RunKey]:
        raise AssertionError

    RunFolders(tmp_path, remove=shutil.rmtree).sweep(never)
