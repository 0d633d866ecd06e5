"""A fresh volume gets what its image has at the place where it is mounted: files, owners, modes, attributes.

Runs where the account has all its ids (`Launcher.call`). Layers lie on the disk with the ids that a volume has too, so
nothing is shifted.
"""

import os
import stat
from collections.abc import Sequence
from typing import NoReturn

from airdock.containers.receiving import Receiver
from airdock.containers.rooted import open_or_none
from airdock.containers.sending import Sender, send_tree
from airdock.errors import AirdockError, MountError
from airdock.images.xattrs import is_kept
from airdock.runtime.machine import is_real_root
from airdock.runtime.mounts import Mounts
from airdock.runtime.process import prepare_folder
from airdock.runtime.syscalls import CLONE_NEWNS, Syscalls

__all__ = ["fill_volume"]


def fill_volume(*, layers: Sequence[str], target: str, data: str, scratch: str, work: str, mapping: str) -> bool:
    """Copy what the image of `layers` (lowest first) has at `target` into `data`; says whether it has a folder there.

    `scratch` is an empty folder for the overlay that is mounted for that; it's the caller's to remove.
    """
    calls = Syscalls()
    prepare_folder(scratch, 0)
    calls.unshare(CLONE_NEWNS)
    machine = Mounts(calls, folder=work, shifted=-1, trusted=is_real_root())
    machine.enter()
    tree = machine.open_root(layers, scratch)
    try:
        source = open_or_none(tree, target, os.O_RDONLY | os.O_DIRECTORY)
        if source is None:
            return False
        try:
            _copy(source, data, has_owners=mapping != "one")
        finally:
            os.close(source)
    finally:
        os.close(tree)
    return True


def _copy(source: int, data: str, *, has_owners: bool) -> None:
    destination = os.open(data, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    reader, writer = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        _send(source, writer)
    os.close(writer)
    try:
        with open(reader, "rb", buffering=1 << 18) as stream:
            Receiver(folder=destination, owner="entry" if has_owners else None, xattrs=True).receive(stream)
        _dress(source, destination, has_owners=has_owners)
    finally:
        os.close(destination)
        status = os.waitpid(pid, 0)[1]
    if status:
        raise MountError("the image's files could not be read whole for the volume")


def _send(source: int, writer: int) -> NoReturn:
    try:
        with open(writer, "wb", buffering=1 << 18) as stream:
            send_tree(source, b".", b"", Sender(write=stream.write, xattrs=True))
        os._exit(0)
    except (OSError, AirdockError):
        pass  # whoever reads sees it break off, and our exit code
    finally:
        os._exit(1)


def _dress(source: int, destination: int, *, has_owners: bool) -> None:
    """Give the volume's top the owner, mode, attributes and times of the image's folder."""
    status = os.fstat(source)
    if has_owners:
        os.fchown(destination, status.st_uid, status.st_gid)
    os.fchmod(destination, stat.S_IMODE(status.st_mode))
    for name in filter(is_kept, os.listxattr(source)):
        os.setxattr(destination, name, os.getxattr(source, name))
    os.utime(destination, ns=(status.st_atime_ns, status.st_mtime_ns))
