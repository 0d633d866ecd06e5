"""A pretended cgroup v2 filesystem for the tests of cgroups: files in a folder that follow the kernel's rules.

Making a folder makes its control files; a process is in one cgroup at a time; a cgroup that hands controllers on
takes no processes; only what the parent hands on has files; cgroup.kill empties; only empty folders go away.
"""

import errno
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from airdock.runtime.cgroup_base import Tree

FILES = {
    "memory": {"memory.max": "max", "memory.swap.max": "max", "memory.events": "low 0\noom 0\noom_kill 0\n"},
    "cpu": {"cpu.max": "max 100000"},
    "pids": {"pids.max": "max"},
}


class PretendedTree(Tree):
    """`denied` are folders that can't be written to, `refused` files that take no value, `lacking` files that this
    kernel doesn't have."""

    def __init__(self, root: Path, *, controllers: str = "cpu io memory pids", lacking: tuple[str, ...] = ()) -> None:
        self.root = root
        self.denied: set[str] = set()
        self.refused: set[str] = set()
        self.lacking = set(lacking)
        self.waits = 0
        root.mkdir()
        self._fill(root, controllers.split())

    def make(self, folder: str) -> None:
        if Path(folder).parent.as_posix() in self.denied:
            raise PermissionError(errno.EACCES, "Permission denied")
        super().make(folder)
        self._fill(Path(folder), self.words(Path(folder).parent, "cgroup.subtree_control"))
        self._put(Path(folder), "cgroup.type", "domain\n")

    def remove(self, folder: str) -> None:
        path = Path(folder)
        if not path.exists():
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")
        if self.words(path, "cgroup.procs") or any(child.is_dir() for child in path.iterdir()):
            raise OSError(errno.EBUSY, "Device or resource busy")
        shutil.rmtree(path)

    def write(self, path: str, text: str) -> None:
        file = Path(path)
        if file.parent.as_posix() in self.denied:
            raise PermissionError(errno.EACCES, "Permission denied")
        if file.name in self.refused:
            raise OSError(errno.EINVAL, "Invalid argument")
        match file.name:
            case "cgroup.procs":
                self._join(file.parent, text)
            case "cgroup.subtree_control":
                self._hand_on(file.parent, text.split())
            case "cgroup.kill":
                super().write(path, text)
                (file.parent / "cgroup.procs").write_text("")
            case _:
                super().write(path, text)

    def is_writable(self, path: str) -> bool:
        file = Path(path)
        folder = file if file.is_dir() else file.parent
        return file.exists() and folder.as_posix() not in self.denied

    def wait_until_empty(self, folder: str, timeout_s: float) -> None:
        """Whoever still lives in it ends while we wait."""
        self.waits += 1
        (Path(folder) / "cgroup.procs").write_text("")

    def words(self, folder: Path, name: str) -> list[str]:
        return (folder / name).read_text().split()

    def put(self, folder: str, *pids: int) -> None:
        (Path(folder) / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in pids))

    def _join(self, folder: Path, pid: str) -> None:
        if pid == "999999":
            raise ProcessLookupError(errno.ESRCH, "No such process")
        if folder != self.root and self.words(folder, "cgroup.subtree_control"):
            raise OSError(errno.EBUSY, "Device or resource busy")
        for file in self.root.rglob("cgroup.procs"):
            file.write_text("".join(f"{word}\n" for word in file.read_text().split() if word != pid))
        with (folder / "cgroup.procs").open("a") as file_:
            file_.write(f"{pid}\n")

    def _hand_on(self, folder: Path, changes: list[str]) -> None:
        names = set(self.words(folder, "cgroup.subtree_control"))
        for change in changes:
            if change[1:] not in self.words(folder, "cgroup.controllers"):
                raise OSError(errno.ENOENT, "No such file or directory")
            names = names | {change[1:]} if change[0] == "+" else names - {change[1:]}
        if names and folder != self.root and self.words(folder, "cgroup.procs"):
            raise OSError(errno.EBUSY, "Device or resource busy")
        (folder / "cgroup.subtree_control").write_text(" ".join(sorted(names)))
        for child in folder.iterdir():
            if child.is_dir():
                self._fill(child, sorted(names), is_new=False)

    def _fill(self, folder: Path, controllers: list[str], *, is_new: bool = True) -> None:
        files = {"cgroup.controllers": " ".join(controllers)}
        if is_new:
            files |= {"cgroup.procs": "", "cgroup.subtree_control": "", "cgroup.kill": "", "cgroup.freeze": "0"}
            files |= {"cpu.stat": "usage_usec 0\nuser_usec 0\n", "cgroup.events": "populated 0\n"}
        for controller in controllers:
            files |= FILES.get(controller, {}) | ({"memory.peak": "0"} if controller == "memory" else {})
        for name, text in files.items():
            self._put(folder, name, text)

    def _put(self, folder: Path, name: str, text: str) -> None:
        if name not in self.lacking:
            (folder / name).write_text(text)


@pytest.fixture
def make_tree(tmp_path: Path) -> Callable[..., PretendedTree]:
    """Makes a pretended tree; keyword arguments as PretendedTree's."""
    return lambda **arguments: PretendedTree(tmp_path / "cgroup", **arguments)


@pytest.fixture
def tree(make_tree: Callable[..., PretendedTree]) -> PretendedTree:
    return make_tree()
