"""COPY, ADD and WORKDIR: what they change becomes a tar, written straight from where the files are.

Runs in a child that has the account's id mapping, so that a stage's layers can be read whoever owns them; arguments and
results are JSON. With no `tar` to write, only the key is found: it covers names, kinds, modes, owners, links and bytes
of all that goes into the layer, and no times. Of archives it covers the bytes, not what their folders meet in the
stage: the result's `unpacks` says that there are some.

Times in the layer: what comes from the context gets one fixed time, because the times of a checkout are accidents and
would give every machine its own image. What comes from a stage, an archive or a server keeps its own, which is as fixed
as its bytes and which programs rely on (Python's compiled files name their source's time).
"""

import functools
import os
import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airdock.builder.archives import is_archive
from airdock.builder.emit import Archive, Emitter, Style
from airdock.builder.ignore import IgnoreRules
from airdock.builder.layout import Layout, Placed
from airdock.builder.owners import LayerOwners
from airdock.builder.ownership import find_owner
from airdock.builder.sources import find_sources, split_pivot, walk, walk_matches
from airdock.builder.trees import ContextTree, Item, LayeredTree, Tree, resolve
from airdock.errors import BuildError
from airdock.record import record

__all__ = ["copy_files", "make_folder", "open_source"]

_SECOND_NS = 1_000_000_000
_FETCHED_MODE = 0o600


def copy_files(
    *,
    below: Mapping[str, Any],
    source: Mapping[str, Any],
    action: Mapping[str, Any],
    time_s: int,
    latest_s: int | None,
    tar: str | None,
    fetched: Iterable[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Do what COPY or ADD says; gives the layer's `key`, how many `entries` it has, `unpacks`, and its `files`
    with short digests, which say what changed.

    `below` is the stage so far: its layers' `folders`, and their `blobs` with the folder of `owners` where the disk
    doesn't tell these. `source` is another such stage, or `{"context": folder, "ignore": patterns, "where": name}`.
    `action` has the fields of `CopyFiles`, and `fetched` what its remote sources came to: `{"folder": path}`, or
    `{"file": path, "name": …, "mtime_s": …}`. `time_s` is the fixed time, `latest_s` the latest that others may have.
    Raises `BuildError`.
    """
    stage = _open_stage(below)
    tree = open_source(source)
    style = Style(
        owner=find_owner(stage, action["chown"]) if action["chown"] else None,
        chmod=action["chmod"],
        latest_ns=None if latest_s is None else latest_s * _SECOND_NS,
    )
    copier = _Copier(
        below=LayeredTree([]) if action["link"] else stage,
        style=style,
        excludes=IgnoreRules(action["excludes"], where="--exclude"),
        new_ns=time_s * _SECOND_NS,
    )
    origin = _Origin(tree=tree, unpack=action["unpack"], fixed_ns=time_s * _SECOND_NS if "context" in source else None)
    destination = action["destination"]
    for pattern in action["sources"]:
        if action["parents"]:
            copier.place_with_parents(origin, pattern, destination)
        else:
            for path in find_sources(tree, pattern):
                copier.place(origin, path, destination)
    for name, text in action["documents"]:
        copier.place_document(name, text, destination)
    for found in fetched:
        copier.place_fetched(found, destination, unpack=action["unpack_remote"])
    return copier.emitter.emit(tar)


def make_folder(*, below: Mapping[str, Any], path: str, user: str, time_s: int, tar: str | None) -> dict[str, Any]:
    """Make the folder of WORKDIR with those above it; no entries where it is there. Raises `BuildError`."""
    stage = _open_stage(below)
    relative = path.strip("/")
    there = stage.look(resolve(stage, relative))
    if there is not None and there.kind == "folder":
        return {"key": "", "entries": 0, "unpacks": False, "files": {}}
    copier = _Copier(below=stage, style=Style(owner=find_owner(stage, user)), new_ns=time_s * _SECOND_NS)
    copier.layout.enter(relative)
    return copier.emitter.emit(tar)


def open_source(source: Mapping[str, Any]) -> Tree:
    """The tree that a `source` of `copy_files` means."""
    if "context" in source:
        return ContextTree(source["context"], IgnoreRules(source["ignore"], where=source["where"]))
    return _open_stage(source)


def _open_stage(stage: Mapping[str, Any]) -> LayeredTree:
    return LayeredTree(
        stage["folders"], [LayerOwners(blob=blob, folder=stage["owners"]) for blob in stage.get("blobs", ())]
    )


@record
class _Origin:
    """Where files come from. Archives among them are unpacked with `unpack`; `fixed_ns` is the time they get, None to
    keep their own."""

    tree: Tree
    unpack: bool = False
    fixed_ns: int | None = None


@dataclass(kw_only=True)
class _Copier:
    """Decides where everything goes. `new_ns` is the time of what is made here."""

    below: LayeredTree
    style: Style
    new_ns: int
    excludes: IgnoreRules = field(default_factory=lambda: IgnoreRules(()))

    def __post_init__(self) -> None:
        uid, gid = self.style.owner or (0, 0)
        new_folder = Item(kind="folder", mode=0o755, uid=uid, gid=gid, mtime_ns=self.new_ns)
        self.layout = Layout(below=self.below, new_folder=new_folder)
        self.emitter = Emitter(layout=self.layout, style=self.style)

    def place(self, origin: _Origin, path: str, destination: str) -> None:
        """A source's file, or what is in its folder; links to either are followed."""
        real = resolve(origin.tree, path)
        item = origin.tree.look(real)
        assert item is not None  # find_sources gives only what is there
        if item.kind == "folder":
            # The folder itself isn't copied, only what is in it: a new destination is a plain folder.
            self._place_all(origin, real, walk(origin.tree, real, self.excludes), destination)
            return
        name = path.rpartition("/")[2]
        if len(self.excludes) and self.excludes.ignores(name):
            return
        opener = functools.partial(origin.tree.open, real)
        if item.kind == "file" and origin.unpack and is_archive(opener()):
            self._add_archive(opener, destination)
            return
        self.layout.put(self._file_target(name, destination), self._placed(origin, real, item))

    def place_with_parents(self, origin: _Origin, pattern: str, destination: str) -> None:
        """What a pattern matches, with the folders that lead to it from the pivot on."""
        base, rest = split_pivot(origin.tree, pattern)
        self._place_all(origin, base, walk_matches(origin.tree, base, rest, self.excludes), destination)

    def place_document(self, name: str, text: str, destination: str) -> None:
        data = text.encode(errors="surrogateescape")
        item = Item(kind="file", mode=0o644, size=len(data), mtime_ns=self.new_ns)
        styled = self.style.apply(item, fixed_ns=self.new_ns)
        self.layout.put(self._file_target(name, destination), Placed(item=styled, data=data))

    def place_fetched(self, found: Mapping[str, Any], destination: str, *, unpack: bool) -> None:
        if "folder" in found:
            tree = ContextTree(found["folder"], IgnoreRules(()))
            self.place(_Origin(tree=tree, fixed_ns=self.new_ns), "", posixpath.join(destination, ""))
            return
        opener = functools.partial(os.open, found["file"], os.O_RDONLY | os.O_CLOEXEC)
        if unpack and is_archive(opener()):
            self._add_archive(opener, destination)
            return
        size = Path(found["file"]).stat().st_size
        item = Item(kind="file", mode=_FETCHED_MODE, size=size, mtime_ns=found["mtime_s"] * _SECOND_NS)
        styled = self.style.apply(item, fixed_ns=None)
        self.layout.put(self._file_target(found["name"], destination), Placed(item=styled, open=opener))

    def _add_archive(self, opener: "functools.partial[int]", destination: str) -> None:
        target = self.layout.enter(destination.strip("/"))
        self.emitter.archives.append(Archive(open=opener, target=target))

    def _place_all(self, origin: _Origin, top: str, found: Iterable[tuple[str, Item]], destination: str) -> None:
        """Items below the folder `top`, folders before what is in them."""
        base = self.layout.enter(destination.strip("/"))
        folders = {"": base}
        for path, item in found:
            above, _, name = path.rpartition("/")
            target = f"{folders[above]}/{name}" if folders[above] else name
            place = f"{top}/{path}" if top else path
            if item.kind == "folder":
                owned = self._owned(origin, place, item)
                folders[path] = self.layout.put_folder(target, self.style.apply(owned, fixed_ns=origin.fixed_ns))
            else:
                self.layout.put(target, self._placed(origin, place, item))

    def _file_target(self, name: str, destination: str) -> str:
        """Where a single file goes: into the destination where that is a folder, else to where it leads."""
        path = resolve(self.below, destination.strip("/"))
        there = self.layout.look(path)
        if destination.endswith("/") or (there is not None and there.kind == "folder"):
            if not name:
                raise BuildError(f"expected the name of a file in the folder /{path}, found none: say it all in ADD")
            folder = self.layout.enter(path)
        else:
            above, _, name = path.rpartition("/")
            folder = self.layout.enter(above)
        return f"{folder}/{name}" if folder else name

    def _placed(self, origin: _Origin, path: str, item: Item) -> Placed:
        opener = functools.partial(origin.tree.open, path) if item.kind == "file" else None
        owned = self._owned(origin, path, item)
        return Placed(item=self.style.apply(owned, fixed_ns=origin.fixed_ns), open=opener)

    def _owned(self, origin: _Origin, path: str, item: Item) -> Item:
        return origin.tree.owned(path, item) if self.style.owner is None else item
