"""An overlay's upper folder becomes a layer: a tar in one fixed order and form, hashed and compressed on the way.

Whiteouts and opaque folders of either kind become OCI's, owners are shifted back, overlayfs's own attributes stay out,
hard links inside the layer are kept. Equal folders (times included) give equal bytes. Runs with the standard library
alone, in a child that has the account's id mapping.
"""

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from airdock.errors import ImageError
from airdock.images.compress import CHUNK, Compressor
from airdock.images.layers import claim_layer, layer_folder
from airdock.images.tar import DIRECTORY, END, FIFO, HARD_LINK, REGULAR, SYMLINK, Entry, padding, render_header
from airdock.images.times import set_time
from airdock.images.trees import remove_tree
from airdock.images.unpack import OPAQUE, WHITEOUT
from airdock.images.xattrs import CAPABILITY, is_kept, is_opaque, plain_capability, read_xattrs

__all__ = ["Packer", "commit_upper"]

_BATCH = CHUNK


def commit_upper(
    *,
    upper: str,
    output: str,
    layers: str,
    mapping: str,
    id_shift: int,
    ignore: Sequence[str] = (),
    clamp: Sequence[int] | None = None,
    compression: str = "gzip",
    keep: bool = False,
) -> dict[str, Any]:
    """Pack `upper` into the file `output`, then move it below `layers` as the unpacked layer.

    Gives diff_id, digest, size (of the blob), tar_size, and whether the folder is `unpacked`: it isn't when it lies
    on another filesystem, nor with `keep`. `upper` has to be unmounted, or still; it's worth nothing afterwards unless
    told to `keep` it. With `clamp` (two times in nanoseconds) what is as young as the first or younger gets the second,
    in the folder as in the tar.
    """
    try:
        with open(output, "r+b") as file, Compressor(file, compression) as compressor:
            packer = Packer(
                Path(upper), compressor.write, mapping=mapping, id_shift=id_shift, ignore=ignore, clamp=clamp
            )
            packer.pack()
            packed = compressor.finish()
        folder = layer_folder(Path(layers), mapping, packed.diff_id.hex)
        unpacked = not keep and _move(Path(upper), folder, packer, id_shift)
    except OSError as error:
        message = f"expected to pack {upper} as a layer, found {error.strerror or error}"
        raise ImageError(message, where=os.fsdecode(error.filename or "")) from error
    return {**packed._asdict(), "unpacked": unpacked}


def _move(upper: Path, folder: Path, packer: "Packer", id_shift: int) -> bool:
    if upper.stat().st_dev != _device_below(folder):
        return False
    with claim_layer(folder) as target:
        if target is not None:
            for path in packer.left_out:
                _drop(path)
            if id_shift:
                _unshift(os.fsencode(upper), id_shift)
            upper.chmod(0o755)
            upper.rename(target)
    return True


def _drop(path: bytes) -> None:
    """Remove what isn't in the layer, and leave its folder with the time that the layer says."""
    parent = os.path.dirname(path)
    status = os.stat(parent)
    remove_tree(path)
    os.utime(parent, ns=(status.st_atime_ns, status.st_mtime_ns))


def _device_below(folder: Path) -> int:
    while True:
        try:
            return folder.stat().st_dev
        except FileNotFoundError:  # not made yet, or set aside meanwhile
            folder = folder.parent


class Packer:
    """Walks one folder and writes its tar in pieces of about 1 MiB. `left_out` are the paths that didn't go in."""

    def __init__(
        self,
        top: Path,
        write: Callable[[bytes], None],
        *,
        mapping: str = "root",
        id_shift: int = 0,
        ignore: Sequence[str] = (),
        clamp: Sequence[int] | None = None,
    ) -> None:
        self._top = os.fsencode(top)
        self._clamp = clamp
        self._write = write
        self._one_owner = mapping == "one"
        self._id_shift = id_shift
        self._ignore = {os.fsencode(path).strip(b"/") for path in ignore}
        self._seen: dict[tuple[int, int], bytes] = {}
        self._batch: list[bytes] = []
        self._batched = 0
        self.left_out: list[bytes] = []

    def pack(self) -> None:
        """Write the whole archive."""
        for path, name, status in self._walk(b""):
            self._add(path, name, status)
        self._put(END)
        self._flush()

    def _walk(self, folder: bytes) -> Iterator[tuple[bytes, bytes, os.stat_result]]:
        """Every path below `folder`, sorted by bytes, each folder before what is in it; without a Python frame per
        level, as depth is the packed program's choice."""
        pending = [self._children(folder)]
        while pending:
            if not pending[-1]:
                pending.pop()
                continue
            name = pending[-1].pop()
            path = self._top + b"/" + name
            if name in self._ignore:
                self.left_out.append(path)
                continue
            status = os.lstat(path)
            if self._clamp is not None and status.st_mtime_ns >= self._clamp[0]:
                set_time(path, status, since_ns=self._clamp[0], time_ns=self._clamp[1])
                status = os.lstat(path)
            yield path, name, status
            if stat.S_ISDIR(status.st_mode):
                pending.append(self._children(name))

    def _children(self, folder: bytes) -> list[bytes]:
        names = os.listdir(self._top + b"/" + folder)
        return [folder + b"/" + name if folder else name for name in sorted(names, reverse=True)]

    def _add(self, path: bytes, name: bytes, status: os.stat_result) -> None:
        mode = status.st_mode
        if stat.S_ISCHR(mode) and status.st_rdev == 0:
            parent, _, base = name.rpartition(b"/")
            self._put_entry(Entry(name=(parent + b"/" if parent else b"") + WHITEOUT + base, kind=REGULAR, mode=0))
            return
        if os.path.basename(name).startswith(WHITEOUT):
            shown = os.fsdecode(name)
            raise ImageError(f"expected no file whose name begins with .wh., found {shown!r}", hint="rename it")
        xattrs = {} if stat.S_ISLNK(mode) else read_xattrs(path)
        entry = self._describe(path, name, status, xattrs)
        if entry is None:
            self.left_out.append(path)
        elif entry.kind == REGULAR and entry.size:
            self._put_file(path, entry)
        else:
            self._put_entry(entry)
            if entry.kind == DIRECTORY and is_opaque(xattrs):
                self._put_entry(Entry(name=name + b"/" + OPAQUE, kind=REGULAR, mode=0))

    def _describe(self, path: bytes, name: bytes, status: os.stat_result, xattrs: dict[str, bytes]) -> Entry | None:
        """The entry for a file; None for what a layer can't hold (sockets)."""
        kind = _kind(status.st_mode, name)
        if kind is None:
            return None
        link = os.readlink(path) if kind == SYMLINK else b""
        if status.st_nlink > 1 and kind != DIRECTORY:
            first = self._seen.setdefault((status.st_dev, status.st_ino), name)
            if first != name:
                kind, link = HARD_LINK, first
        if CAPABILITY in xattrs:
            xattrs = {**xattrs, CAPABILITY: plain_capability(xattrs[CAPABILITY], self._id_shift)}
        return Entry(
            name=name,
            kind=kind,
            mode=stat.S_IMODE(status.st_mode),
            uid=self._owner(status.st_uid),
            gid=self._owner(status.st_gid),
            size=status.st_size if kind == REGULAR else 0,
            mtime_ns=status.st_mtime_ns,
            link=link,
            xattrs={os.fsencode(key): value for key, value in xattrs.items() if is_kept(key) and kind != HARD_LINK},
        )

    def _owner(self, found: int) -> int:
        if self._one_owner:
            return 0
        return found - self._id_shift if found >= self._id_shift else found

    def _put_entry(self, entry: Entry) -> None:
        self._put(render_header(entry))

    def _put_file(self, path: bytes, entry: Entry) -> None:
        self._put(render_header(entry))
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            left = entry.size
            while left:
                piece = os.read(descriptor, min(left, CHUNK))
                if not piece:
                    raise ImageError(f"expected {os.fsdecode(path)!r} to keep still, found it shorter than before")
                self._put(piece)
                left -= len(piece)
        finally:
            os.close(descriptor)
        self._put(padding(entry.size))

    def _put(self, piece: bytes) -> None:
        self._batch.append(piece)
        self._batched += len(piece)
        if self._batched >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        self._write(b"".join(self._batch))
        self._batch, self._batched = [], 0


def _kind(mode: int, name: bytes) -> bytes | None:
    kinds = {stat.S_IFREG: REGULAR, stat.S_IFDIR: DIRECTORY, stat.S_IFLNK: SYMLINK, stat.S_IFIFO: FIFO}
    kind = kinds.get(stat.S_IFMT(mode))
    if kind is None and not stat.S_ISSOCK(mode):
        raise ImageError(f"expected files, folders, links, pipes and sockets, found a device at {os.fsdecode(name)!r}")
    return kind


def _unshift(top: bytes, id_shift: int) -> None:
    """Give every file below `top`, and `top`, its owner inside the container.

    chown(2) takes set-id bits and file capabilities away, so both are put back.
    """
    _unshift_one(top, id_shift)
    folders = [top]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                _unshift_one(entry.path, id_shift)
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)


def _unshift_one(path: bytes, id_shift: int) -> None:
    status = os.lstat(path)
    uid, gid = (found - id_shift if found >= id_shift else found for found in (status.st_uid, status.st_gid))
    if (uid, gid) == (status.st_uid, status.st_gid):
        return  # a hard link that was met under another name
    is_file = stat.S_ISREG(status.st_mode)
    capability = read_xattrs(path).get(CAPABILITY) if is_file else None
    os.lchown(path, uid, gid)
    if is_file and status.st_mode & (stat.S_ISUID | stat.S_ISGID):
        os.chmod(path, stat.S_IMODE(status.st_mode))
    if capability is not None:
        os.setxattr(path, CAPABILITY, plain_capability(capability, id_shift))
