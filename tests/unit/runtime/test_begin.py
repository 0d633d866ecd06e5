"""The launcher's first move is made where it may be made, and is no matter where not."""

import os
from pathlib import Path

import pytest

from airdock.runtime import begin


def _moved(tmp_path: Path, cgroups: str) -> int:
    """Have a child move itself; gives its exit code."""
    (tmp_path / "cgroup").write_text(cgroups)
    pid = os.fork()
    if pid == 0:
        begin.move(proc=str(tmp_path / "cgroup"), mounts=str(tmp_path))
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize(
    ("cgroups", "folder"),
    [
        ("0::/user/me\n", "user/me"),
        ("4:memory:/a\n0::/\n", "memory/a"),
        ("9:name=systemd:/\n2:cpu,cpuacct:/b\n", "cpu,cpuacct/b"),
    ],
    ids=["v2", "v1", "several"],
)
def test_it_moves_into_its_own_cgroup(tmp_path: Path, cgroups: str, folder: str) -> None:
    procs = tmp_path / folder / "cgroup.procs"
    procs.parent.mkdir(parents=True)
    procs.touch()
    assert _moved(tmp_path, cgroups) == 0
    assert procs.read_text() == "0"


@pytest.mark.parametrize("cgroups", ["", "0::/elsewhere\n"], ids=["none", "not there"])
def test_where_it_may_not_nothing_happens(tmp_path: Path, cgroups: str) -> None:
    assert _moved(tmp_path, cgroups) == 0
