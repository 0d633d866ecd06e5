"""What images take on the disk, and fewer of them where that is too much."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

from airdock.images.blobs import Blobs
from airdock.images.diffs import Diffs
from airdock.images.garbage import Pruned, find_needs
from airdock.images.image import ImageRow, is_dangling
from airdock.images.index import Names
from airdock.images.layers import load_size, unpacked_size
from airdock.oci.descriptor import Descriptor
from airdock.oci.digest import Digest

__all__ = ["Room", "Store", "shrink"]


class Room:
    """Measures one store. An unpacked layer counts with the size of its tar: walking its files takes long."""

    def __init__(self, *, blobs: Blobs, names: Names, diffs: Diffs, layers: Path) -> None:
        self._blobs = blobs
        self._names = names
        self._diffs = diffs
        self._layers = layers

    def layer_size(self, diff_id: Digest, descriptor: Descriptor) -> int:
        """Bytes of a layer's tar; of one that was never unpacked here, those of its blob."""
        return self._tar_size(diff_id) or load_size(self._layers, diff_id.hex) or descriptor.size

    def size(self) -> int:
        """Bytes of all blobs and of all unpacked layers."""
        diff_ids = {Digest(f"sha256:{path.name}") for path in self._layers.glob("*/[0-9a-f]*")}
        return self._blobs.size() + sum(map(self._unpacked, diff_ids))

    def measure(self, digests: Iterable[Digest]) -> int:
        """Bytes of these images, packed and unpacked, what several have counted once."""
        wanted = frozenset(digests)
        needs = find_needs(self._blobs, [entry for entry in self._names.load() if entry.digest in wanted])
        return sum(map(self._unpacked, needs.diff_ids)) + sum(map(self._blobs.size_of, needs.blobs))

    def _unpacked(self, diff_id: Digest) -> int:
        return unpacked_size(self._layers, diff_id.hex, self._tar_size(diff_id))

    def _tar_size(self, diff_id: Digest) -> int:
        known = self._diffs.load(diff_id)
        return known.tar_size if known is not None else 0


class Store(Protocol):
    """What `shrink` needs of an image store."""

    @property
    def room(self) -> Room: ...

    def list(self) -> Sequence[ImageRow]: ...

    def prune(self, chosen: Callable[[ImageRow], bool], *, keep: Iterable[Digest]) -> Pruned: ...


def shrink(
    store: Store, at_most: int, chosen: Callable[[ImageRow], bool] = is_dangling, *, keep: Iterable[Digest] = ()
) -> Pruned:
    """Remove chosen images, the one unused for longest first, until images take `at_most` bytes, if they can.

    `keep` are layers that stay without an image, and count no longer.
    """
    rows = sorted(store.list(), key=lambda row: row.used)
    left = list(dict.fromkeys(row.digest for row in rows))
    gone: set[Digest] = set()
    for digest in tuple(left):
        if store.room.measure(left) <= at_most:
            break
        if all(chosen(row) for row in rows if row.digest == digest):
            left.remove(digest)
            gone.add(digest)
    # Asked once more under the lock: somebody may have given it a name meanwhile.
    return store.prune(lambda row: row.digest in gone and chosen(row), keep=keep) if gone else Pruned()
