"""Two kinds of folder trees that COPY reads: a build context, and a stack of unpacked layers seen as one.

Paths are relative to the tree's top, parts joined by slashes, "" for the top itself. Nothing outside the tree is ever
read: symbolic links are followed by `resolve` alone, as if the top were the root folder.
"""

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from typing import Final, Protocol

from airdock.builder.ignore import IgnoreRules, Verdict
from airdock.builder.owners import LayerOwners
from airdock.errors import BuildError
from airdock.images.xattrs import is_kept, is_opaque, read_xattrs
from airdock.record import record

__all__ = ["ContextTree", "Item", "LayeredTree", "Tree", "read_small", "resolve"]

_MOST_LINKS: Final = 40
_LARGEST_SMALL: Final = 4 << 20


@record
class Item:
    """One file, folder or link. `ignored` marks a folder that counts only for what is kept inside."""

    kind: str
    mode: int
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime_ns: int = 0
    link: str = ""
    xattrs: Mapping[str, bytes] = field(default_factory=dict)
    ignored: bool = False


class Tree(Protocol):
    """What can be copied from.

    `look` says what is at a path whose folders are no links, None where nothing is; `names` are the sorted names in a
    folder; `open` reads a file, and the caller closes it. `owned` is the item at a path with its true owner, which
    `look` may not know where that costs something to find out.
    """

    def look(self, path: str) -> Item | None: ...

    def names(self, path: str) -> list[str]: ...

    def open(self, path: str) -> int: ...

    def owned(self, path: str, item: Item) -> Item: ...


def resolve(tree: Tree, path: str, *, follow_last: bool = True) -> str:
    """The path with its links followed, `..` stopping at the top. What is missing stays as it is written.

    Raises `BuildError` where links go in circles.
    """
    done: list[str] = []
    left = path.split("/")[::-1]
    links = 0
    while left:
        part = left.pop()
        if part in ("", "."):
            continue
        if part == "..":
            del done[-1:]
            continue
        here = "/".join([*done, part])
        item = tree.look(here) if follow_last or left else None
        if item is None or item.kind != "link":
            done.append(part)
            continue
        links += 1
        if links > _MOST_LINKS:
            raise BuildError(f"expected a path without circles, found too many symbolic links on the way to /{path}")
        if item.link.startswith("/"):
            done.clear()
        left += item.link.split("/")[::-1]
    return "/".join(done)


def read_small(tree: Tree, path: str) -> str:
    """The text of a small file such as /etc/passwd, links followed; "" where there is none."""
    path = resolve(tree, path)
    item = tree.look(path)
    if item is None or item.kind != "file":
        return ""
    with os.fdopen(tree.open(path), "rb") as file:
        return file.read(_LARGEST_SMALL).decode(errors="replace")


class ContextTree:
    """The folder of a build, without what the ignore rules leave out. Everything belongs to root."""

    def __init__(self, top: str, rules: IgnoreRules) -> None:
        self.top = top
        self.rules = rules
        self._verdicts: dict[str, Verdict] = {"": Verdict()}

    def look(self, path: str) -> Item | None:
        if not path:
            return Item(kind="folder", mode=0o755)
        item = self.look_unfiltered(path)
        if item is None or not self._judge(path).ignored:
            return item
        if item.kind != "folder" or not self.rules.has_exceptions:
            return None
        return Item(kind="folder", mode=item.mode, ignored=True)

    def look_unfiltered(self, path: str) -> Item | None:
        """What is there whatever the rules say: to tell "ignored" from "missing"."""
        full = self._full(path)
        try:
            found = os.lstat(full)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _unreadable(full, error) from error
        if stat.S_ISSOCK(found.st_mode):
            return None
        return _item(found, full, owned=False)

    def names(self, path: str) -> list[str]:
        full = self._full(path)
        try:
            return sorted(_list(full))
        except OSError as error:
            raise _unreadable(full, error) from error

    def open(self, path: str) -> int:
        full = self._full(path)
        try:
            return os.open(full, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise _unreadable(full, error) from error

    def owned(self, path: str, item: Item) -> Item:
        return item

    def _full(self, path: str) -> str:
        return f"{self.top}/{path}" if path else self.top

    def _judge(self, path: str) -> Verdict:
        verdict = self._verdicts.get(path)
        if verdict is None:
            verdict = self.rules.judge(path, self._judge(path.rpartition("/")[0]))
            self._verdicts[path] = verdict
        return verdict


class LayeredTree:
    """Unpacked layers in overlayfs's form, the lowest first: what a container would see.

    `owners` has one entry for each layer where the disk doesn't tell who owns what, and is empty where it does.
    """

    def __init__(self, layers: Sequence[str], owners: Sequence[LayerOwners] = ()) -> None:
        self._owners = owners
        self._folders: dict[str, tuple[tuple[int, str], ...]] = {"": tuple(enumerate(layers))[::-1]}
        self._items: dict[str, Item | None] = {"": Item(kind="folder", mode=0o755)}

    def look(self, path: str) -> Item | None:
        if path not in self._items:
            self._items[path] = self._find(path)
        return self._items[path]

    def names(self, path: str) -> list[str]:
        found: set[str] = set()
        for _, folder in self._merged(path):
            found.update(_list(folder))
        prefix = f"{path}/" if path else ""
        return sorted(name for name in found if self.look(prefix + name) is not None)

    def open(self, path: str) -> int:
        return os.open(self._highest(path)[1], os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)

    def owned(self, path: str, item: Item) -> Item:
        if not self._owners or not path:
            return item
        uid, gid = self._owners[self._highest(path)[0]].find(path)
        return replace(item, uid=uid, gid=gid)

    def _highest(self, path: str) -> tuple[int, str]:
        """The highest layer that has the path, and where."""
        parent, _, name = path.rpartition("/")
        for layer, folder in self._merged(parent):
            full = f"{folder}/{name}"
            if os.path.lexists(full):
                return layer, full
        raise BuildError(f"expected /{path} in the stage, found nothing")

    def _merged(self, path: str) -> tuple[tuple[int, str], ...]:
        """The folders that together are the folder at `path`, the highest first; none where there is no folder."""
        if path not in self._folders:
            self.look(path)
        return self._folders.get(path, ())

    def _find(self, path: str) -> Item | None:
        parent, _, name = path.rpartition("/")
        first: Item | None = None
        merged: list[tuple[int, str]] = []
        for layer, folder in self._merged(parent):
            full = f"{folder}/{name}"
            try:
                found = os.lstat(full)
            except (FileNotFoundError, NotADirectoryError):
                continue
            if stat.S_ISCHR(found.st_mode) and found.st_rdev == 0:
                break  # a whiteout: nothing below it is seen
            is_folder = stat.S_ISDIR(found.st_mode)
            if first is not None and not is_folder:
                break
            first = first or _item(found, full, owned=True)
            if not is_folder:
                break
            merged.append((layer, full))
            if is_opaque(read_xattrs(os.fsencode(full))):
                break
        if merged:
            self._folders[path] = tuple(merged)
        return first


def _list(folder: str) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries]


def _item(found: os.stat_result, full: str, *, owned: bool) -> Item:
    kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "link", stat.S_IFIFO: "pipe"}
    kind = kinds.get(stat.S_IFMT(found.st_mode))
    if kind is None:
        raise BuildError(f"expected files, folders and links, found a device at {full!r}")
    xattrs = read_xattrs(os.fsencode(full)) if owned and kind != "link" else {}
    return Item(
        kind=kind,
        mode=stat.S_IMODE(found.st_mode),
        uid=found.st_uid if owned else 0,
        gid=found.st_gid if owned else 0,
        size=found.st_size if kind == "file" else 0,
        mtime_ns=found.st_mtime_ns,
        link=os.readlink(full) if kind == "link" else "",  # noqa: PTH115 - a Path would tidy up what the link says
        xattrs={name: value for name, value in xattrs.items() if is_kept(name)},
    )


def _unreadable(full: str, error: OSError) -> BuildError:
    return BuildError(
        f"expected to read {full!r} of the build context, found: {error.strerror}",
        hint="leave it out in .dockerignore, or make it readable",
    )
