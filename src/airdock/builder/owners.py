"""Who owns what in a layer when the disk can't say: an account with one id unpacks everything as its own.

Then the layer's archive is read once, and what doesn't belong to root is remembered:

owners/
  <diff id's hex>       JSON: path → [uid, gid], root's left out
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airdock.files import save_json
from airdock.images.compress import CHUNK, LayerSource
from airdock.images.tar import padding, read_entries
from airdock.images.unpack import MAX_BYTES
from airdock.oci.digest import Digest

__all__ = ["LayerOwners"]


class LayerOwners:
    """The owners in one layer, read when first asked for. `blob` has `path`, `compression`, `digest` and `diff_id`."""

    def __init__(self, *, blob: Mapping[str, str], folder: str) -> None:
        self._blob = blob
        self._saved = Path(folder) / Digest(blob["diff_id"]).hex
        self._owners: Mapping[str, Any] | None = None

    def find(self, path: str) -> tuple[int, int]:
        """User and group id of a path that the layer has."""
        if self._owners is None:
            self._owners = self._load()
        uid, gid = self._owners.get(path, (0, 0))
        return uid, gid

    def _load(self) -> Mapping[str, Any]:
        try:
            found = json.loads(self._saved.read_bytes())
            if isinstance(found, dict):
                return found
        except (OSError, ValueError):
            pass  # never read before, or damaged: the archive knows
        owners = self._read()
        self._saved.parent.mkdir(parents=True, exist_ok=True)
        save_json(self._saved, owners, durable=False)
        return owners

    def _read(self) -> dict[str, Any]:
        owners: dict[str, Any] = {}
        with open(self._blob["path"], "rb", buffering=0) as file:
            digest, diff_id = Digest.parse(self._blob["digest"]), Digest.parse(self._blob["diff_id"])
            source = LayerSource(file, self._blob["compression"], digest=digest, diff_id=diff_id, limit=MAX_BYTES)
            try:
                for entry in read_entries(source):
                    name = "/".join(part for part in os.fsdecode(entry.name).split("/") if part not in ("", "."))
                    if (entry.uid, entry.gid) != (0, 0):
                        owners[name] = (entry.uid, entry.gid)
                    else:
                        owners.pop(name, None)
                    left = entry.size + len(padding(entry.size))
                    while left:
                        left -= len(source.read(min(left, CHUNK))) or left
                source.close()
            finally:
                source.abort()
        return owners
