"""What is newer than Linux 6.1 is done without, and what 6.1 may lack in other ways has a way around: each one forced.

docs/troubleshooting.md has the list. Overlays that sync, ids that can't be mapped, and kernels without memory.peak are
in test_mounts.py and test_cgroups.py.
"""

import errno
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airdock.containers import rooted
from airdock.errors import ContainerError
from airdock.model.usage import Resources
from airdock.runtime import syscalls
from airdock.runtime.cgroups import Cgroups
from airdock.runtime.mounts import Mounts
from airdock.runtime.recorder import Recorder

NEWEST = 450
"""set_mempolicy_home_node, the last call of Linux 6.1: cachestat, 451, came with 6.5."""
SOURCE = Path(syscalls.__file__).parents[1]


def test_no_call_is_newer_than_linux_6_1() -> None:
    numbers = {
        made.name: made.head[0]
        for made in vars(syscalls).values()
        if isinstance(made, syscalls._Function) and made.head
    }
    assert "openat2" in numbers and "mount_setattr" in numbers
    assert {name: number for name, number in numbers.items() if number > NEWEST} == {}


def test_numbers_elsewhere_are_no_newer() -> None:
    """Whoever calls by number has it in a constant of its own: rooted's openat2, and none beyond 6.1's."""
    found = {}
    for path in SOURCE.rglob("*.py"):
        text = path.read_text()
        if re.search(r"\.syscall\(\w", text) and "seccomp" not in path.name:
            found[path.name] = [int(number) for number in re.findall(r"^_[A-Z0-9_]+: Final = (\d{3})$", text, re.M)]
    assert "rooted.py" in found
    assert max(number for numbers in found.values() for number in numbers) <= NEWEST


@pytest.mark.parametrize("shifted", [-1, 9])
def test_a_part_of_an_overlay_is_cloned_once_it_is_attached(shifted: int) -> None:
    """Only Linux 6.15 clones a part of a mount that is nowhere."""
    attached: list[str] = []

    def clone_attached(path: str, **options: Any) -> int:
        return errno.EINVAL if "folder" in options or (path.startswith("root") and not attached) else 0

    def attach(_tree: int, target: str) -> int:
        attached.append(target)
        return 0

    recorder = Recorder(failures={"open_tree": clone_attached, "move_mount": attach})
    mounts = Mounts(recorder, folder="/run/mounts", shifted=shifted, trusted=shifted >= 0)
    mounts.open_stack(["/layers/a"], "usr/share", "/scratch", read_only=True)
    assert attached[-1] == "root"
    assert recorder.names()[-3:] == ["umount", "close", "mount_setattr"]


def test_a_part_that_cannot_be_cloned_leaves_nothing_attached() -> None:
    recorder = Recorder(failures={"open_tree": errno.EINVAL})
    mounts = Mounts(recorder, folder="/run/mounts", shifted=-1, trusted=False)
    with pytest.raises(ContainerError, match="can't bind /usr"):
        mounts.open_stack(["/layers/a"], "usr", "/scratch", read_only=True)
    assert recorder.names()[-2:] == ["umount", "close"]


def test_a_tmpfs_without_mapped_ids_is_bound_read_only_or_refused(tmp_path: Path) -> None:
    """A tmpfs maps ids from Linux 6.3 on."""
    tmp_path.chmod(0o755)
    recorder = Recorder(
        failures={"mount_setattr": lambda _, attributes, **__: errno.EINVAL if attributes & 0x100000 else 0}
    )
    mounts = Mounts(recorder, folder="/run/mounts", shifted=9, trusted=True)
    assert mounts.open_bind(str(tmp_path), read_only=True) > 0
    with pytest.raises(ContainerError) as caught:
        mounts.open_bind(str(tmp_path), read_only=False)
    assert "Linux 6.3" in caught.value.hint


@pytest.mark.parametrize("can_freeze", [True, False])
def test_a_kernel_without_cgroup_kill(
    make_tree: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, can_freeze: bool
) -> None:
    """Before 5.14: who is in it is killed one by one, frozen meanwhile where that goes."""
    tree = make_tree()
    tree.refused |= {"cgroup.kill"} if can_freeze else {"cgroup.kill", "cgroup.freeze"}
    made = Cgroups(
        version="v2", own={"unified": str(tree.root)}, mount=str(tree.root), tree=tree, is_ours=lambda _: True
    ).create("x", Resources())
    tree.put(made.folders["unified"], 11, 12)
    killed: list[int] = []
    frozen: list[str] = []

    def kill(pid: int, _number: int) -> None:
        killed.append(pid)
        frozen.append(Path(made.folders["unified"], "cgroup.freeze").read_text())

    monkeypatch.setattr(os, "kill", kill)
    made.kill()
    assert killed == [11, 12]
    assert set(frozen) == {"1" if can_freeze else "0"}
    assert made.processes() == []
    assert Path(made.folders["unified"], "cgroup.freeze").read_text() == "0"


@pytest.fixture
def tree_with_links(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/name").write_text("inside")
    (tmp_path / "up").symlink_to("../../../../etc/name")
    (tmp_path / "absolute").symlink_to("/etc/name")
    (tmp_path / "round").symlink_to("round")
    return tmp_path


@pytest.mark.parametrize("number", [437, 9999], ids=["openat2", "without"])
def test_paths_stay_in_their_root_without_openat2(
    tree_with_links: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A number that no kernel has: it says ENOSYS, as those before 5.6 do."""
    monkeypatch.setattr(rooted, "_OPENAT2", number)
    root = os.open(tree_with_links, os.O_PATH)
    try:
        for path in ("etc/name", "/etc/name", "up", "absolute", "../../etc/name"):
            descriptor = rooted.open_in(root, path, os.O_RDONLY)
            assert os.read(descriptor, 100) == b"inside", path
            os.close(descriptor)
        with pytest.raises(OSError) as caught:
            rooted.open_in(root, "round", os.O_RDONLY)
        assert caught.value.errno == errno.ELOOP
        assert rooted.open_or_none(root, "nothing/here") is None
    finally:
        os.close(root)
