"""The launcher's mounts by the recorder: ways around older kernels, refusals, and short names for many layers."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from airdock.errors import ContainerError, IsolationError
from airdock.runtime import mounts as mounts_module
from airdock.runtime.mounts import Mounts
from airdock.runtime.recorder import Call, Recorder
from airdock.runtime.refusal import RefusedError
from airdock.runtime.syscalls import MOUNT_ATTR_IDMAP, MOUNT_ATTR_RDONLY


def as_root(recorder: Recorder) -> Mounts:
    return Mounts(recorder, folder="/run/mounts", shifted=9, trusted=True)


def as_account(recorder: Recorder) -> Mounts:
    return Mounts(recorder, folder="/run/mounts", shifted=-1, trusted=False)


def options(recorder: Recorder) -> list[dict[str, str | None]]:
    return [call[2] for call in recorder.calls if call[0] == "new_mount"]


def attributes(recorder: Recorder) -> list[tuple[int, Call]]:
    return [(call[2], call) for call in recorder.calls if call[0] == "mount_setattr"]


def test_roots_layers_are_mapped_and_named_shortly() -> None:
    recorder = Recorder()
    as_root(recorder).open_root(["/layers/a", "/layers/b"], "/containers/x")
    assert [bool(set_ & MOUNT_ATTR_IDMAP and set_ & MOUNT_ATTR_RDONLY) for set_, _ in attributes(recorder)] == [
        True
    ] * 2
    (made,) = options(recorder)
    assert made["lowerdir"] == "2:1"  # the topmost first
    assert made["upperdir"] == "bundle/upper"
    assert "userxattr" not in made
    assert made["redirect_dir"] == "off"


def test_an_accounts_overlay_keeps_its_marks_in_user_attributes() -> None:
    recorder = Recorder()
    as_account(recorder).open_root(["/layers/a"], "/containers/x")
    (made,) = options(recorder)
    assert "userxattr" in made
    assert "redirect_dir" not in made
    assert ("make_link", "/layers/a", "1") in recorder.calls
    assert "mount_setattr" not in recorder.names()


def test_layers_are_mounted_once() -> None:
    recorder = Recorder()
    mounts = as_root(recorder)
    mounts.open_root(["/layers/a"], "/containers/x")
    mounts.open_root(["/layers/a", "/layers/b"], "/containers/y")
    assert recorder.names().count("mount_setattr") == 2
    assert [made["lowerdir"] for made in options(recorder)] == ["1", "2:1"]


def test_a_path_that_holds_another_folder_is_another_layer() -> None:
    recorder = Recorder()
    mounts = as_root(recorder)
    mounts.open_root(["/layers/a"], "/containers/x")
    recorder._state.on_identity = lambda path: (1, 99)  # type: ignore[method-assign]
    mounts.open_root(["/layers/a"], "/containers/y")
    assert [made["lowerdir"] for made in options(recorder)] == ["1", "2"]
    assert ("umount", "1") in recorder.calls


def test_old_layers_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounts_module, "MOST_LAYERS", 2)
    recorder = Recorder()
    mounts = as_root(recorder)
    for name in "abc":
        mounts.open_root([f"/layers/{name}"], "/containers/x")
    assert [call for call in recorder.calls if call[0] == "umount"] == [("umount", "1")]


def test_an_image_without_layers_has_an_empty_one() -> None:
    recorder = Recorder()
    as_root(recorder).open_root([], "/containers/x")
    assert options(recorder)[0]["lowerdir"] == "empty"


def test_a_kernel_without_volatile_overlays_syncs() -> None:
    recorder = Recorder(failures={"new_mount": lambda _, made, __: errno.EINVAL if "volatile" in made else 0})
    mounts = as_root(recorder)
    mounts.open_root(["/layers/a"], "/containers/x")
    mounts.open_root(["/layers/a"], "/containers/y")
    assert ["volatile" in made for made in options(recorder)] == [True, False, False]


def test_more_layers_than_a_string_holds_go_through_mount() -> None:
    recorder = Recorder()
    as_root(recorder).open_root([f"/layers/{number}" for number in range(120)], "/containers/x")
    assert "new_mount" not in recorder.names()
    (mounted,) = [call for call in recorder.calls if call[0] == "mount"]
    assert mounted[5].startswith("lowerdir=120:119:")
    assert len(mounted[5]) < 4096
    assert recorder.names()[-4:] == ["open_tree", "umount", "remove_link", "is_read_only"]


@pytest.mark.parametrize("make", [as_root, as_account])
def test_a_refused_overlay_is_a_refusal(make: Callable[[Recorder], Mounts]) -> None:
    recorder = Recorder(failures={"new_mount": errno.EPERM})
    with pytest.raises(RefusedError) as caught:
        make(recorder).open_root(["/layers/a"], "/containers/x")
    assert (caught.value.number, caught.value.step) == (errno.EPERM, "overlay")
    assert ("remove_link", "bundle") in recorder.calls


def test_an_overlay_that_came_out_read_only_is_noticed() -> None:
    recorder = Recorder(read_only=True)
    with pytest.raises(IsolationError, match="came out read-only") as caught:
        as_root(recorder).open_root(["/layers/a"], "/containers/x")
    assert "AIRDOCK_HOME" in caught.value.hint
    assert recorder.names()[-1] == "close"


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOSYS, errno.EPERM])
def test_layers_that_cannot_be_mapped_are_refused(code: int) -> None:
    recorder = Recorder(failures={"mount_setattr": code})
    with pytest.raises(IsolationError, match="can't map the ids of /layers/a") as caught:
        as_root(recorder).open_root(["/layers/a"], "/containers/x")
    assert "5.19" in caught.value.hint
    assert recorder.names().count("close") == 1


def refuse_mapping(_tree: int, attributes: int, **_: object) -> int:
    return errno.EINVAL if attributes & MOUNT_ATTR_IDMAP else 0


def test_a_read_only_bind_does_without_mapping() -> None:
    recorder = Recorder(failures={"mount_setattr": refuse_mapping})
    as_root(recorder).open_bind("/srv", read_only=True)
    assert [bool(set_ & MOUNT_ATTR_IDMAP) for set_, _ in attributes(recorder)] == [True, False]


def test_a_writable_bind_does_not() -> None:
    recorder = Recorder(failures={"mount_setattr": refuse_mapping})
    with pytest.raises(ContainerError, match="can't bind /srv for writing"):
        as_root(recorder).open_bind("/srv", read_only=False)
    assert recorder.names()[-1] == "close"


def test_the_machines_secrets_are_not_mapped() -> None:
    recorder = Recorder()
    as_root(recorder).open_bind("/etc", read_only=True)
    assert not any(set_ & MOUNT_ATTR_IDMAP for set_, _ in attributes(recorder))


def test_a_bind_of_what_is_not_there_says_so() -> None:
    recorder = Recorder(failures={"open_tree": errno.ENOENT})
    with pytest.raises(ContainerError, match="can't bind /nowhere: No such file or directory"):
        as_account(recorder).open_bind("/nowhere", read_only=True)


def test_a_bind_that_holds_the_launchers_folder_goes_without_its_mounts() -> None:
    """They are id-mapped already, so the tree with them could not be mapped; and they are nobody's business."""
    recorder = Recorder()
    mounts = Mounts(recorder, folder="/srv/home/run/mounts", shifted=7, trusted=True)
    mounts.open_bind("/srv/home", read_only=False)
    mounts.open_bind("/srv/other", read_only=False)
    opened = [call for call in recorder.calls if call[0] == "open_tree"]
    assert [("recursive", True) in call or True in call[2:] for call in opened] == [False, True]


def test_where_mounts_cannot_be_parted_the_bind_has_them() -> None:
    def refuse_parting(path: str, recursive: bool = False, **_: object) -> int:
        return 0 if recursive else errno.EINVAL

    recorder = Recorder(failures={"open_tree": refuse_parting})
    Mounts(recorder, folder="/srv/home/run/mounts", shifted=-1, trusted=False).open_bind("/srv/home", read_only=True)
    assert recorder.names().count("open_tree") == 2


@pytest.mark.parametrize("mode", [0o700, 0o750, 0o754])
def test_what_not_everybody_may_read_is_refused_where_ids_cannot_be_mapped(tmp_path: Path, mode: int) -> None:
    """Inside, its owner shows as nobody: it would look empty, for no reason that anybody could see there."""
    tmp_path.chmod(mode)
    mounts = Mounts(Recorder(failures={"mount_setattr": refuse_mapping}), folder="/x", shifted=7, trusted=True)
    with pytest.raises(ContainerError, match="only what everybody may read") as caught:
        mounts.open_bind(str(tmp_path), read_only=True)
    assert "chmod a+rX" in caught.value.hint
    tmp_path.chmod(0o755)
    mounts.open_bind(str(tmp_path), read_only=True)
