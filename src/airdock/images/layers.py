"""Unpacked layers, each in a folder of its own that whoever uses the image shares.

layers/                      0700: set-user-id files of images are nobody else's business
  <mapping>/
    .tmp-XXXXXXXX/           a layer on its way out
    <diff id's hex>/
      lock                   held by the one who unpacks; its time says when the layer was last used
      .tmp-diff/             being unpacked; a leftover belongs to whoever holds the lock next
      diff/                  the layer, in overlayfs's form
      size                   bytes of its tar
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from airdock.files import TEMPORARY_PREFIX
from airdock.images.locks import take_lock
from airdock.images.trees import remove_tree

__all__ = [
    "claim_layer",
    "find_layer",
    "last_use",
    "layer_folder",
    "load_size",
    "save_size",
    "set_aside",
    "touch_layer",
    "unpacked_size",
]


def layer_folder(layers: Path, mapping: str, encoded: str) -> Path:
    """Where the layer with this diff id lives."""
    return layers / mapping / encoded


def find_layer(layers: Path, mapping: str, encoded: str) -> Path | None:
    """The unpacked layer when it's there."""
    diff = layer_folder(layers, mapping, encoded) / "diff"
    return diff if diff.is_dir() else None


def touch_layer(diff: Path) -> None:
    """Remember that an unpacked layer is used now."""
    try:
        os.utime(diff.parent / "lock")
    except OSError:
        pass  # set aside meanwhile, or on a disk that is read only: it only counts as older than it is


def last_use(layers: Path, encoded: str) -> float:
    """When a layer was last used, in seconds since the epoch; 0 for one that isn't unpacked."""
    found = 0.0
    for path in layers.glob(f"*/{encoded}/lock"):
        try:
            found = max(found, path.stat().st_mtime)
        except FileNotFoundError:
            continue  # it was set aside meanwhile
    return found


def save_size(folder: Path, size: int) -> None:
    """Remember the bytes of a layer's tar; whoever unpacks it calls this before the layer is in its place."""
    (folder / "size").write_text(str(size))


def load_size(layers: Path, encoded: str) -> int | None:
    """Bytes of a layer's tar; None for one that isn't unpacked."""
    for path in layers.glob(f"*/{encoded}/size"):
        try:
            return int(path.read_text())
        except (OSError, ValueError):
            continue
    return None


def unpacked_size(layers: Path, encoded: str, otherwise: int = 0) -> int:
    """Bytes that a layer takes unpacked, for each id mapping that it's unpacked for.

    It is the size of its tar: walking a tree takes long. `otherwise` is for a layer that has none on record.
    """
    count = sum(1 for _ in layers.glob(f"*/{encoded}/diff"))
    return count and count * (load_size(layers, encoded) or otherwise)


@contextmanager
def claim_layer(folder: Path) -> Iterator[Path | None]:
    """Be the one who makes the layer in `folder`: gives the path to unpack to, None when the layer is there already.

    What stands at the path when the block ends well becomes the layer; nothing does after an exception.
    """
    lock = _lock(folder)
    try:
        if (folder / "diff").is_dir():
            yield None
            return
        temporary = folder / f"{TEMPORARY_PREFIX}diff"
        remove_tree(temporary)
        try:
            yield temporary
            temporary.rename(folder / "diff")
        except BaseException:
            remove_tree(temporary)
            raise
    finally:
        os.close(lock)


def set_aside(folder: Path) -> None:
    """Take the layer in `folder` out of everybody's sight; one that is being unpacked stays, and absence is fine."""
    lock = take_lock(folder / "lock", wait=False) if folder.is_dir() else None
    if lock is None:
        return
    try:
        folder.rename(folder.parent / f"{TEMPORARY_PREFIX}{os.urandom(8).hex()}")
    finally:
        os.close(lock)


def _lock(folder: Path) -> int:
    while True:
        # `exist_ok` would look again, and call a folder that was set aside meanwhile a file that is in the way.
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700, parents=True)
        try:
            lock = take_lock(folder / "lock")
        except FileNotFoundError:
            continue  # the folder was set aside between the two steps
        assert lock is not None
        return lock
