"""COPY, ADD and WORKDIR: what they change becomes a tar, written straight from where the files are.

Runs in a child that has the account's id mapping, so that a stage's layers can be read whoever owns them; arguments and
results are JSON. With no `tar` to write, only the key is found: it covers names, kinds, modes, owners, links and bytes
of all that goes into the layer, and no times. Of archives it covers the bytes, not what their folders meet in the
stage: the result's `unpacks` says that there are some.

Times in the layer: what comes from the context gets one fixed time, because the times of a checkout are accidents and
would give every machine its own image. What comes from a stage or an archive keeps its own, which is as fixed as its
bytes and which programs rely on (Python's compiled files name their source's time).
"""

import functools
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import IO, Any, Final

from airdock.builder.archives import is_archive, open_archive
from airdock.builder.ignore import IgnoreRules
from airdock.builder.layout import Layout, Placed
from airdock.builder.owners import LayerOwners
from airdock.builder.ownership import Owner, apply_mode, find_owner
from airdock.builder.sources import find_sources, walk
from airdock.builder.trees import ContextTree, Item, LayeredTree, Tree, resolve
from airdock.errors import BuildError
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
from airdock.images.unpack import split_path

__all__ = ["copy_files", "make_folder"]

_CHUNK: Final = 1 << 20
_KINDS: Final = {"file": REGULAR, "folder": DIRECTORY, "link": SYMLINK, "pipe": FIFO}


def copy_files(
    *,
    below: Mapping[str, Any],
    source: Mapping[str, Any],
    action: Mapping[str, Any],
    time_s: int,
    latest_s: int | None,
    tar: str | None,
) -> dict[str, Any]:
    """Do what COPY or ADD says; gives the layer's `key`, how many `entries` it has, and `unpacks`.

    `below` is the stage so far: its layers' `folders`, and their `blobs` with the folder of `owners` where the disk
    doesn't tell these. `source` is another such stage, or `{"context": folder, "ignore": patterns, "where": name}`.
    `action` has the fields of `CopyFiles`. `time_s` is the fixed time, `latest_s` the latest
    that others may have. Raises `BuildError`.
    """
    stage = _open_stage(below)
    tree: Tree
    if "context" in source:
        tree = ContextTree(source["context"], IgnoreRules(source["ignore"], where=source["where"]))
    else:
        tree = _open_stage(source)
    copier = _Copier(
        below=stage,
        tree=tree,
        owner=find_owner(stage, action["chown"]) if action["chown"] else None,
        chmod=action["chmod"],
        unpack=action["unpack"],
        excludes=IgnoreRules(action["excludes"], where="--exclude"),
        fixed_ns=time_s * 1_000_000_000 if "context" in source else None,
        new_ns=time_s * 1_000_000_000,
        latest_ns=None if latest_s is None else latest_s * 1_000_000_000,
    )
    copier.place_all(action["sources"], action["documents"], action["destination"])
    return copier.emit(tar)


def make_folder(*, below: Mapping[str, Any], path: str, user: str, time_s: int, tar: str | None) -> dict[str, Any]:
    """Make the folder of WORKDIR with those above it; no entries where it is there. Raises `BuildError`."""
    stage = _open_stage(below)
    relative = path.strip("/")
    there = stage.look(resolve(stage, relative))
    if there is not None and there.kind == "folder":
        return {"key": "", "entries": 0, "unpacks": False}
    copier = _Copier(below=stage, tree=stage, owner=find_owner(stage, user), new_ns=time_s * 1_000_000_000)
    copier.layout.enter(relative)
    return copier.emit(tar)


def _open_stage(stage: Mapping[str, Any]) -> LayeredTree:
    return LayeredTree(
        stage["folders"], [LayerOwners(blob=blob, folder=stage["owners"]) for blob in stage.get("blobs", ())]
    )


@dataclass(kw_only=True, slots=True)
class _Archive:
    """A file that goes in unpacked, below the folder `target`."""

    path: str
    target: str


@dataclass(kw_only=True)
class _Copier:
    below: LayeredTree
    tree: Tree
    owner: Owner | None
    new_ns: int
    chmod: str = ""
    unpack: bool = False
    excludes: IgnoreRules = field(default_factory=lambda: IgnoreRules(()))
    fixed_ns: int | None = None
    latest_ns: int | None = None
    archives: list[_Archive] = field(default_factory=list)

    def __post_init__(self) -> None:
        uid, gid = self.owner or (0, 0)
        new_folder = Item(kind="folder", mode=0o755, uid=uid, gid=gid, mtime_ns=self.new_ns)
        self.layout = Layout(below=self.below, new_folder=new_folder)

    def place_all(self, sources: Sequence[str], documents: Sequence[Sequence[str]], destination: str) -> None:
        """Decide where everything goes."""
        for source in sources:
            for path in find_sources(self.tree, source):
                self._place(path, destination)
        for name, text in documents:
            data = text.encode(errors="surrogateescape")
            item = Item(kind="file", mode=0o644, size=len(data), mtime_ns=self.new_ns)
            target = self._file_target(name, destination)
            self.layout.put(target, Placed(item=self._styled(item), data=data))

    def _place(self, path: str, destination: str) -> None:
        real = resolve(self.tree, path)
        item = self.tree.look(real)
        assert item is not None  # find_sources gives only what is there
        if item.kind == "folder":
            self._place_folder(real, destination)
            return
        name = path.rpartition("/")[2]
        if len(self.excludes) and self.excludes.ignores(name):
            return
        if item.kind == "file" and self.unpack and is_archive(self.tree.open(real)):
            target = self.layout.enter(destination.strip("/"))
            self.archives.append(_Archive(path=real, target=target))
            return
        self.layout.put(self._file_target(name, destination), self._placed(real, item))

    def _place_folder(self, real: str, destination: str) -> None:
        # The folder itself isn't copied, only what is in it: a new destination is a plain folder.
        base = self.layout.enter(destination.strip("/"))
        folders = {"": base}
        for path, found in walk(self.tree, real, self.excludes):
            above, _, name = path.rpartition("/")
            target = f"{folders[above]}/{name}" if folders[above] else name
            place = f"{real}/{path}" if real else path
            if found.kind == "folder":
                folders[path] = self.layout.put_folder(target, self._styled(self._owned(place, found)))
            else:
                self.layout.put(target, self._placed(place, found))

    def _file_target(self, name: str, destination: str) -> str:
        """Where a single file goes: into the destination where that is a folder, else to where it leads."""
        path = resolve(self.below, destination.strip("/"))
        there = self.layout.look(path)
        if destination.endswith("/") or (there is not None and there.kind == "folder"):
            folder = self.layout.enter(path)
        else:
            above, _, name = path.rpartition("/")
            folder = self.layout.enter(above)
        return f"{folder}/{name}" if folder else name

    def _placed(self, path: str, item: Item) -> Placed:
        opener = functools.partial(self.tree.open, path) if item.kind == "file" else None
        return Placed(item=self._styled(self._owned(path, item)), open=opener)

    def _owned(self, path: str, item: Item) -> Item:
        return self.tree.owned(path, item) if self.owner is None else item

    def _styled(self, item: Item) -> Item:
        """The item with the owner, mode and time that it gets."""
        uid, gid = self.owner or (item.uid, item.gid)
        mode = item.mode
        if self.chmod and item.kind != "link":
            mode = apply_mode(self.chmod, mode, is_folder=item.kind == "folder")
        time = self._time(item.mtime_ns) if self.fixed_ns is None else self.fixed_ns
        return replace(item, uid=uid, gid=gid, mode=mode, mtime_ns=time, ignored=False)

    def _time(self, time_ns: int) -> int:
        return time_ns if self.latest_ns is None else min(time_ns, self.latest_ns)

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
        return {"key": key.hexdigest(), "entries": count, "unpacks": bool(self.archives)}

    def _describe(self, path: str, placed: Placed, output: IO[bytes] | None) -> str:
        """What the key says about one entry, which is written on the way."""
        item = placed.item
        digest = ""
        if output is not None:
            output.write(render_header(_entry(path, item)))
        if item.kind == "file":
            digest = _hash(placed.data) if placed.open is None else ""
            if placed.open is not None:
                digest = _read(placed.open(), path, item.size, output)
            elif output is not None:
                output.write(placed.data + padding(len(placed.data)))
        xattrs = {name: value.hex() for name, value in item.xattrs.items()}
        return json.dumps([path, item.kind, item.mode, item.uid, item.gid, item.link, sorted(xattrs.items()), digest])

    def _describe_archive(self, archive: _Archive) -> str:
        with os.fdopen(self.tree.open(archive.path), "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return json.dumps(["archive", archive.target, self.owner, self.chmod, digest])

    def _unpack(self, archive: _Archive, output: IO[bytes]) -> None:
        with open_archive(self.tree.open(archive.path)) as source:
            for entry in read_entries(source):
                name = os.fsdecode(b"/".join(split_path(entry.name)))
                # An archive says what its top is like, too; only the root folder of the image is left as it is.
                if name or (archive.target and entry.kind == DIRECTORY):
                    self._unpack_entry(archive, entry, name, source, output)
                else:
                    self._skip(source, entry)

    def _skip(self, source: Source, entry: Entry) -> None:
        for _ in _pieces(source, entry.size + len(padding(entry.size))):
            pass

    def _unpack_entry(self, archive: _Archive, entry: Entry, name: str, source: Source, output: IO[bytes]) -> None:
        target = "/".join(part for part in (archive.target, name) if part)
        before = len(self.layout.placed)
        uid, gid = self.owner or (entry.uid, entry.gid)
        mode = apply_mode(self.chmod, entry.mode, is_folder=entry.kind == DIRECTORY) if self.chmod else entry.mode
        item = Item(kind="folder", mode=mode & 0o7777, uid=uid, gid=gid, mtime_ns=self._time(entry.mtime_ns))
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
        moved = replace(entry, name=os.fsencode(place), uid=uid, gid=gid, mode=mode, mtime_ns=item.mtime_ns, link=link)
        output.write(render_header(moved))
        _pump(source, entry.size, output)


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


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


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


def _pump(source: Source, size: int, output: IO[bytes]) -> None:
    left = size + len(padding(size))
    for piece in _pieces(source, left):
        left -= len(piece)
        output.write(piece)
    if left:
        raise BuildError("expected a whole archive, found one that breaks off inside a file")


def _pieces(source: Source, size: int) -> Iterator[bytes]:
    while size and (piece := source.read(min(size, _CHUNK))):
        size -= len(piece)
        yield piece
