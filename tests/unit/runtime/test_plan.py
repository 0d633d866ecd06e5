"""Plans as lists of steps, and the calls that the steps make, by the recorder."""

import errno

import pytest

from airdock.errors import ContainerError
from airdock.model.mount import Mount
from airdock.runtime.ops import (
    AttachRoot,
    BindTree,
    DetachOldRoot,
    HostDevice,
    HostSys,
    Inside,
    Link,
    MakeFolder,
    Mask,
    MountNew,
    OwnNetwork,
    ReadOnlyPath,
    ReadOnlyRoot,
    SetHostname,
)
from airdock.runtime.plan import DEVICES, Facts, plan
from airdock.runtime.recorder import Recorder
from airdock.runtime.spec import MASKED_PATHS, make_config

ROOT = Facts(mapping="root")
ONE = Facts(mapping="one")


def inside(recorder: Recorder, trees: tuple[int, ...] = ()) -> Inside:
    return Inside(syscalls=recorder, root=50, trees=trees)


def test_the_old_root_goes_before_any_path_that_an_image_or_a_neighbour_has_made() -> None:
    binds = [Mount(source="/w", target="/workspace")]
    steps = plan(make_config(argv=["true"], binds=binds, tmpfs=["/tmp"], cwd="/srv"), ROOT).setup
    at = steps.index(DetachOldRoot())
    kernels = {"/proc", "/dev", "/dev/pts", "/dev/shm", "/sys/fs/cgroup"}
    assert isinstance(steps[0], AttachRoot)
    assert {step.target for step in steps[:at] if isinstance(step, MountNew | BindTree)} == kernels
    assert {step.target for step in steps[at:] if isinstance(step, MountNew | BindTree)} == {"/workspace", "/tmp"}
    assert all(steps.index(step) < at for step in steps if isinstance(step, HostDevice | HostSys))


def test_dev_has_the_harmless_devices_only() -> None:
    steps = plan(make_config(argv=["true"]), ROOT).setup
    assert tuple(step.name for step in steps if isinstance(step, HostDevice)) == DEVICES
    assert {step.path for step in steps if isinstance(step, Link)} == {
        "/dev/fd",
        "/dev/stdin",
        "/dev/stdout",
        "/dev/stderr",
        "/dev/ptmx",
    }


def test_sys_is_fresh_only_with_a_network_of_its_own() -> None:
    host = plan(make_config(argv=["true"]), ROOT).setup
    none = plan(make_config(argv=["true"], network="none"), ROOT).setup
    assert HostSys(target="/sys") in host
    assert OwnNetwork() not in host
    assert OwnNetwork() in none
    (sysfs,) = [step for step in none if isinstance(step, MountNew) and step.fstype == "sysfs"]
    assert sysfs.fallback == HostSys(target="/sys")


def test_one_id_has_no_group_for_terminals() -> None:
    def options(facts: Facts) -> str:
        steps = plan(make_config(argv=["true"]), facts).setup
        return next(step.data for step in steps if isinstance(step, MountNew) and step.fstype == "devpts")

    assert "gid=5" in options(ROOT)
    assert "gid=5" not in options(ONE)


def test_only_a_unified_hierarchy_is_shown() -> None:
    config = make_config(argv=["true"])
    target = "/sys/fs/cgroup"
    hidden = [step for step in plan(config, ROOT).setup if isinstance(step, MountNew) and step.target == target]
    shown = [
        step
        for step in plan(config, Facts(mapping="root", cgroup2=True)).setup
        if isinstance(step, MountNew) and step.target == target
    ]
    assert [step.fstype for step in hidden] == ["tmpfs"]
    assert [step.fstype for step in shown] == ["cgroup2"]
    assert shown[0].fallback == hidden[0]


def test_binds_are_opened_by_the_launcher_and_attached_inside() -> None:
    config = make_config(
        argv=["true"],
        binds=[Mount(source="/usr", target="/usr"), Mount(source="/w", target="/workspace", read_only=False)],
    )
    planned = plan(config, ROOT)
    assert [(tree.source, tree.read_only) for tree in planned.trees] == [("/usr", True), ("/w", False)]
    assert [step for step in planned.setup if isinstance(step, BindTree)] == [
        BindTree(index=0, target="/usr"),
        BindTree(index=1, target="/workspace"),
    ]


@pytest.mark.parametrize("target", ["relative", "../up", ""])
def test_a_target_must_be_absolute(target: str) -> None:
    config = make_config(argv=["true"], binds=[Mount(source="/x", target=target)])
    with pytest.raises(ContainerError, match="expected the mount target to be an absolute path"):
        plan(config, ROOT)


def test_targets_do_not_climb() -> None:
    config = make_config(argv=["true"], binds=[Mount(source="/x", target="/a/../../b")])
    assert BindTree(index=0, target="/b") in plan(config, ROOT).setup


def test_hostname_folder_and_a_read_only_root_are_in_the_plan() -> None:
    steps = plan(make_config(argv=["true"], hostname="box", cwd="/srv/x", read_only_root=True), ROOT).setup
    assert steps[0] == SetHostname(name="box")
    assert steps[-2:] == (MakeFolder(path="/srv/x"), ReadOnlyRoot())


def test_masked_paths_are_masked() -> None:
    steps = plan(make_config(argv=["true"]), ROOT).setup
    assert {step.path for step in steps if isinstance(step, Mask)} == set(MASKED_PATHS)
    assert ReadOnlyPath(path="/proc/sys") in steps


def test_the_root_is_attached_by_a_relative_path() -> None:
    recorder = Recorder()
    AttachRoot(place="root").apply(inside(recorder))
    assert recorder.calls == [
        ("move_mount", 50, "root"),
        ("open_path", "/"),
        ("change_folder", "root"),
        ("pivot_root", ".", "."),
        ("change_folder", "/"),
    ]


def test_missing_mount_points_are_made_and_remembered() -> None:
    recorder = Recorder(files={"/host/file"})
    tree = recorder.open_tree("/host/file")
    here = inside(recorder, (tree,))
    BindTree(index=0, target="/a/b/file").apply(here)
    assert here.mount_points == ["/a", "/a/b", "/a/b/file"]
    made = [call for call in recorder.calls if call[0].startswith(("make_", "set_times", "move_"))]
    assert made == [
        ("make_folder", "/a"),
        ("set_times", "/", (0, 0)),
        ("make_folder", "/a/b"),
        ("set_times", "/a", (0, 0)),
        ("make_file", "/a/b/file"),
        ("set_times", "/a/b", (0, 0)),
        ("move_mount", tree, "/a/b/file"),
    ]


def test_what_is_there_is_not_made() -> None:
    recorder = Recorder(folders={"/", "/usr"})
    here = inside(recorder, (60,))
    BindTree(index=0, target="/usr").apply(here)
    assert here.mount_points == []
    assert not any(name.startswith("make_") for name in recorder.names())


def test_a_file_is_not_mounted_on_a_folder() -> None:
    recorder = Recorder(folders={"/", "/x"}, files={"/host/file"})
    tree = recorder.open_tree("/host/file")
    with pytest.raises(ContainerError, match="expected /x in the image to be a file to mount on, found a folder"):
        BindTree(index=0, target="/x").apply(inside(recorder, (tree,)))


def test_a_link_that_leads_nowhere_is_no_mount_point() -> None:
    recorder = Recorder(links={"/x"})
    with pytest.raises(ContainerError, match="it is a link that leads nowhere"):
        BindTree(index=0, target="/x").apply(inside(recorder, (60,)))


def test_what_another_container_makes_meanwhile_is_taken() -> None:
    def too_late(path: str) -> int:
        recorder._state.folders.add(path)
        return errno.EEXIST

    recorder = Recorder(failures={"make_folder": too_late})
    here = inside(recorder, (60,))
    BindTree(index=0, target="/x").apply(here)
    assert here.mount_points == []


def test_the_kernels_filesystems_follow_no_links() -> None:
    recorder = Recorder(folders={"/", "/proc"}, links={"/proc"})
    with pytest.raises(ContainerError, match="expected /proc in the image to be a folder, found a link"):
        MountNew(fstype="proc", target="/proc").apply(inside(recorder))
    assert "mount" not in recorder.names()


def test_what_the_kernel_refuses_has_a_way_around() -> None:
    recorder = Recorder(
        failures={"mount": lambda fstype, *_: errno.EPERM if fstype == "sysfs" else 0}, folders={"/", "/sys"}
    )
    MountNew(fstype="sysfs", target="/sys", fallback=HostSys(target="/sys")).apply(inside(recorder))
    assert recorder.names()[-4:] == ["open_tree", "mount_setattr", "move_mount", "close"]


def test_without_a_way_around_a_refusal_is_told() -> None:
    recorder = Recorder(failures={"mount": errno.EPERM}, folders={"/", "/proc"})
    with pytest.raises(PermissionError):
        MountNew(fstype="proc", target="/proc").apply(inside(recorder))


def test_files_are_masked_by_null_and_folders_by_nothing() -> None:
    recorder = Recorder(folders={"/", "/proc/acpi"}, files={"/proc/kcore"})
    for path in ("/proc/acpi", "/proc/kcore", "/proc/absent"):
        Mask(path=path).apply(inside(recorder))
    mounts = [call for call in recorder.calls if call[0] == "mount"]
    assert [(call[1], call[2], call[3]) for call in mounts] == [
        ("tmpfs", "tmpfs", "/proc/acpi"),
        ("", "/dev/null", "/proc/kcore"),
    ]


def test_a_whole_plan_applies() -> None:
    recorder = Recorder(folders={"/", "/sys", "/proc", "/proc/sys"})
    here = inside(recorder)
    for step in plan(make_config(argv=["true"], cwd="/a/b"), ROOT).setup:
        step.apply(here)
    assert here.mount_points[:1] == ["/dev"]
    assert ("umount", ".") in recorder.calls
