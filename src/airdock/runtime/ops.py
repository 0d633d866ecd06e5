"""The single steps that make a container's inside, each a value that says what and can do it.

They run in the container's first process, in order, after `AttachRoot` has made the prepared root folder "/". From
then on every path is looked up inside that root, so a hostile image's links lead nowhere else; what comes from the
machine comes by descriptors that were opened before (`Inside.trees`) or from the old root, which is out of reach of
paths and goes away with `DetachOldRoot`.
"""

import errno
import posixpath
from dataclasses import dataclass, field
from typing import Final, Protocol

from airdock.errors import ContainerError
from airdock.record import record
from airdock.runtime.syscalls import (
    CLONE_NEWNET,
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_RDONLY,
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
    Syscalls,
)

__all__ = [
    "AttachRoot",
    "AttachSys",
    "BindTree",
    "DetachOldRoot",
    "HostDevice",
    "HostSys",
    "Inside",
    "Link",
    "LockMounts",
    "MakeFolder",
    "Mask",
    "MountNew",
    "Op",
    "OwnNetwork",
    "ReadOnlyPath",
    "ReadOnlyRoot",
    "SetHostname",
    "SetKernel",
]

_STRICT: Final = MS_NOSUID | MS_NODEV | MS_NOEXEC


@dataclass(kw_only=True, slots=True)
class Inside:
    """What the steps work with. `mount_points` collects the paths that had to be made, parents first."""

    syscalls: Syscalls
    root: int
    trees: tuple[int, ...] = ()
    sysfs: int = -1
    old_root: int = -1
    mount_points: list[str] = field(default_factory=list)

    def need(self, path: str, *, folder: bool) -> None:
        """Have a folder or file at `path` to mount on, without leaving a trace in the times of its parent."""
        kind = self.syscalls.kind(path)
        if kind == ("folder" if folder else "file"):
            return
        if kind:
            wanted = "folder" if folder else "file"
            raise ContainerError(f"expected {path} in the image to be a {wanted} to mount on, found a {kind}")
        parent = posixpath.dirname(path)
        if parent != "/":
            self.need(parent, folder=True)
        times = self.syscalls.times(parent)
        try:
            if folder:
                self.syscalls.make_folder(path)
            else:
                self.syscalls.make_file(path)
        except OSError as error:
            if error.errno == errno.EEXIST and self.syscalls.kind(path) == ("folder" if folder else "file"):
                return  # somebody made it meanwhile: what is bound above may be bound into other containers too
            why = "it is a link that leads nowhere" if error.errno == errno.EEXIST else error.strerror
            raise ContainerError(
                f"expected {path} in the image to mount on, found none, and can't make it: {why}"
            ) from error
        if self.syscalls.identity(parent)[0] == self.syscalls.identity("/")[0]:
            self.mount_points.append(path)
        self.syscalls.set_times(parent, times)


class Op(Protocol):
    """One step. Raises OSError or ContainerError."""

    def apply(self, inside: Inside) -> None: ...


@record
class SetHostname:
    name: str
    domain: str = ""

    def apply(self, inside: Inside) -> None:
        if self.name:
            inside.syscalls.sethostname(self.name)
        if self.domain:
            inside.syscalls.setdomainname(self.domain)


@record
class SetKernel:
    """A setting of sysctl(8) that belongs to one of the container's namespaces."""

    name: str
    value: str

    def apply(self, inside: Inside) -> None:
        try:
            inside.syscalls.write_file(f"/proc/sys/{self.name.replace('.', '/')}", self.value)
        except OSError as error:
            raise ContainerError(
                f"can't set {self.name} to {self.value!r}: {error.strerror}",
                where="--sysctl",
                hint="net.* takes a network of its own, kernel.shm* and kernel.msg* a kernel that lets containers",
            ) from error


@record
class OwnNetwork:
    """A network namespace with nothing in it but loopback, which has to be brought up by hand."""

    def apply(self, inside: Inside) -> None:
        inside.syscalls.unshare(CLONE_NEWNET)
        inside.syscalls.loopback_up()


@record
class AttachRoot:
    """Make the prepared tree the root: attach it at `place` (relative: its parents may not be entered by us), pivot."""

    place: str

    def apply(self, inside: Inside) -> None:
        calls = inside.syscalls
        calls.move_mount(inside.root, self.place)
        inside.old_root = calls.open_path("/")
        calls.change_folder(self.place)
        calls.pivot_root(".", ".")
        calls.change_folder("/")


@record
class DetachOldRoot:
    """After this nothing of the machine's files can be reached but what was bound."""

    def apply(self, inside: Inside) -> None:
        inside.syscalls.change_folder(inside.old_root)
        inside.syscalls.umount(".")
        inside.syscalls.change_folder("/")
        inside.syscalls.close(inside.old_root)


@record
class MountNew:
    """Mount a fresh filesystem. `fallback` is a step for where the kernel refuses with EPERM, EINVAL or ENODEV."""

    fstype: str
    target: str
    flags: int = 0
    data: str = ""
    fallback: "Op | None" = None

    def apply(self, inside: Inside) -> None:
        _need_plain_folder(inside, self.target)
        try:
            inside.syscalls.mount(self.fstype, self.fstype, self.target, self.flags, self.data)
        except OSError as error:
            if self.fallback is None or error.errno not in {errno.EPERM, errno.EINVAL, errno.ENODEV, errno.EBUSY}:
                raise
            self.fallback.apply(inside)


@record
class BindTree:
    """Attach one of the trees that were opened on the machine."""

    index: int
    target: str

    def apply(self, inside: Inside) -> None:
        tree = inside.trees[self.index]
        inside.need(self.target, folder=inside.syscalls.is_folder(tree))
        inside.syscalls.move_mount(tree, self.target)


@record
class HostDevice:
    """A device node of the machine, bound since a user namespace can't make nodes."""

    name: str

    def apply(self, inside: Inside) -> None:
        calls = inside.syscalls
        tree = calls.open_tree(f"dev/{self.name}", folder=inside.old_root)
        calls.make_file(f"/dev/{self.name}")
        calls.move_mount(tree, f"/dev/{self.name}")
        calls.close(tree)


@record
class HostSys:
    """The machine's /sys, with all that is mounted in it, read-only."""

    target: str

    def apply(self, inside: Inside) -> None:
        calls = inside.syscalls
        _need_plain_folder(inside, self.target)
        tree = calls.open_tree("sys", folder=inside.old_root, recursive=True)
        attributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC
        calls.mount_setattr(tree, attributes, recursive=True)
        calls.move_mount(tree, self.target)
        calls.close(tree)


@record
class AttachSys:
    """The /sys of a network namespace that was joined; where it could not be had, the machine's."""

    target: str

    def apply(self, inside: Inside) -> None:
        if inside.sysfs < 0:
            HostSys(target=self.target).apply(inside)
            return
        _need_plain_folder(inside, self.target)
        inside.syscalls.move_mount(inside.sysfs, self.target)
        inside.syscalls.close(inside.sysfs)


@record
class Link:
    path: str
    target: str

    def apply(self, inside: Inside) -> None:
        inside.syscalls.make_link(self.target, self.path)


@record
class MakeFolder:
    """The working folder, made where the image lacks it; not a mount point, so a commit keeps it."""

    path: str

    def apply(self, inside: Inside) -> None:
        if inside.syscalls.kind(self.path):
            return
        parent = posixpath.dirname(self.path)
        if parent != "/":
            MakeFolder(path=parent).apply(inside)
        inside.syscalls.make_folder(self.path)


@record
class Mask:
    """Hide a file behind /dev/null or a folder behind an empty one; what isn't there needs no mask."""

    path: str

    def apply(self, inside: Inside) -> None:
        kind = inside.syscalls.kind(self.path)
        if kind == "folder":
            inside.syscalls.mount("tmpfs", "tmpfs", self.path, MS_RDONLY | _STRICT, "size=0k,nr_inodes=2")
        elif kind:
            inside.syscalls.mount("", "/dev/null", self.path, MS_BIND)


@record
class ReadOnlyPath:
    path: str

    def apply(self, inside: Inside) -> None:
        if inside.syscalls.kind(self.path):
            inside.syscalls.mount("", self.path, self.path, MS_BIND | MS_REC)
            inside.syscalls.mount("", "", self.path, MS_BIND | MS_REMOUNT | MS_RDONLY | _STRICT)


@record
class ReadOnlyRoot:
    """Nothing below "/" but mounts can be written from here on."""

    def apply(self, inside: Inside) -> None:
        inside.syscalls.mount("", "", "/", MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NODEV)


@record
class LockMounts:
    """For a container that may mount: it could make the machine's folders writable again, or look below a mask."""

    def apply(self, inside: Inside) -> None:
        inside.syscalls.lock_mounts()


def _need_plain_folder(inside: Inside, path: str) -> None:
    """The kernel's own filesystems go to no place that an image has chosen with a link."""
    if inside.syscalls.is_link(path):
        raise ContainerError(f"expected {path} in the image to be a folder, found a link")
    inside.need(path, folder=True)
