"""Tells apart what two test runners on one machine leave there: one of them runs in cgroups of its own, with a mark.

    python -m tests.apart MARK COMMAND…    run the command in such cgroups, and in a mount namespace of its own

Whatever it starts, however far away that goes, stays below these cgroups. A runner whose own name has no mark belongs
with everything that has none.
"""

import contextlib
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["MARK", "enter", "is_ours", "is_process_ours", "leave"]

MARK: Final = "AIRDOCK_TESTS_APART"
"""The variable of a runner that is apart: the name of its cgroups."""

_NAME: Final = re.compile(r"/(apart-\d+)")
_PATIENCE_S: Final = 10.0
_MS_PRIVATE: Final = 1 << 18
"""linux/mount.h"""


def is_ours(cgroups: str) -> bool:
    """Whether what is at these paths of cgroups belongs to this test runner."""
    mark, marks = os.environ.get(MARK), set(_NAME.findall(cgroups))
    return mark in marks if mark else not marks


def is_process_ours(pid: int | str) -> bool:
    """As `is_ours`, of a process; one that is gone is nobody's."""
    try:
        return is_ours(Path(f"/proc/{pid}/cgroup").read_text())
    except OSError:
        return False


def enter(mark: str) -> None:
    """Go into cgroups of this name, below those that we are in, and into a mount namespace of our own. Needs root."""
    from airdock.runtime.syscalls import CLONE_NEWNS, MS_REC, Syscalls

    for folder in _own():
        with contextlib.suppress(OSError):  # one hierarchy that takes us is enough, and some want to be set up first
            (folder / mark).mkdir(exist_ok=True)
            (folder / mark / "cgroup.procs").write_text("0")
    calls = Syscalls()
    calls.unshare(CLONE_NEWNS)
    calls.mount("", "", "/", MS_REC | _MS_PRIVATE)
    os.environ[MARK] = mark


def leave(mark: str) -> None:
    """Remove the cgroups of this name once nobody is in them any more."""
    deadline = time.monotonic() + _PATIENCE_S
    while (left := [each for folder in _own() for each in _tree(folder / mark)]) and time.monotonic() < deadline:
        for each in left:
            with contextlib.suppress(OSError):
                each.rmdir()
        time.sleep(0.05)


def _tree(folder: Path) -> list[Path]:
    return [Path(each) for each, _, _ in os.walk(folder, topdown=False)]


def _own() -> Iterator[Path]:
    """The folders of our cgroups, one in each hierarchy that is mounted."""
    paths = dict(line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines())
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        names = {""} if kind == "cgroup2" else set(options.split(",")) if kind == "cgroup" else set()
        for controllers, path in paths.items():
            if names & set(controllers.split(",")):
                yield Path(before.split()[4]) / path.lstrip("/")


if __name__ == "__main__":
    enter(sys.argv[1])
    os.execvp(sys.argv[2], sys.argv[2:])
