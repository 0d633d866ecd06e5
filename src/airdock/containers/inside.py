"""What is done with a container's files by a process that has its ids: see `view`. Paths are the container's own."""

import errno
import os
import posixpath
import stat
from collections.abc import Sequence
from typing import Any, Final

from airdock.containers.receiving import Receiver
from airdock.containers.rooted import open_in
from airdock.containers.sending import Sender, send_tree
from airdock.errors import CopyError

__all__ = ["look", "receive", "send"]

_MOST_LINKS: Final = 40


def look(root: int, stream: int, *, path: str, follow: bool) -> dict[str, Any]:
    """What is at `path`: `kind` is "folder", "file", "link" or "", `parent` whether the folder above is there.

    `path` comes back with links at its end followed, where `follow` says so.
    """
    for _ in range(_MOST_LINKS):
        status = _status(root, path)
        if status is None or not (follow and stat.S_ISLNK(status.st_mode)):
            break
        path = posixpath.join(posixpath.dirname(path), _read_link(root, path))
    else:
        raise CopyError(f"expected {path} to lead somewhere, found links that go round")
    parent = _status(root, posixpath.dirname(path) + "/")
    return {"path": path, "kind": _kind(status), "parent": parent is not None and stat.S_ISDIR(parent.st_mode)}


def send(
    root: int, stream: int, *, path: str, top: str, hidden: Sequence[str] = (), xattrs: bool = False
) -> dict[str, int]:
    """Write the file or folder at `path` as a tar in which it is called `top`; "" means what is in a folder."""
    with open(stream, "wb", buffering=1 << 18) as file:
        sender = Sender(write=file.write, hidden=frozenset(map(os.fsencode, hidden)), xattrs=xattrs)
        folder, name = _open_above(root, path) if top else (open_in(root, path, os.O_RDONLY | os.O_DIRECTORY), b".")
        try:
            return {"bytes": send_tree(folder, name, os.fsencode(top), sender)}
        finally:
            os.close(folder)


def receive(
    root: int, stream: int, *, path: str, only: str, owner: Sequence[int] | str | None, compressed: bool = False
) -> dict[str, int]:
    """Unpack a tar into the folder at `path`."""
    folder = open_in(root, path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with open(stream, "rb", buffering=1 << 18) as file:
            receiver = Receiver(
                folder=folder,
                owner=owner if owner is None or isinstance(owner, str) else (owner[0], owner[1]),
                only=os.fsencode(only),
                xattrs=True,
            )
            try:
                receiver.receive(file)
            except OSError as error:
                raise _explain(error, path) from error
            return {"bytes": receiver.received}
    finally:
        os.close(folder)


def _explain(error: OSError, path: str) -> Exception:
    if error.errno == errno.EINVAL:
        return CopyError(
            f"can't copy to {path}: an owner has no id in the container", hint="copy without -a, or widen /etc/subuid"
        )
    if error.errno == errno.EROFS:
        return CopyError(f"container rootfs is marked read-only, or {path} is mounted so")
    return error


def _open_above(root: int, path: str) -> tuple[int, bytes]:
    parent, name = posixpath.split(path.rstrip("/") or "/")
    return open_in(root, parent, os.O_PATH | os.O_DIRECTORY), os.fsencode(name or ".")


def _status(root: int, path: str) -> os.stat_result | None:
    try:
        descriptor = open_in(root, path, os.O_PATH | os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return os.fstat(descriptor)
    finally:
        os.close(descriptor)


def _read_link(root: int, path: str) -> str:
    descriptor = open_in(root, path, os.O_PATH | os.O_NOFOLLOW)
    try:
        return os.readlink("", dir_fd=descriptor)
    finally:
        os.close(descriptor)


def _kind(status: os.stat_result | None) -> str:
    if status is None:
        return ""
    kinds = {stat.S_IFDIR: "folder", stat.S_IFLNK: "link"}
    return kinds.get(stat.S_IFMT(status.st_mode), "file")
