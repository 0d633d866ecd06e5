"""A layer's tar becomes a folder in overlayfs's form; nothing is ever written outside that folder.

Every path is walked by descriptor, one part at a time, never through a symbolic link. Refused: names that are
absolute or have `..`, ways through links or files, hard links to what the layer doesn't have, device nodes outside
`dev/` (below it they're left out: a container has a `/dev` of its own), more entries or bytes than the limits, holes
of sparse files included. Runs with the standard library alone, in a child that has the account's id mapping.
"""

import errno
import os
import stat
from pathlib import Path

from airdock.errors import ImageError, UnsafeArchiveError
from airdock.images.compress import LayerSource
from airdock.images.contents import skip_data, write_data
from airdock.images.layers import claim_layer, layer_folder, save_size
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
from airdock.images.trees import FOLDER, remove_at
from airdock.images.trees import measure_tree as _measure_tree
from airdock.images.trees import remove_tree as _remove_tree
from airdock.images.xattrs import CAPABILITY, is_kept, opaque_name
from airdock.oci.digest import Digest

__all__ = [
    "MAX_BYTES",
    "MAX_ENTRIES",
    "OPAQUE",
    "WHITEOUT",
    "Unpacker",
    "measure_tree",
    "open_part",
    "remove_tree",
    "split_path",
    "unpack",
]

MAX_BYTES = 64 << 30
"""The largest tar that is unpacked, unless the store is told otherwise."""
MAX_ENTRIES = 4_000_000

WHITEOUT = b".wh."
OPAQUE = b".wh..wh..opq"
_LONGEST_PATH = 4096
_LONGEST_PART = 255
_DEEPEST = 256  # one descriptor is held per level
_MOST_NOTED = 512 << 20
_NOTE_BYTES = 150  # about what a folder's note takes besides its name


def unpack(
    *,
    layers: str,
    mapping: str,
    blob: str,
    compression: str,
    digest: str,
    diff_id: str,
    max_bytes: int = MAX_BYTES,
    max_entries: int = MAX_ENTRIES,
) -> str:
    """Unpack a blob below `layers` unless it is there, and give the folder's path. Both digests are checked.

    Raises `UnsafeArchiveError`, `DigestError`, or `ImageError` where the disk or the id mapping doesn't take it.
    """
    parsed = Digest.parse(diff_id)
    folder = layer_folder(Path(layers), mapping, parsed.hex)
    with claim_layer(folder) as target:
        if target is not None:
            with open(blob, "rb", buffering=0) as file:
                source = LayerSource(file, compression, digest=Digest.parse(digest), diff_id=parsed, limit=max_bytes)
                try:
                    _unpack_to(target, source, mapping=mapping, max_entries=max_entries)
                    save_size(folder, source.plain_size)
                except OSError as error:
                    raise _explain(error, diff_id) from error
                finally:
                    source.abort()
    return str(folder / "diff")


def remove_tree(*, path: str) -> None:
    """Remove a tree whose owners may be other ids of the account; absence is fine."""
    _remove_tree(path)


def measure_tree(*, path: str) -> int:
    """Bytes that a tree takes whose owners may be other ids of the account; 0 for one that isn't there."""
    return _measure_tree(path)


def _unpack_to(target: Path, source: LayerSource, *, mapping: str, max_entries: int) -> None:
    target.mkdir(mode=0o755)
    target.chmod(0o755)
    with Unpacker(target, mapping=mapping, max_entries=max_entries) as unpacker:
        unpacker.unpack(source)
    source.close()


class Unpacker:
    """Writes entries below one folder."""

    def __init__(self, target: Path, *, mapping: str, max_entries: int = MAX_ENTRIES) -> None:
        self._mapping = mapping
        self._max_entries = max_entries
        self._holes = 0
        self._opaque = opaque_name(mapping)
        self._trail: list[tuple[bytes, int]] = []
        self._top = os.open(target, FOLDER)
        self._folders: dict[bytes, int] = {}
        self._noted = 0

    def __enter__(self) -> "Unpacker":
        return self

    def __exit__(self, *_: object) -> None:
        self._shorten(0)
        os.close(self._top)

    def unpack(self, source: Source) -> None:
        """Write all entries of a tar."""
        for count, entry in enumerate(read_entries(source)):
            if count == self._max_entries:
                raise UnsafeArchiveError(f"expected at most {self._max_entries} entries, found more")
            try:
                self._place(entry, source)
            except UnsafeArchiveError as error:
                raise UnsafeArchiveError(error.message, where=os.fsdecode(entry.name), hint=error.hint) from error
        self._finish_folders()

    def _place(self, entry: Entry, source: Source) -> None:
        path = split_path(entry.name)
        if not path or not self._is_wanted(path, entry):
            skip_data(source, entry)
            return
        folder = self._enter(path[:-1])
        name = path[-1]
        if name.startswith(WHITEOUT):
            self._hide(folder, path)
            skip_data(source, entry)
        elif entry.kind == DIRECTORY:
            self._make_folder(folder, path, entry)
        else:
            self._make_file(folder, path, entry, source)

    def _is_wanted(self, path: tuple[bytes, ...], entry: Entry) -> bool:
        if entry.kind in (CHARACTER_DEVICE, BLOCK_DEVICE):
            if path[0] != b"dev":
                raise UnsafeArchiveError("expected files, folders, links and pipes, found a device node")
            return False
        if entry.kind not in (REGULAR, HARD_LINK, SYMLINK, DIRECTORY, FIFO):
            raise UnsafeArchiveError(f"expected files, folders, links and pipes, found an entry of type {entry.kind!r}")
        return not path[-1].startswith(WHITEOUT + WHITEOUT) or path[-1] == OPAQUE  # others are aufs's bookkeeping

    def _enter(self, path: tuple[bytes, ...], *, make: bool = True) -> int:
        """The open folder at `path`, with `make` made where it's missing."""
        same = 0
        for (name, _), wanted in zip(self._trail, path, strict=False):
            if name != wanted:
                break
            same += 1
        self._shorten(same)
        for depth in range(same, len(path)):
            here = self._here()
            descriptor = (
                self._open_folder(here, path[depth], path[: depth + 1]) if make else open_part(here, path[depth])
            )
            self._trail.append((path[depth], descriptor))
        return self._here()

    def _here(self) -> int:
        return self._trail[-1][1] if self._trail else self._top

    def _shorten(self, length: int) -> None:
        while len(self._trail) > length:
            os.close(self._trail.pop()[1])

    def _open_folder(self, parent: int, name: bytes, path: tuple[bytes, ...]) -> int:
        try:
            return open_part(parent, name)
        except FileNotFoundError:
            self._make_folder(parent, path, Entry(name=b"/".join(path), kind=DIRECTORY, mode=0o755))
            return open_part(parent, name)

    def _make_folder(self, parent: int, path: tuple[bytes, ...], entry: Entry) -> None:
        name = path[-1]
        was_hidden = False
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            there = os.lstat(name, dir_fd=parent).st_mode
            if not stat.S_ISDIR(there):
                was_hidden = stat.S_ISCHR(there)  # no other device is ever made here
                remove_at(parent, name)
                os.mkdir(name, 0o700, dir_fd=parent)
        descriptor = open_part(parent, name)
        try:
            self._own(descriptor, entry)
            self._put_xattrs(descriptor, entry)
            if was_hidden:
                os.setxattr(descriptor, self._opaque, b"y")
        finally:
            os.close(descriptor)
        self._note(b"/".join(path), entry)

    def _note(self, path: bytes, entry: Entry) -> None:
        """Keep a folder's time and mode for the end, and no more of its entry: there may be millions."""
        if path not in self._folders:
            self._noted += len(path) + _NOTE_BYTES
            if self._noted > _MOST_NOTED:
                raise UnsafeArchiveError(f"expected folders whose names take at most {_MOST_NOTED} bytes, found more")
        self._folders[path] = entry.mtime_ns << 12 | entry.mode & 0o7777

    def _make_file(self, parent: int, path: tuple[bytes, ...], entry: Entry, source: Source) -> None:
        if entry.kind == HARD_LINK:
            self._link(parent, path, entry)
            return
        create = {REGULAR: self._write, SYMLINK: self._symlink, FIFO: self._pipe}[entry.kind]
        try:
            create(parent, path[-1], entry, source)
        except FileExistsError:
            remove_at(parent, path[-1])  # the later one counts
            create(parent, path[-1], entry, source)

    def _write(self, parent: int, name: bytes, entry: Entry, source: Source) -> None:
        self._holes += entry.whole - entry.size
        if self._holes > MAX_BYTES:
            raise UnsafeArchiveError(f"expected at most {MAX_BYTES} bytes, found more in holes alone")
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, 0o600, dir_fd=parent)
        try:
            write_data(source, entry, descriptor)
            self._own(descriptor, entry)
            os.fchmod(descriptor, entry.mode & 0o7777)
            self._put_xattrs(descriptor, entry)
            os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))
        finally:
            os.close(descriptor)

    def _symlink(self, parent: int, name: bytes, entry: Entry, source: Source) -> None:
        if not entry.link:
            raise UnsafeArchiveError("expected a symbolic link to say where it leads, found nothing")
        os.symlink(entry.link, name, dir_fd=parent)
        if self._mapping != "one":
            os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
        os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=parent, follow_symlinks=False)

    def _pipe(self, parent: int, name: bytes, entry: Entry, source: Source) -> None:
        os.mkfifo(name, 0o600, dir_fd=parent)
        if self._mapping != "one":
            os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
        os.chmod(name, entry.mode & 0o7777, dir_fd=parent)
        os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=parent)

    def _link(self, parent: int, path: tuple[bytes, ...], entry: Entry) -> None:
        target = split_path(entry.link)
        if not target:
            raise UnsafeArchiveError("expected a hard link to a file, found one to the root")
        if target == path:
            return
        descriptor = os.dup(self._top)
        try:
            for part in target[:-1]:
                descriptor, old = open_part(descriptor, part), descriptor
                os.close(old)
            if stat.S_ISDIR(os.lstat(target[-1], dir_fd=descriptor).st_mode):
                raise UnsafeArchiveError("expected a hard link to a file, found one to a folder")
            remove_at(parent, path[-1])
            os.link(target[-1], path[-1], src_dir_fd=descriptor, dst_dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError as error:
            shown = os.fsdecode(entry.link)
            raise UnsafeArchiveError(f"expected a hard link to a file of this layer, found {shown!r}") from error
        finally:
            os.close(descriptor)

    def _hide(self, parent: int, path: tuple[bytes, ...]) -> None:
        """A whiteout hides what lower layers have; what this layer has under the same name stays."""
        if path[-1] == OPAQUE:
            os.setxattr(parent, self._opaque, b"y")
            return
        name = path[-1][len(WHITEOUT) :]
        hidden = (*path[:-1], *split_path(name))
        if len(hidden) != len(path):
            raise UnsafeArchiveError("expected a whiteout to name what it hides, found none")
        try:
            os.mknod(name, stat.S_IFCHR | 0o600, 0, dir_fd=parent)
        except FileExistsError:
            if stat.S_ISDIR(os.lstat(name, dir_fd=parent).st_mode):
                descriptor = open_part(parent, name)
                os.setxattr(descriptor, self._opaque, b"y")
                os.close(descriptor)

    def _own(self, descriptor: int, entry: Entry) -> None:
        if self._mapping != "one":
            os.fchown(descriptor, entry.uid, entry.gid)

    def _put_xattrs(self, descriptor: int, entry: Entry) -> None:
        for key, value in entry.xattrs.items():
            name = os.fsdecode(key)
            if not is_kept(name):
                continue
            try:
                os.setxattr(descriptor, name, value)
            except OSError as error:
                # An account without ranges may not grant capabilities, some filesystems keep no user attributes.
                if error.errno != errno.ENOTSUP and not (name == CAPABILITY and self._mapping == "one"):
                    raise

    def _finish_folders(self) -> None:
        """Modes and times of folders come last, the deepest first, since writing into them changes both."""
        for joined in sorted(self._folders, reverse=True):  # so each comes before the one that holds it
            path = tuple(joined.split(b"/"))
            try:
                descriptor = open_part(self._enter(path[:-1], make=False), path[-1])
            except (FileNotFoundError, UnsafeArchiveError):
                continue  # a later entry took its place
            try:
                mtime_ns, mode = self._folders[joined] >> 12, self._folders[joined] & 0o7777
                os.utime(descriptor, ns=(mtime_ns, mtime_ns))
                os.fchmod(descriptor, mode)
            finally:
                os.close(descriptor)


def split_path(name: bytes) -> tuple[bytes, ...]:
    """The parts of an entry's name, `.` and doubled slashes dropped; empty for the root itself."""
    parts = tuple(part for part in name.split(b"/") if part not in (b"", b"."))
    if parts and name.startswith(b"/"):
        raise UnsafeArchiveError("expected a relative path, found an absolute one")
    if b".." in parts:
        raise UnsafeArchiveError("expected a path inside the layer, found '..'")
    if len(name) > _LONGEST_PATH or len(parts) > _DEEPEST or any(len(part) > _LONGEST_PART for part in parts):
        raise UnsafeArchiveError(
            f"expected a path of at most {_LONGEST_PATH} bytes, {_DEEPEST} parts and {_LONGEST_PART} bytes a part, "
            f"found {len(name)} bytes in {len(parts)} parts"
        )
    return parts


def open_part(parent: int, name: bytes) -> int:
    """Open one folder of a path; `UnsafeArchiveError` where a link or a file stands in the way."""
    try:
        return os.open(name, FOLDER, dir_fd=parent)
    except OSError as error:
        if error.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise
        raise UnsafeArchiveError(f"expected a folder at {os.fsdecode(name)!r}, found a link or a file") from error


def _explain(error: OSError, diff_id: str) -> ImageError:
    hints = {
        errno.EINVAL: "the image has owners that this account's id ranges don't cover: widen them in /etc/subuid "
        "and /etc/subgid",
        errno.ENOSPC: "make room on the disk, or set AIRDOCK_HOME to another one",
        errno.ENOTSUP: "AIRDOCK_HOME has to be on a filesystem with extended attributes",
    }
    message = f"expected to unpack layer {diff_id}, found {error.strerror or error}"
    return ImageError(message, where=os.fsdecode(error.filename or ""), hint=hints.get(error.errno or 0, ""))
