"""A tar becomes files below one open folder, by Docker's rules for `cp`; never through a link, whoever swaps them.

An entry may replace a file by a file and add to a folder; a folder for a file, or a file for a folder, is refused.
Devices are left out: a container has no use for them, and a machine must not get any from a container.
"""

import errno
import os
import stat
from dataclasses import dataclass, field
from typing import Final

from airdock.errors import CopyError, UnsafeArchiveError
from airdock.images.contents import skip_data, write_data
from airdock.images.tar import (
    BLOCK_DEVICE,
    CHARACTER_DEVICE,
    DIRECTORY,
    FIFO,
    HARD_LINK,
    REGULAR,
    SYMLINK,
    Entry,
    Source,
    read_entries,
)
from airdock.images.unpack import MAX_ENTRIES, open_part, split_path
from airdock.images.xattrs import is_kept

__all__ = ["Receiver"]

_NEW: Final = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_THERE: Final = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_SET_ID: Final = stat.S_ISUID | stat.S_ISGID


@dataclass(kw_only=True, slots=True)
class Receiver:
    """Writes below the open folder `folder`.

    `owner` is whom everything belongs to; None leaves that to the kernel, "entry" takes it from the archive.
    `set_id` is whether set-user-id bits are kept; `xattrs` whether attributes are. `only` is the one name at the top
    that is expected, where it is known. `received` counts the bytes of files.
    """

    folder: int
    owner: tuple[int, int] | str | None = None
    set_id: bool = True
    xattrs: bool = False
    only: bytes = b""
    received: int = 0
    _folders: dict[tuple[bytes, ...], Entry] = field(default_factory=dict)

    def receive(self, source: Source) -> None:
        """Write all entries. Raises UnsafeArchiveError for archives that reach out, CopyError, OSError."""
        for count, entry in enumerate(read_entries(source)):
            if count == MAX_ENTRIES:
                raise UnsafeArchiveError(f"expected at most {MAX_ENTRIES} entries, found more")
            path = split_path(entry.name.lstrip(b"/"))
            if self.only and path[:1] != (self.only,):
                raise UnsafeArchiveError(f"expected everything below {os.fsdecode(self.only)!r}", where=_show(path))
            try:
                self._place(path, entry, source)
            except UnsafeArchiveError as error:
                raise UnsafeArchiveError(error.message, where=_show(path), hint=error.hint) from error
        self._finish()

    def _place(self, path: tuple[bytes, ...], entry: Entry, source: Source) -> None:
        if not path or entry.kind in (CHARACTER_DEVICE, BLOCK_DEVICE):
            skip_data(source, entry)
            return
        parent = self._enter(path[:-1])
        try:
            if entry.kind == DIRECTORY:
                self._make_folder(parent, path, entry)
            elif entry.kind in (REGULAR, SYMLINK, FIFO, HARD_LINK):
                self._make_file(parent, path, entry, source)
            else:
                raise UnsafeArchiveError(f"expected files, folders, links and pipes, found type {entry.kind!r}")
        finally:
            os.close(parent)

    def _enter(self, path: tuple[bytes, ...]) -> int:
        """The open folder at `path`, made where it is missing."""
        here = os.dup(self.folder)
        for depth, part in enumerate(path):
            try:
                try:
                    below = open_part(here, part)
                except FileNotFoundError:
                    self._make_folder(here, path[: depth + 1], Entry(name=part, kind=DIRECTORY, mode=0o755))
                    below = open_part(here, part)
            finally:
                os.close(here)
            here = below
        return here

    def _make_folder(self, parent: int, path: tuple[bytes, ...], entry: Entry) -> None:
        try:
            os.mkdir(path[-1], 0o700, dir_fd=parent)
        except FileExistsError:
            if not stat.S_ISDIR(os.lstat(path[-1], dir_fd=parent).st_mode):
                raise CopyError(
                    f"cannot overwrite a file with a folder: expected {_show(path)} to be a folder or nothing"
                ) from None
        self._folders[path] = entry

    def _make_file(self, parent: int, path: tuple[bytes, ...], entry: Entry, source: Source) -> None:
        name = path[-1]
        link = self._open_link(entry) if entry.kind == HARD_LINK else None
        try:
            if link is not None and _is_same(link, parent, name):
                return
            is_busy = not _make_room(parent, path)
            if entry.kind == REGULAR:
                self._write(parent, name, entry, source, _THERE if is_busy else _NEW)
                return
            if is_busy:
                raise CopyError(f"{_show(path)} is mounted there, and can't be replaced")
            if link is not None:
                os.link(link[1], name, src_dir_fd=link[0], dst_dir_fd=parent, follow_symlinks=False)
                return
            if entry.kind == SYMLINK:
                os.symlink(entry.link, name, dir_fd=parent)
            else:
                os.mkfifo(name, 0o600, dir_fd=parent)
            self._own(parent, name, entry)
            if entry.kind == FIFO:
                os.chmod(name, self._mode(entry), dir_fd=parent)
            os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=parent, follow_symlinks=False)
        finally:
            if link is not None:
                os.close(link[0])

    def _open_link(self, entry: Entry) -> tuple[int, bytes]:
        """The open folder of what a hard link means, and its name there."""
        target = split_path(entry.link.lstrip(b"/"))
        if not target or (self.only and target[0] != self.only):
            raise UnsafeArchiveError(f"expected a hard link to a file of the archive, found {_show(target)!r}")
        try:
            folder = self._walk(target[:-1])
            kind = os.lstat(target[-1], dir_fd=folder).st_mode
        except FileNotFoundError as error:
            shown = _show(target)
            raise UnsafeArchiveError(f"expected a hard link to a file of the archive, found {shown!r}") from error
        if stat.S_ISDIR(kind):
            os.close(folder)
            raise UnsafeArchiveError(f"expected a hard link to a file, found a folder at {_show(target)!r}")
        return folder, target[-1]

    def _walk(self, path: tuple[bytes, ...]) -> int:
        here = os.dup(self.folder)
        for part in path:
            try:
                below = open_part(here, part)
            finally:
                os.close(here)
            here = below
        return here

    def _write(self, parent: int, name: bytes, entry: Entry, source: Source, flags: int) -> None:
        descriptor = os.open(name, flags, 0o600, dir_fd=parent)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise CopyError(f"expected {os.fsdecode(name)} to be a file, found something else there")
            if flags == _THERE:
                os.ftruncate(descriptor, 0)
            write_data(source, entry, descriptor)
            self._own(descriptor, b"", entry)
            os.fchmod(descriptor, self._mode(entry))
            if self.xattrs:
                _put_xattrs(descriptor, entry)
            os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))
        finally:
            os.close(descriptor)
        self.received += entry.whole

    def _own(self, folder: int, name: bytes, entry: Entry) -> None:
        if self.owner is None:
            return
        uid, gid = (entry.uid, entry.gid) if isinstance(self.owner, str) else self.owner
        if name:
            os.chown(name, uid, gid, dir_fd=folder, follow_symlinks=False)
        else:
            os.fchown(folder, uid, gid)

    def _mode(self, entry: Entry) -> int:
        return entry.mode & (0o7777 if self.set_id else 0o7777 & ~_SET_ID)

    def _finish(self) -> None:
        """Owners, modes and times of folders, the deepest first: writing into them changes these."""
        for path in sorted(self._folders, key=len, reverse=True):
            entry = self._folders[path]
            try:
                descriptor = self._walk(path)
            except FileNotFoundError:
                continue
            try:
                self._own(descriptor, b"", entry)
                os.fchmod(descriptor, self._mode(entry))
                if self.xattrs:
                    _put_xattrs(descriptor, entry)
                os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))
            finally:
                os.close(descriptor)


def _is_same(link: tuple[int, bytes], parent: int, name: bytes) -> bool:
    return link[1] == name and os.path.samestat(os.fstat(link[0]), os.fstat(parent))


def _make_room(parent: int, path: tuple[bytes, ...]) -> bool:
    """Take away what is in a file's place; False where it is a mount, and can only be written over."""
    try:
        status = os.lstat(path[-1], dir_fd=parent)
    except FileNotFoundError:
        return True
    if stat.S_ISDIR(status.st_mode):
        raise CopyError(f"cannot overwrite a folder with a file: expected {_show(path)} to be a file or nothing")
    try:
        os.unlink(path[-1], dir_fd=parent)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return False
    return True


def _put_xattrs(descriptor: int, entry: Entry) -> None:
    for key, value in entry.xattrs.items():
        if is_kept(os.fsdecode(key)):
            try:
                os.setxattr(descriptor, key, value)
            except OSError as error:
                if error.errno not in (errno.ENOTSUP, errno.EPERM):
                    raise


def _show(path: tuple[bytes, ...]) -> str:
    return os.fsdecode(b"/".join(path)) or "."
