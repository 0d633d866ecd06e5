"""Who needs which layers and blobs right now: a file per owner, locked by the process that lives for that owner.

leases/
  <sha256 of the owner's name>     JSON: owner, diff_ids (of layers; digests of blobs too), and `while` for one that
                                   counts as long as that path exists; of the others, one that nobody has locked
                                   counts no longer
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

from airdock.files import save_json
from airdock.oci.digest import Digest

__all__ = ["Leases"]


class Leases:
    """The leases below one folder. All methods but `release` are called under the store's lock."""

    def __init__(self, *, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, tuple[int, frozenset[Digest]]] = {}

    def add(self, diff_ids: Iterable[Digest], owner: str) -> None:
        """Keep these layers, besides those it has, until `release` or the end of this process."""
        descriptor, before = self._held.get(owner) or (self._create(owner), frozenset[Digest]())
        self._write(owner, descriptor, before | frozenset(diff_ids))

    def drop(self, diff_ids: Iterable[Digest], owner: str) -> None:
        """Keep these no longer; the owner's others stay."""
        if owner in self._held:
            descriptor, before = self._held[owner]
            self._write(owner, descriptor, before - frozenset(diff_ids))

    def hold(self, diff_ids: Iterable[Digest], owner: str, path: Path) -> None:
        """Keep these layers for as long as `path` exists, whatever becomes of this process, or until `release`."""
        self._folder.mkdir(parents=True, exist_ok=True)
        content = {"owner": owner, "diff_ids": sorted(diff_ids), "while": str(path)}
        save_json(self._path(owner), content, mode=0o600)

    def release(self, owner: str) -> None:
        """Keep nothing for this owner any more; unknown owners are fine."""
        self._path(owner).unlink(missing_ok=True)
        descriptor, _ = self._held.pop(owner, (None, None))
        if descriptor is not None:
            os.close(descriptor)

    def close(self) -> None:
        """Release all owners of this process."""
        for owner in list(self._held):
            self.release(owner)

    def held(self) -> dict[Digest, str]:
        """Layers in use, each with one of its owners; files of owners that died are removed."""
        return {digest: owner for owner, digests in self.owners().items() for digest in digests}

    def owners(self) -> dict[str, frozenset[Digest]]:
        """What each owner keeps; files of owners that died are removed."""
        found: dict[str, frozenset[Digest]] = {}
        for path in self._folder.glob("[0-9a-f]*"):
            content = _read_live(path)
            if content is None:
                path.unlink(missing_ok=True)
                continue
            found[content["owner"]] = frozenset(map(Digest, content["diff_ids"]))
        return found

    def _create(self, owner: str) -> int:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._path(owner)
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return descriptor

    def _write(self, owner: str, descriptor: int, diff_ids: frozenset[Digest]) -> None:
        content = json.dumps({"owner": owner, "diff_ids": sorted(diff_ids)}).encode()
        os.pwrite(descriptor, content, 0)
        os.ftruncate(descriptor, len(content))
        self._held[owner] = (descriptor, diff_ids)

    def _path(self, owner: str) -> Path:
        return self._folder / hashlib.sha256(owner.encode()).hexdigest()


def _read_live(path: Path) -> dict[str, Any] | None:
    """What a lease says; None when its process, or the path that it stands for, is gone."""
    try:
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                content: dict[str, Any] = json.load(file)
                return content
            return _read_held(file)
    except FileNotFoundError:
        return None


def _read_held(file: IO[bytes]) -> dict[str, Any] | None:
    try:
        content: dict[str, Any] = json.load(file)
    except ValueError:
        return None  # its process died while it wrote
    return content if "while" in content and os.path.lexists(content["while"]) else None
