"""What a container changed in its files, from its overlay's upper folder: Docker's A, C and D.

Runs where the account has all its ids. The folder may be a running container's: it is walked by descriptor, links
never followed, and what goes away meanwhile is left out.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from typing import Final

from airdock.containers.rooted import open_in
from airdock.images.xattrs import is_opaque, read_xattrs

__all__ = ["list_changes"]

_OPAQUE: Final = ("trusted.overlay.opaque", "user.overlay.opaque")
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def list_changes(*, upper: str, layers: Sequence[str], ignore: Sequence[str] = ()) -> list[tuple[str, str]]:
    """("A" added, "C" changed or "D" deleted, path), sorted by path. `layers` are the image's, the lowest first."""
    if not os.path.isdir(upper):
        return []
    lowers = [os.fsencode(layer) for layer in layers]
    skipped = {os.fsencode(path).strip(b"/") for path in ignore}
    found = dict(_walk(os.fsencode(upper), lowers, skipped))
    return [(kind, os.fsdecode(b"/" + path)) for path, kind in sorted(found.items())]


def _walk(upper: bytes, lowers: Sequence[bytes], skipped: set[bytes]) -> Iterator[tuple[bytes, str]]:
    root = os.open(upper, _FOLDER)
    pending: list[tuple[bytes, Sequence[bytes]]] = [(b"", lowers)]
    try:
        while pending:
            path, below = pending.pop()
            try:
                folder = open_in(root, os.fsdecode(path), _FOLDER)
            except (FileNotFoundError, NotADirectoryError):
                continue
            try:
                yield from _look_into(folder, path, below, skipped, pending)
            finally:
                os.close(folder)
    finally:
        os.close(root)


def _look_into(
    folder: int,
    path: bytes,
    below: Sequence[bytes],
    skipped: set[bytes],
    pending: list[tuple[bytes, Sequence[bytes]]],
) -> Iterator[tuple[bytes, str]]:
    shown = [] if path and _is_opaque(folder) else below
    names = {os.fsencode(name) for name in os.listdir(folder)}
    if below and not shown:  # it replaced another folder, whose files are gone
        before = {name for layer in below for name in _list(layer + b"/" + path)}
        gone = (path + b"/" + name for name in before - names)
        yield from ((child, "D") for child in gone if _lower(child, below) is not None)
    for name in names:
        child = path + b"/" + name if path else name
        if child in skipped:
            continue
        try:
            status = os.lstat(name, dir_fd=folder)
        except FileNotFoundError:
            continue
        yield from _judge(child, status, below)
        if stat.S_ISDIR(status.st_mode):
            pending.append((child, shown))


def _is_opaque(folder: int) -> bool:
    found = {}
    for name in _OPAQUE:
        try:
            found[name] = os.getxattr(folder, name)
        except OSError:
            continue
    return is_opaque(found)


def _judge(path: bytes, status: os.stat_result, below: Sequence[bytes]) -> Iterator[tuple[bytes, str]]:
    before = _lower(path, below)
    if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
        if before is not None:
            yield path, "D"
    elif before is None:
        yield path, "A"
    else:
        yield path, "C"


def _list(folder: bytes) -> list[bytes]:
    try:
        return os.listdir(folder) if stat.S_ISDIR(os.lstat(folder).st_mode) else []
    except (FileNotFoundError, NotADirectoryError):
        return []


def _lower(path: bytes, layers: Sequence[bytes]) -> os.stat_result | None:
    """What the image has at a path; the highest layer that says anything about it, or about a folder above, counts."""
    for layer in reversed(layers):
        status, ends = _in_layer(layer, path)
        if status is not None or ends:
            return status
    return None


def _in_layer(layer: bytes, path: bytes) -> tuple[os.stat_result | None, bool]:
    """What one layer has at a path, and whether lower ones have no say in it."""
    here = layer
    opaque = False
    parts = path.split(b"/")
    for depth, part in enumerate(parts):
        here += b"/" + part
        try:
            status = os.lstat(here)
        except (FileNotFoundError, NotADirectoryError):
            return None, opaque
        if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
            return None, True
        if depth == len(parts) - 1:
            return status, True
        if not stat.S_ISDIR(status.st_mode):
            return None, True
        opaque = opaque or is_opaque(read_xattrs(here))
    return None, opaque
