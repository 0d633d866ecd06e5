"""What `RUN --mount` needs on the disk, made in a child that has the account's id mapping, so that owners are right."""

import base64
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airdock.builder.copying import copy_files, open_source
from airdock.builder.trees import resolve
from airdock.errors import BuildError
from airdock.images.trees import remove_tree
from airdock.images.unpack import Unpacker

__all__ = ["fill_folder", "find_in_source", "give", "make_cache", "write_secret"]

_EMPTY: Mapping[str, Any] = {"folders": []}


def find_in_source(*, source: Mapping[str, Any], path: str, time_s: int) -> dict[str, str]:
    """Where `path` leads in a context or stage, and for a context the key of all that is there. Raises `BuildError`."""
    tree = open_source(source)
    real = resolve(tree, path)
    if tree.look(real) is None:
        place = "the build context" if "context" in source else "the stage or image that from= names"
        raise BuildError(f"expected {path!r} in {place}, found nothing")
    key = _copy(source, real, time_s, None)["key"] if "context" in source else ""
    return {"path": real, "key": key}


def fill_folder(*, source: Mapping[str, Any], path: str, time_s: int, target: str, tar: str, mapping: str) -> None:
    """Make the folder `target` with what is at `path` of a context or stage, at the same path in it. `tar` is for the
    way. Raises `BuildError`."""
    partial = Path(f"{target}.partial")
    remove_tree(partial)
    partial.mkdir(mode=0o755)
    _copy(source, path, time_s, tar)
    try:
        with open(tar, "rb") as file, Unpacker(partial, mapping=mapping) as unpacker:
            unpacker.unpack(file)
        partial.rename(target)
    finally:
        Path(tar).unlink()


def _copy(source: Mapping[str, Any], path: str, time_s: int, tar: str | None) -> dict[str, Any]:
    action = {
        "sources": [path or "."],
        "documents": [],
        "destination": "/",
        "chown": "",
        "chmod": "",
        "excludes": [],
        "unpack": False,
        "unpack_remote": False,
        "link": True,
        "parents": True,
    }
    return copy_files(below=_EMPTY, source=source, action=action, time_s=time_s, latest_s=None, tar=tar)


def make_cache(*, folder: str, mode: int, uid: int, gid: int, seed: Mapping[str, Any] | None) -> None:
    """Make a cache's folder unless it is there. `seed` has the arguments of `fill_folder` without `target`, and its
    path becomes the folder; such a one keeps the mode and owner that it has there."""
    path = Path(folder)
    if path.is_dir():
        return
    if seed is None:
        path.mkdir()
        give(path=folder, mode=mode, uid=uid, gid=gid)
        return
    filled = f"{folder}.seed"
    fill_folder(target=filled, **seed)
    found = Path(filled, seed["path"])
    if not found.is_dir():
        raise BuildError(f"expected the source {seed['path']!r} of a cache to be a folder, found a file")
    found.rename(path)
    remove_tree(filled)


def write_secret(*, path: str, data: str, mode: int, uid: int, gid: int) -> None:
    """Write a secret, given in base64, for one command's eyes."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(base64.b64decode(data))
    give(path=path, mode=mode, uid=uid, gid=gid)


def give(*, path: str, mode: int, uid: int, gid: int) -> None:
    """Set owner and mode. Raises `BuildError` where the account has no such id."""
    try:
        if (uid, gid) != (0, 0):
            os.chown(path, uid, gid, follow_symlinks=False)
    except OSError as error:
        raise BuildError(
            f"expected to give a mount to {uid}:{gid}, found: {error.strerror}",
            hint="an account with a single id has no others: leave uid and gid out, or give the account id ranges",
        ) from error
    Path(path).chmod(mode)  # after the owner, which takes set-id bits away
