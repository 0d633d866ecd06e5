"""A file or folder as a tar, read by descriptor: links swapped in meanwhile lead the reading nowhere else."""

import errno
import os
import stat
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, field, replace
from typing import Final

from airdock.errors import CopyError
from airdock.images.tar import DIRECTORY, END, FIFO, HARD_LINK, REGULAR, SYMLINK, Entry, padding, render_header
from airdock.images.xattrs import is_kept

__all__ = ["Sender", "send_tree"]

_PIECE: Final = 1 << 18
_LARGEST_UNSIZED: Final = 16 << 20
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_KINDS: Final = {stat.S_IFREG: REGULAR, stat.S_IFDIR: DIRECTORY, stat.S_IFLNK: SYMLINK, stat.S_IFIFO: FIFO}
_GONE: Final = (FileNotFoundError, NotADirectoryError)


@dataclass(kw_only=True, slots=True)
class Sender:
    """Writes entries with `write`. `hidden` are names in the archive that are mounts: they stay empty. With `xattrs`
    file capabilities and attributes of users go along. `sent` counts the bytes of files."""

    write: Callable[[bytes], object]
    hidden: Set[bytes] = frozenset()
    xattrs: bool = False
    sent: int = 0
    _seen: dict[tuple[int, int], bytes] = field(default_factory=dict)

    def send(self, folder: int, name: bytes, top: bytes) -> None:
        """The file or folder `name` of an open folder, and what is below it, as `top`; "" leaves the folder itself out.

        What can't be in an archive (sockets, devices) is left out, as is what goes away while we look.
        """
        for parent, base, path in self._walk(folder, name, top):
            try:
                self._send_one(parent, base, path)
            except FileNotFoundError:
                continue

    def end(self) -> None:
        """Close the archive."""
        self.write(END)

    def _walk(self, folder: int, name: bytes, top: bytes) -> Iterator[tuple[int, bytes, bytes]]:
        """(open folder, name in it, path in the archive), sorted, each folder before what it holds."""
        pending: list[tuple[int, list[bytes], bytes]] = []
        try:
            if top:
                yield folder, name, top
            self._enter(pending, folder, name, top)
            while pending:
                parent, names, prefix = pending[-1]
                if not names:
                    os.close(pending.pop()[0])
                    continue
                base = names.pop()
                path = prefix + b"/" + base if prefix else base
                yield parent, base, path
                self._enter(pending, parent, base, path)
        finally:
            for parent, _, _ in pending:
                os.close(parent)

    def _enter(self, pending: list[tuple[int, list[bytes], bytes]], folder: int, name: bytes, path: bytes) -> None:
        if path in self.hidden:
            return
        try:
            descriptor = os.open(name, _FOLDER, dir_fd=folder)
        except OSError as error:
            if error.errno in (errno.ENOTDIR, errno.ELOOP, errno.ENOENT):
                return
            raise
        try:
            names = [os.fsencode(found) for found in os.listdir(descriptor)]
        except BaseException:
            os.close(descriptor)
            raise
        pending.append((descriptor, sorted(names, reverse=True), path))

    def _send_one(self, folder: int, name: bytes, path: bytes) -> None:
        status = os.lstat(name, dir_fd=folder)
        kind = _KINDS.get(stat.S_IFMT(status.st_mode))
        if kind is None:
            return
        if path in self.hidden:
            is_folder = kind == DIRECTORY
            self.write(render_header(Entry(name=path, kind=DIRECTORY if is_folder else REGULAR, mode=0o755)))
            return
        if kind != REGULAR:
            link = os.readlink(name, dir_fd=folder) if kind == SYMLINK else b""
            self._put(folder, name, _describe(path, kind, status, link=link))
            return
        first = self._first(status, path)
        if first != path:
            self._put(folder, name, _describe(path, HARD_LINK, status, link=first))
            return
        self._send_file(folder, name, path)

    def _first(self, status: os.stat_result, path: bytes) -> bytes:
        """The path under which the same file went out before, else its own."""
        return path if status.st_nlink < 2 else self._seen.setdefault((status.st_dev, status.st_ino), path)

    def _send_file(self, folder: int, name: bytes, path: bytes) -> None:
        try:
            descriptor = os.open(name, _FILE, dir_fd=folder)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO):
                return  # swapped for something else a moment ago
            raise
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return
            content = b"" if status.st_size else _read_unsized(descriptor, path)
            size = status.st_size or len(content)
            self._put(descriptor, b"", _describe(path, REGULAR, status, size=size))
            if content:
                self.write(content)
            else:
                self._copy(descriptor, size, path)
            self.write(padding(size))
            self.sent += size
        finally:
            os.close(descriptor)

    def _copy(self, descriptor: int, size: int, path: bytes) -> None:
        left = size
        while left:
            piece = os.read(descriptor, min(left, _PIECE))
            if not piece:
                shown = os.fsdecode(path)
                raise CopyError(f"expected {shown} to keep still while it is copied, found it cut off")
            self.write(piece)
            left -= len(piece)

    def _put(self, folder: int, name: bytes, entry: Entry) -> None:
        if self.xattrs and entry.kind in (REGULAR, DIRECTORY):
            found = _read_xattrs(folder, name)
            if found:
                entry = replace(entry, xattrs=found)
        self.write(render_header(entry))


def send_tree(folder: int, name: bytes, top: bytes, sender: Sender) -> int:
    """One whole archive of a file or folder; gives the bytes of its files."""
    sender.send(folder, name, top)
    sender.end()
    return sender.sent


def _describe(path: bytes, kind: bytes, status: os.stat_result, *, size: int = 0, link: bytes = b"") -> Entry:
    return Entry(
        name=path,
        kind=kind,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        size=size,
        mtime_ns=status.st_mtime_ns,
        link=link,
    )


def _read_unsized(descriptor: int, path: bytes) -> bytes:
    """Files of /proc and /sys say that they have no bytes, and have."""
    found = b""
    while piece := os.read(descriptor, _PIECE):
        found += piece
        if len(found) > _LARGEST_UNSIZED:
            raise CopyError(f"expected {os.fsdecode(path)} to have an end, found none in 16 MiB")
    return found


def _read_xattrs(folder: int, name: bytes) -> dict[bytes, bytes]:
    descriptor = os.open(name, _FOLDER, dir_fd=folder) if name else folder
    try:
        return {os.fsencode(key): os.getxattr(descriptor, key) for key in os.listxattr(descriptor) if is_kept(key)}
    except OSError:
        return {}  # a filesystem without any
    finally:
        if name:
            os.close(descriptor)
