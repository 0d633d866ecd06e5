"""What the launcher mounts before a container is there: layers, the overlay that becomes its root, and binds.

All of it needs rights that the container won't have. The results are detached mounts, given by descriptor; the
container attaches them in a mount namespace of its own. The launcher works in a tmpfs that only its own mount namespace
has, with short names, because the options of an overlay must fit into one page:

    <folder>/mounts/      the launcher's working folder
      root                where each container attaches its root, in its own namespace
      empty               a lower folder for images without layers
      1 2 3 …             layers: id-mapped mounts as root, links otherwise; the oldest go when there are many
      bundle              a link to the folder that holds upper and work, while an overlay is being made
"""

import errno
import os
import stat
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from airdock.errors import ContainerError, IsolationError
from airdock.runtime.idmaps import ROOT_SHIFT
from airdock.runtime.refusal import RefusedError
from airdock.runtime.syscalls import (
    MOUNT_ATTR_IDMAP,
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_RDONLY,
    MS_NODEV,
    MS_NOSUID,
    MS_REC,
    MS_SLAVE,
    Syscalls,
)

__all__ = ["Mounts", "is_below"]

MOST_LAYERS: Final = 256
MOST_OPTION_BYTES: Final = 255
_WITH_SECRETS: Final = frozenset({"/etc", "/"})
"""Read-only, these come as anybody sees them: a container's root isn't to read /etc/shadow or the keys of services."""
_NO_IDMAP: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM})


class Mounts:
    """The launcher's mounts. `shifted` is the user namespace that layers are id-mapped with, -1 for none; `trusted`
    says whether overlays may use `trusted.` attributes, which takes real root."""

    def __init__(self, syscalls: Syscalls, *, folder: str, shifted: int, trusted: bool) -> None:
        self._calls = syscalls
        self._folder = folder
        self._shifted = shifted
        self._trusted = trusted
        self._volatile = True
        self._next = 1
        self._layers: OrderedDict[str, tuple[str, int, int]] = OrderedDict()

    def enter(self) -> None:
        """Make the launcher's tmpfs and work in it. The mount namespace must be its own by now."""
        if self._trusted:
            # The machine's unmounts shall reach us, or we'd keep its disks busy; ours shall not reach the machine.
            self._calls.mount("", "", "/", MS_REC | MS_SLAVE)
        self._calls.mount("tmpfs", "airdock", self._folder, MS_NODEV, "mode=755,size=1m")
        self._calls.change_folder(self._folder)
        for name in ("root", "empty"):
            self._calls.make_folder(name)

    def open_root(self, layers: Sequence[str], bundle: str) -> int:
        """The overlay of `layers` (lowest first) and bundle/upper as a detached mount.

        Raises IsolationError where layers can't be mounted or the result can't be written.
        """
        names = [self._layer(path) for path in layers] or ["empty"]
        try:
            self._calls.make_link(bundle, "bundle")
            # An overlay takes no folder twice. Of equal layers only the highest counts, so the others may go.
            tree = self._overlay(":".join(dict.fromkeys(reversed(names))))
        except OSError as error:
            raise RefusedError(error.errno, "overlay", f"on {bundle}; {error.filename}") from error
        finally:
            self._calls.remove_link("bundle")
        if self._calls.is_read_only(tree):
            self._calls.close(tree)
            raise IsolationError(
                f"the root of a container came out read-only: expected {bundle} to take an overlay's upper folder",
                where=bundle,
                hint="put AIRDOCK_HOME on ext4, xfs or btrfs",
            )
        return tree

    def open_stack(self, layers: Sequence[str], path: str, scratch: str, *, read_only: bool) -> int:
        """What is at `path` in the overlay of `layers` (lowest first) as a detached mount; what is written goes to
        scratch/upper. No link may be on the way to `path`. Raises ContainerError."""
        tree = self.open_root(layers, scratch)
        try:
            if path:
                tree = self._cut(tree, path)
            attributes = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | (MOUNT_ATTR_RDONLY if read_only else 0)
            self._calls.mount_setattr(tree, attributes)
        except BaseException as error:
            self._calls.close(tree)
            if not isinstance(error, OSError):
                raise
            raise ContainerError(f"can't bind /{path} of a stage or image: {error.strerror}", where=path) from error
        return tree

    def _cut(self, tree: int, path: str) -> int:
        """The part of a detached mount below `path`, in its place; kernels before 6.15 clone attached ones only."""
        self._calls.move_mount(tree, "root")
        try:
            parts = path.split("/")
            for depth in range(1, len(parts) + 1):
                here = "/".join(parts[:depth])
                if parts[depth - 1] in ("", ".", "..") or self._calls.is_link(f"root/{here}"):
                    raise ContainerError(f"expected a plain path in a stage or image, found {here!r}", where=path)
            part = self._calls.open_tree(f"root/{path}")
        finally:
            self._calls.umount("root")
        self._calls.close(tree)
        return part

    def open_bind(self, source: str, *, read_only: bool, is_device: bool = False) -> int:
        """A host path as a detached mount, with ids mapped where they are shifted. Raises ContainerError."""
        try:
            device = _device_of(source) if is_device else None
            if device is not None and self._shifted >= 0:
                return self._make_device(*device)
            tree = self._open_source(os.path.realpath(source))
        except OSError as error:
            raise ContainerError(f"can't bind {source}: {error.strerror}", where=source) from error
        try:
            if device is not None:
                self._calls.mount_setattr(tree, MOUNT_ATTR_NOSUID)
            else:
                self._set_bind(tree, source, read_only=read_only)
        except BaseException:
            self._calls.close(tree)
            raise
        return tree

    def _open_source(self, path: str) -> int:
        """A tree of `path` with what is mounted below, but without the launcher's own mounts where those are below.

        They are nobody's business, and their ids are mapped already, which can't be done twice; so then the tree goes
        without any mount below `path`.
        """
        if is_below(os.path.realpath(self._folder), path):
            try:
                return self._calls.open_tree(path)
            except OSError as error:
                # An ordinary account may not part a mount from what the machine has mounted on it.
                if error.errno != errno.EINVAL:
                    raise
        return self._calls.open_tree(path, recursive=True)

    def _make_device(self, mode: int, number: int) -> int:
        """A node of its own for the container's root, as Docker makes it: the machine's belongs to the machine's root,
        and its filesystem can't map ids. Others may open the machine's as far as their account may."""
        self._calls.mount("tmpfs", "airdock", "root", MS_NOSUID, "mode=755,size=1m")
        try:
            self._calls.make_node("root/device", mode, number, owner=ROOT_SHIFT)
            return self._calls.open_tree("root/device")
        finally:
            self._calls.umount("root")

    def _set_bind(self, tree: int, source: str, *, read_only: bool) -> None:
        attributes = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | (MOUNT_ATTR_RDONLY if read_only else 0)
        if self._shifted < 0 or (read_only and os.path.realpath(source) in _WITH_SECRETS):
            self._calls.mount_setattr(tree, attributes, recursive=True)
            return
        try:
            self._calls.mount_setattr(tree, attributes | MOUNT_ATTR_IDMAP, userns=self._shifted, recursive=True)
        except OSError as error:
            if error.errno not in _NO_IDMAP:
                raise
            if not read_only:
                raise ContainerError(
                    f"can't bind {source} for writing: its filesystem, or one mounted below it, can't map ids",
                    where=source,
                    hint="bind it read-only, or a folder on ext4, xfs, btrfs or (Linux 6.3) tmpfs",
                ) from error
            if not _is_for_everybody(source):
                raise ContainerError(
                    f"can't bind {source}: its filesystem, or one mounted below it, can't map ids, and so only what "
                    "everybody may read can be read inside",
                    where=source,
                    hint=f"chmod a+rX {source}, or put it on ext4, xfs, btrfs or (Linux 6.3) tmpfs",
                ) from error
            # Owners show as nobody.
            self._calls.mount_setattr(tree, attributes, recursive=True)

    def _layer(self, path: str) -> str:
        """A short name for an unpacked layer. A path that holds another folder than before is a new layer."""
        status = self._calls.identity(path)
        known = self._layers.get(path)
        if known and known[1:] == status:
            self._layers.move_to_end(path)
            return known[0]
        if known:
            self._forget(path)
        while len(self._layers) >= MOST_LAYERS:
            self._forget(next(iter(self._layers)))
        name = str(self._next)
        self._next += 1
        if self._shifted < 0:
            self._calls.make_link(path, name)
        else:
            self._mount_layer(path, name)
        self._layers[path] = (name, *status)
        return name

    def _mount_layer(self, path: str, name: str) -> None:
        tree = self._calls.open_tree(path)
        try:
            attributes = MOUNT_ATTR_IDMAP | MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV
            self._calls.mount_setattr(tree, attributes, userns=self._shifted)
            self._calls.make_folder(name)
            self._calls.move_mount(tree, name)
        except OSError as error:
            if error.errno not in _NO_IDMAP:
                raise
            raise IsolationError(
                f"the kernel can't map the ids of {path}: expected id-mapped mounts, found {error.strerror}",
                where=path,
                hint="Linux 5.19 or newer and AIRDOCK_HOME on ext4, xfs or btrfs; or run as an ordinary account",
            ) from error
        finally:
            self._calls.close(tree)

    def _forget(self, path: str) -> None:
        name = self._layers.pop(path)[0]
        if self._shifted < 0:
            self._calls.remove_link(name)
        else:
            self._calls.umount(name)
            self._calls.remove_folder(name)

    def _overlay(self, lower: str) -> int:
        options: dict[str, str | None] = {
            "source": "airdock",
            "lowerdir": lower,
            "upperdir": "bundle/upper",
            "workdir": "bundle/work",
            # An upper folder becomes a layer: no attributes in it that only this overlay understands.
            "metacopy": "off",
            "index": "off",
            # With userxattr, redirects are off anyway, and saying so is an error.
            **({"redirect_dir": "off"} if self._trusted else {"userxattr": None}),
        }
        if self._volatile:
            try:
                # What a container wrote is thrown away or packed by us: no syncing when it ends (Linux 5.10).
                return self._mount_overlay({**options, "volatile": None})
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
            tree = self._mount_overlay(options)
            self._volatile = False
            return tree
        return self._mount_overlay(options)

    def _mount_overlay(self, options: dict[str, str | None]) -> int:
        if len(options["lowerdir"] or "") <= MOST_OPTION_BYTES:
            return self._calls.new_mount("overlay", options, MOUNT_ATTR_NODEV)
        # A string for fsconfig(2) is short, the page for mount(2) is not.
        data = ",".join(f"{key}={value}" if value else key for key, value in options.items() if key != "source")
        self._calls.mount("overlay", "airdock", "root", MS_NODEV, data)
        try:
            return self._calls.open_tree("root")
        finally:
            self._calls.umount("root")


def _device_of(path: str) -> tuple[int, int] | None:
    """Mode and number of a device node; None for anything else."""
    status = os.stat(path)
    return (status.st_mode, status.st_rdev) if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode) else None


def _is_for_everybody(path: str) -> bool:
    mode = os.stat(path).st_mode
    wanted = stat.S_IROTH | stat.S_IXOTH if stat.S_ISDIR(mode) else stat.S_IROTH
    return mode & wanted == wanted


def is_below(path: str, folder: str) -> bool:
    """Whether `path` is `folder` or lies in it; both absolute and without links."""
    return os.path.commonpath([path, folder]) == folder
