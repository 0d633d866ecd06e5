"""Which blob an uncompressed layer was packed into, so that a layer is packed once and found by its diff id.

diffs/
  <diff id's hex>     JSON: the blob's descriptor and the size of the tar
"""

import json
from pathlib import Path
from typing import NamedTuple

from airdock.files import save_json
from airdock.oci.descriptor import Descriptor
from airdock.oci.digest import Digest

__all__ = ["Diff", "Diffs"]


class Diff(NamedTuple):
    """A packed layer; `tar_size` is in bytes."""

    descriptor: Descriptor
    tar_size: int


class Diffs:
    """The records below one folder."""

    def __init__(self, *, folder: Path) -> None:
        self._folder = folder

    def load(self, diff_id: Digest) -> Diff | None:
        """The record, None where there is none."""
        try:
            found = json.loads((self._folder / diff_id.hex).read_bytes())
        except FileNotFoundError:
            return None
        return Diff(Descriptor.from_json(found["descriptor"]), found["tar_size"])

    def save(self, diff_id: Digest, diff: Diff) -> None:
        """Remember where a layer is."""
        self._folder.mkdir(exist_ok=True)
        value = {"descriptor": diff.descriptor.to_json(), "tar_size": diff.tar_size}
        save_json(self._folder / diff_id.hex, value, durable=False)

    def all(self) -> frozenset[Digest]:
        """The diff ids that have a record."""
        return frozenset(Digest(f"sha256:{path.name}") for path in self._folder.glob("[0-9a-f]*"))

    def remove(self, diff_id: Digest) -> None:
        """Forget a record; absence is fine."""
        (self._folder / diff_id.hex).unlink(missing_ok=True)
