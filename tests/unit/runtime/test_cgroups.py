"""Finding our cgroup, a place below or beside it, limits, measuring, killing and removing, on pretended trees."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airdock.model.usage import Resources, Usage, UsageSource
from airdock.runtime.cgroup_base import NoCgroup, Tree
from airdock.runtime.cgroup_v2 import LEAF
from airdock.runtime.cgroups import Cgroups, open_cgroup, parse_mounts

ME = 4242
ALL = Resources(memory_bytes=64 << 20, cpus=1.5, pids=100)
DEBIAN_12 = "29 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n"
HYBRID = """\
31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
32 31 0:29 / {root}/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / {root}/memory rw - cgroup cgroup rw,memory
39 31 0:36 / {root}/pids rw - cgroup cgroup rw,pids
40 31 0:37 / {root}/systemd rw - cgroup cgroup rw,name=systemd
41 31 0:38 / {root}/unified rw - cgroup2 cgroup2 rw
"""


def is_me(pid: int) -> bool:
    return pid == ME


def make_v2(tree: Any, own: str, is_ours: Callable[[int], bool] = is_me) -> Cgroups:
    return Cgroups(version="v2", own={"unified": own}, mount=str(tree.root), tree=tree, is_ours=is_ours)


@pytest.fixture
def delegated(tree: Any) -> str:
    """A cgroup that is ours, with us in it, below one that isn't: what `systemd-run --scope -p Delegate=yes` gives."""
    tree.write(f"{tree.root}/cgroup.subtree_control", "+memory +cpu +pids")
    tree.make(f"{tree.root}/scope")
    tree.put(f"{tree.root}/scope", ME)
    tree.denied.add(str(tree.root))
    return f"{tree.root}/scope"


# Finding


def test_mounts_are_told_apart() -> None:
    first, second = parse_mounts(DEBIAN_12 + r"1 1 0:1 /a\040b /c\040d rw - cgroup cgroup rw,cpu,cpuacct")
    assert (first.folder, first.unified) == ("/sys/fs/cgroup", True)
    assert (second.root, second.folder) == ("/a b", "/c d")
    assert {"cpu", "cpuacct"} <= second.controllers


def make_proc(folder: Path, mountinfo: str, cgroup: str) -> str:
    (folder / "proc/self").mkdir(parents=True)
    (folder / "proc/self/mountinfo").write_text(mountinfo)
    (folder / "proc/self/cgroup").write_text(cgroup)
    return str(folder / "proc")


def test_hybrid_is_relative_to_our_own_cgroup(tmp_path: Path) -> None:
    for folder in ("cpu,cpuacct/jobs", "memory/mine/deep", "pids", "unified"):
        (tmp_path / folder).mkdir(parents=True)
    lines = "9:name=systemd:/\n8:pids:/\n4:memory:/mine/deep\n2:cpu,cpuacct:/jobs\n0::/\n"
    found = Cgroups.detect(proc=make_proc(tmp_path, HYBRID.format(root=tmp_path), lines))
    assert (found.version, found.controllers, found.reason) == ("hybrid", {"memory", "cpu", "pids"}, "")
    made = found.create("x", Resources(cpus=1.0))
    assert made.folders == {
        "memory": f"{tmp_path}/memory/mine/deep/airdock-x",
        "cpuacct": f"{tmp_path}/cpu,cpuacct/jobs/airdock-x",
        "cpu": f"{tmp_path}/cpu,cpuacct/jobs/airdock-x",
    }


def test_inside_a_container_the_mount_shows_a_part(tmp_path: Path) -> None:
    (tmp_path / "memory/deeper").mkdir(parents=True)
    mount = f"35 31 0:32 /docker/abc {tmp_path}/memory rw - cgroup cgroup rw,memory\n"
    found = Cgroups.detect(proc=make_proc(tmp_path, mount, "4:memory:/docker/abc/deeper\n"))
    assert found.create("x", Resources()).folders["memory"] == f"{tmp_path}/memory/deeper/airdock-x"
    assert found.version == "v1"
    assert found.reason == "no cpu, pids controller is mounted"


def test_a_path_outside_of_the_mount_means_the_mount(tmp_path: Path) -> None:
    (tmp_path / "memory").mkdir()
    mount = f"35 31 0:32 /docker/abc {tmp_path}/memory rw - cgroup cgroup rw,memory\n"
    found = Cgroups.detect(proc=make_proc(tmp_path, mount, "4:memory:/docker/abcdef\n"))
    assert found.create("x", Resources()).folders == {"memory": f"{tmp_path}/memory/airdock-x"}


@pytest.mark.parametrize("mountinfo", ["", "1 1 0:1 / / rw - ext4 /dev/sda rw\n"])
def test_none(tmp_path: Path, mountinfo: str) -> None:
    found = Cgroups.detect(proc=make_proc(tmp_path, mountinfo, "0::/\n"))
    assert (found.version, found.reason) == ("none", "no cgroup filesystem is mounted")
    made = found.create("x", ALL)
    assert (made.limits, made.lacking, made.usage(), made.oom_killed()) == (Resources(), found.reason, None, False)
    made.attach(1)
    made.kill()
    made.remove()


def test_v1_of_an_ordinary_account(tmp_path: Path) -> None:
    for folder in ("cpu,cpuacct", "memory", "pids", "unified"):
        (tmp_path / folder).mkdir()
    proc = make_proc(tmp_path, HYBRID.format(root=tmp_path), "8:pids:/\n4:memory:/\n2:cpu,cpuacct:/\n0::/\n")

    class ReadOnly(Tree):
        def is_writable(self, path: str) -> bool:
            return False

        def make(self, folder: str) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

    found = Cgroups.detect(proc=proc, tree=ReadOnly())
    assert found.controllers == frozenset()
    assert found.reason == f"{tmp_path}/cpu,cpuacct is not writable, and cgroup v1 can't be handed to an account"
    made = found.create("x", Resources(memory_bytes=1))
    assert (made.limits, made.lacking) == (Resources(), found.reason)
    assert found.create("y", Resources()).lacking == ""


# A place in version 2


def test_the_real_root_needs_no_stepping_down(tree: Any) -> None:
    tree.put(str(tree.root), 1, 2, ME)
    made = make_v2(tree, str(tree.root)).create("x", ALL)
    assert made.folders == {"unified": f"{tree.root}/airdock-x"}
    assert (made.limits, made.lacking) == (ALL, "")
    assert tree.words(tree.root, "cgroup.procs") == ["1", "2", str(ME)]


def test_we_step_down_in_a_scope_of_our_own_and_come_back(tree: Any, delegated: str) -> None:
    found = make_v2(tree, delegated)
    assert not Path(delegated, LEAF).exists()  # finding out changes nothing
    made = found.create("x", ALL)
    assert tree.words(Path(delegated, LEAF), "cgroup.procs") == [str(ME)]
    assert made.limits == ALL
    found.close()
    assert Path(delegated, LEAF).exists()  # a container is still there
    made.remove()
    found.close()
    assert tree.words(Path(delegated), "cgroup.procs") == [str(ME)]
    assert [path.name for path in Path(delegated).iterdir() if path.is_dir()] == []
    found.close()


def test_a_second_launcher_started_in_the_leaf_uses_the_same_place(tree: Any, delegated: str) -> None:
    make_v2(tree, delegated).create("first", ALL)
    made = make_v2(tree, f"{delegated}/{LEAF}").create("second", ALL)
    assert made.folders == {"unified": f"{delegated}/airdock-second"}
    assert made.limits == ALL


def test_among_strangers_containers_go_beside_us(tree: Any) -> None:
    tree.write(f"{tree.root}/cgroup.subtree_control", "+memory +pids")
    tree.make(f"{tree.root}/session")
    tree.put(f"{tree.root}/session", ME, 77)
    found = make_v2(tree, f"{tree.root}/session")
    made = found.create("x", ALL)
    assert made.folders == {"unified": f"{tree.root}/airdock-x"}
    assert made.limits == Resources(memory_bytes=ALL.memory_bytes, pids=ALL.pids)
    assert made.lacking == "the cpu controller isn't handed to us"
    assert found.reason == f"{tree.root} has no cpu controller"
    assert "Delegate='cpu memory pids'" in found.hint


def test_at_the_root_of_a_cgroup_namespace_everybody_steps_down(tree: Any) -> None:
    tree._put(tree.root, "cgroup.type", "domain\n")  # what only a cgroup that isn't the real root has
    tree.put(str(tree.root), 1, 33, ME)
    made = make_v2(tree, str(tree.root)).create("x", ALL)
    assert tree.words(tree.root / LEAF, "cgroup.procs") == ["1", "33", str(ME)]
    assert made.limits == ALL


def test_a_cgroup_that_is_not_ours_says_how_to_get_one(tree: Any, delegated: str) -> None:
    tree.denied.add(delegated)
    found = make_v2(tree, delegated)
    assert found.reason == f"the cgroup {delegated} isn't ours to divide"
    assert found.hint == "systemd-run --user --scope -p Delegate=yes airdock …"
    made = found.create("x", ALL)
    assert isinstance(made, NoCgroup)
    assert made.lacking == found.reason


def test_without_controllers_there_is_still_time_to_count(make_tree: Callable[..., Any]) -> None:
    tree = make_tree(controllers="hugetlb")
    made = make_v2(tree, str(tree.root)).create("x", Resources())
    Path(made.folders["unified"], "cpu.stat").write_text("usage_usec 2500000\n")
    assert (made.cpu_s(), made.memory_peak_bytes(), made.usage()) == (2.5, None, None)


# One container


def test_limits_of_version_2(tree: Any) -> None:
    folder = Path(make_v2(tree, str(tree.root)).create("x", ALL).folders["unified"])
    written = {name: (folder / name).read_text() for name in ("memory.max", "memory.swap.max", "cpu.max", "pids.max")}
    assert written == {
        "memory.max": str(64 << 20),
        "memory.swap.max": "0",
        "cpu.max": "150000 100000",
        "pids.max": "100",
    }


def test_what_was_not_asked_for_stays_open(tree: Any) -> None:
    made = make_v2(tree, str(tree.root)).create("x", Resources(pids=5))
    assert made.limits == Resources(pids=5)
    assert Path(made.folders["unified"], "memory.max").read_text() == "max"


def test_usage_and_memory_kills(tree: Any) -> None:
    made = make_v2(tree, str(tree.root)).create("x", ALL)
    folder = Path(made.folders["unified"])
    assert not made.oom_killed()
    (folder / "memory.peak").write_text("67108864\n")
    (folder / "cpu.stat").write_text("usage_usec 1250000\nuser_usec 1\n")
    (folder / "memory.events").write_text("low 0\nhigh 0\nmax 9\noom 3\noom_kill 2\n")
    assert made.usage() == Usage(memory_peak_bytes=64 << 20, cpu_s=1.25, source=UsageSource.CGROUP)
    assert (made.oom_kills(), made.oom_killed()) == (2, True)


def test_a_kernel_without_memory_peak(make_tree: Callable[..., Any]) -> None:
    tree = make_tree(lacking=("memory.peak", "memory.swap.max"))
    made = make_v2(tree, str(tree.root)).create("x", ALL)
    assert (made.limits, made.memory_peak_bytes(), made.usage()) == (ALL, None, None)


def test_attach_and_who_is_in(tree: Any) -> None:
    made = make_v2(tree, str(tree.root)).create("x", ALL)
    made.attach(ME)
    made.attach(999999)  # gone before it could join
    assert (made.processes(), made.limits) == ([ME], ALL)


def test_a_process_that_can_not_join_is_not_limited(tree: Any) -> None:
    made = make_v2(tree, str(tree.root)).create("x", ALL)
    tree.denied.add(made.folders["unified"])
    made.attach(ME)
    assert made.limits == Resources()
    assert made.lacking.startswith(f"process {ME} could not join")


def test_a_limit_that_the_kernel_refuses_is_told(tree: Any) -> None:
    tree.refused.add("cpu.max")
    made = make_v2(tree, str(tree.root)).create("x", ALL)
    assert made.limits == Resources(memory_bytes=ALL.memory_bytes, pids=ALL.pids)
    assert made.lacking == "cpu.max could not be set to '150000 100000': Invalid argument"


def test_kill_by_the_kernel(tree: Any) -> None:
    made = make_v2(tree, str(tree.root)).create("x", ALL)
    tree.put(made.folders["unified"], 11, 12)
    made.kill()
    assert made.processes() == []
    assert Path(made.folders["unified"], "cgroup.kill").read_text() == "1"


def test_removal_waits_for_the_last_process_and_goes_from_the_bottom_up(tree: Any) -> None:
    made = make_v2(tree, str(tree.root)).create("x", ALL)
    inner = f"{made.folders['unified']}/inner"
    tree.make(inner)
    tree.put(inner, 11)
    made.remove()
    assert not Path(made.folders["unified"]).exists()
    assert tree.waits > 0
    made.remove()


def test_leftovers_are_found_by_their_folders(tree: Any) -> None:
    made = make_v2(tree, str(tree.root)).create("x", ALL)
    tree.put(made.folders["unified"], 11)
    found = open_cgroup(made.folders, tree=tree)
    assert found.processes() == [11]
    found.kill()
    found.remove()
    assert not Path(made.folders["unified"]).exists()
    assert open_cgroup({}).processes() == []
    assert open_cgroup({"memory": "/nowhere/airdock-x"}).memory_peak_bytes() is None


def test_a_name_that_is_taken_is_no_failure(tree: Any) -> None:
    found = make_v2(tree, str(tree.root))
    found.create("x", ALL)
    assert found.create("x", ALL).lacking == f"{tree.root}/airdock-x could not be made: File exists"


def test_what_killed_launchers_left_is_swept(tree: Any) -> None:
    found = Cgroups(
        version="v2",
        own={"unified": str(tree.root)},
        mount=str(tree.root),
        tree=tree,
        is_alive=lambda pid: pid == "11",
    )
    for name in ("airdock-10-1", "airdock-10-2", "airdock-11-1", "airdock-self", "airdock-x", "other-10-1"):
        tree.make(f"{tree.root}/{name}")
    tree.put(f"{tree.root}/airdock-10-2", 77)
    assert found.sweep() == [f"{tree.root}/airdock-10-1"]
    assert not Path(f"{tree.root}/airdock-10-1").exists()
    assert Path(f"{tree.root}/airdock-11-1").exists()


def test_v1_memory_is_never_above_memory_and_swap(tmp_path: Path) -> None:
    """The kernel refuses that even for a moment, so the order of the two files depends on what is in them."""

    class Strict(Tree):
        def write(self, path: str, text: str) -> None:
            (tmp_path / path).write_text(text)
            memory, both = (int((tmp_path / name).read_text()) for name in names)
            assert memory <= both

    names = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
    for name in names:
        (tmp_path / name).write_text(str(1 << 62))
    cgroup = open_cgroup({"memory": str(tmp_path)}, tree=Strict())
    for limit in (64 << 20, 128 << 20, 32 << 20, 32 << 20):
        cgroup.limit(Resources(memory_bytes=limit))
        assert [(tmp_path / name).read_text() for name in names] == [str(limit)] * 2
        assert (cgroup.limits, cgroup.lacking) == (Resources(memory_bytes=limit), "")
