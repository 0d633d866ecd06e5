"""A layout becomes a layer's tar and the key of what is in it."""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import IO, Any, Final

from airdock.builder.archives import open_archive
from airdock.builder.layout import Layout, Placed
from airdock.builder.ownership import Owner, apply_mode
from airdock.builder.trees import Item
from airdock.errors import BuildError
from airdock.images.contents import pump_data, skip_data
from airdock.images.tar import (
    DIRECTORY,
    END,
    FIFO,
    HARD_LINK,
    REGULAR,
    SYMLINK,
    Entry,
    Source,
    padding,
    read_entries,
    render_header,
)
from airdock.images.unpack import MAX_BYTES, split_path
from airdock.record import record

__all__ = ["Archive", "Emitter", "Style"]

_CHUNK: Final = 1 << 20
_SHORT: Final = 12
"""Digits of a digest that only says whether something changed."""
_KINDS: Final = {"file": REGULAR, "folder": DIRECTORY, "link": SYMLINK, "pipe": FIFO}


@record
class Style:
    """What `--chown`, `--chmod` and the times of a build make of an item.

    Times are in nanoseconds: `fixed_ns` for what has no time worth keeping, `latest_ns` bounds all others.
    """

    owner: Owner | None = None
    chmod: str = ""
    latest_ns: int | None = None

    def apply(self, item: Item, *, fixed_ns: int | None) -> Item:
        """The item with the owner, mode and time that it gets."""
        uid, gid = self.owner or (item.uid, item.gid)
        mode = item.mode
        if self.chmod and item.kind != "link":
            mode = apply_mode(self.chmod, mode, is_folder=item.kind == "folder")
        time = self.bound(item.mtime_ns) if fixed_ns is None else fixed_ns
        return replace(item, uid=uid, gid=gid, mode=mode, mtime_ns=time, ignored=False)

    def bound(self, time_ns: int) -> int:
        return time_ns if self.latest_ns is None else min(time_ns, self.latest_ns)


@record
class Archive:
    """A file that goes in unpacked, below the folder `target`; `open` gives a descriptor of it."""

    open: Callable[[], int]
    target: str


@dataclass(kw_only=True)
class Emitter:
    """Writes what was laid out, then the archives into it."""

    layout: Layout
    style: Style = field(default_factory=Style)
    archives: list[Archive] = field(default_factory=list)

    def emit(self, tar: str | None) -> dict[str, Any]:
        """Write the tar where one is wanted, and find the key of what was written."""
        if tar is None:
            return self._write(None)
        with open(tar, "wb", buffering=_CHUNK) as output:
            result = self._write(output)
            output.write(END)
        return result

    def _write(self, output: IO[bytes] | None) -> dict[str, Any]:
        key = hashlib.sha256()
        described = sorted(self._describe(path, placed, output) for path, placed in list(self.layout.placed.items()))
        for archive in self.archives:
            described.append(self._describe_archive(archive))
            if output is not None:
                self._unpack(archive, output)
        key.update(json.dumps(described, sort_keys=True).encode())
        count = len(self.layout.placed) + len(self.archives)
        files = {_path_of(line): hashlib.sha256(line.encode()).hexdigest()[:_SHORT] for line in described}
        return {"key": key.hexdigest(), "entries": count, "unpacks": bool(self.archives), "files": files}

    def _describe(self, path: str, placed: Placed, output: IO[bytes] | None) -> str:
        """What the key says about one entry, which is written on the way."""
        item = placed.item
        digest = ""
        if output is not None:
            output.write(render_header(_entry(path, item)))
        if item.kind == "file":
            digest = hashlib.sha256(placed.data).hexdigest() if placed.open is None else ""
            if placed.open is not None:
                digest = _read(placed.open(), path, item.size, output)
            elif output is not None:
                output.write(placed.data + padding(len(placed.data)))
        xattrs = {name: value.hex() for name, value in item.xattrs.items()}
        return json.dumps([path, item.kind, item.mode, item.uid, item.gid, item.link, sorted(xattrs.items()), digest])

    def _describe_archive(self, archive: Archive) -> str:
        with os.fdopen(archive.open(), "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return json.dumps(["archive", archive.target, digest])

    def _unpack(self, archive: Archive, output: IO[bytes]) -> None:
        with open_archive(archive.open()) as source:
            left = MAX_BYTES
            for entry in read_entries(source):
                left -= entry.whole
                if left < 0:  # holes take no room in the archive
                    raise BuildError(f"expected an archive of at most {MAX_BYTES:,} bytes, found more")
                name = os.fsdecode(b"/".join(split_path(entry.name)))
                # An archive says what its top is like, too; only the root folder of the image is left as it is.
                if name or (archive.target and entry.kind == DIRECTORY):
                    self._unpack_entry(archive, entry, name, source, output)
                else:
                    skip_data(source, entry)

    def _unpack_entry(self, archive: Archive, entry: Entry, name: str, source: Source, output: IO[bytes]) -> None:
        target = "/".join(part for part in (archive.target, name) if part)
        before = len(self.layout.placed)
        # As with BuildKit, an archive's own owners and modes hold: --chown and --chmod are for what is copied as it is.
        time_ns = self.style.bound(entry.mtime_ns)
        item = Item(kind="folder", mode=entry.mode & 0o7777, uid=entry.uid, gid=entry.gid, mtime_ns=time_ns)
        if entry.kind == DIRECTORY:
            place = self.layout.put_folder(target, item)
        else:
            above, _, last = target.rpartition("/")
            folder = self.layout.enter(above)
            place = f"{folder}/{last}" if folder else last
            # Entries of an archive are written at once; this only keeps a later one from going through them.
            self.layout.put(place, Placed(item=replace(item, kind="link" if entry.kind == SYMLINK else "file")))
        for path in list(self.layout.placed)[before:]:
            if path != place:
                output.write(render_header(_entry(path, self.layout.placed[path].item)))
        link = entry.link
        if entry.kind == HARD_LINK:
            link = os.fsencode(f"{archive.target}/") * bool(archive.target) + b"/".join(split_path(entry.link))
        moved = replace(entry, name=os.fsencode(place), mtime_ns=time_ns, link=link, size=entry.whole, pieces=None)
        output.write(render_header(moved))
        pump_data(source, entry, output.write)


def _path_of(described: str) -> str:
    """The path in what the key says of an entry, or of an archive the folder it goes into."""
    first, second, *_ = json.loads(described)
    return f"{second}/*" if first == "archive" else str(first)


def _entry(path: str, item: Item) -> Entry:
    return Entry(
        name=os.fsencode(path),
        kind=_KINDS[item.kind],
        mode=item.mode,
        uid=item.uid,
        gid=item.gid,
        size=item.size,
        mtime_ns=item.mtime_ns,
        link=os.fsencode(item.link),
        xattrs={os.fsencode(name): value for name, value in item.xattrs.items()},
    )


def _read(descriptor: int, path: str, size: int, output: IO[bytes] | None) -> str:
    """The digest of an open file, which is closed, and written out on the way; it has to be as long as it was."""
    digest = hashlib.sha256()
    left = size
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        while piece := file.read(_CHUNK):
            left -= len(piece)
            if left < 0:
                break
            digest.update(piece)
            if output is not None:
                output.write(piece)
    if left:
        raise BuildError(f"expected the file for /{path} to stay as it is, but it changed while it was copied")
    if output is not None:
        output.write(padding(size))
    return digest.hexdigest()
