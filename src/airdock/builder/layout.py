"""What a COPY puts into its layer: every folder on the way as it is below or as it becomes, then what is copied.

A layer must carry the folders that lead to its files with their true owner and mode, because the highest layer that
has a folder says what it's like. They keep their times; new folders get the time of the build.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from airdock.builder.trees import Item, Tree, resolve
from airdock.errors import BuildError
from airdock.record import record

__all__ = ["Layout", "Placed"]


_WHITEOUT: Final = ".wh."


@record
class Placed:
    """An item at its place in the image. A file's bytes are `data`, or what `open` gives a descriptor of."""

    item: Item
    open: Callable[[], int] | None = None
    data: bytes = b""


@dataclass(kw_only=True, slots=True)
class Layout:
    """Collects what goes where; `placed` has folders before what is in them.

    `below` is the stage so far, `new_folder` what a folder that isn't there yet becomes.
    """

    below: Tree
    new_folder: Item
    placed: dict[str, Placed] = field(default_factory=dict)

    def look(self, path: str) -> Item | None:
        """What is at a path now, links not followed."""
        placed = self.placed.get(path)
        return placed.item if placed else self.below.look(path)

    def enter(self, path: str, *, new_folder: Item | None = None) -> str:
        """Make sure that there is a folder at `path`, links below followed; gives where it really is.

        `new_folder` is what the last folder of the path becomes where it's missing. Raises `BuildError` where
        something else stands in the way.
        """
        here = ""
        parts = path.split("/") if path else []
        for depth, part in enumerate(parts):
            wanted = f"{here}/{part}" if here else part
            is_last = depth == len(parts) - 1
            here = self._enter_one(wanted, new_folder if is_last and new_folder else self.new_folder)
        return here

    def _enter_one(self, path: str, new_folder: Item) -> str:
        item = self.look(path)
        if item is None:
            _check_name(path)
            self.placed[path] = Placed(item=new_folder)
            return path
        if item.kind == "folder":
            if path not in self.placed:
                self.placed[path] = Placed(item=self.below.owned(path, item))
            return path
        if item.kind == "link" and path not in self.placed:
            target = resolve(self.below, path)
            if target != path and (found := self.below.look(target)) is not None and found.kind == "folder":
                return self.enter(target)
        raise BuildError(f"expected a folder at /{path}, found a {item.kind}")

    def put_folder(self, path: str, item: Item) -> str:
        """A folder that is copied: what it is like replaces what a folder at its place was like."""
        here = self.enter(path, new_folder=item)
        self.placed[here] = Placed(item=item)
        return here

    def put(self, path: str, placed: Placed) -> None:
        """A file or link; it takes the place of anything but a folder. Its own folder was entered before."""
        found = self.look(path)
        if found is not None and found.kind == "folder":
            raise BuildError(f"expected a file or nothing at /{path}, found a folder")
        _check_name(path)
        self.placed[path] = placed


def _check_name(path: str) -> None:
    if path.rpartition("/")[2].startswith(_WHITEOUT):
        raise BuildError(f"expected names that a layer can hold, found /{path}: {_WHITEOUT} marks what a layer deletes")
