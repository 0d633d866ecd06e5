"""What images need, and what goes when one of them does."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Self

from airdock.errors import ImageError
from airdock.files import TEMPORARY_PREFIX
from airdock.images.blobs import LARGEST_DOCUMENT, Blobs
from airdock.images.calls import Calls
from airdock.images.diffs import Diffs
from airdock.images.image import ImageRow
from airdock.images.index import Names, name_of, reference_of
from airdock.images.layers import layer_folder, set_aside, unpacked_size
from airdock.images.leases import Leases
from airdock.oci.config import ImageConfig
from airdock.oci.descriptor import Descriptor
from airdock.oci.digest import Digest
from airdock.oci.document import load_object
from airdock.oci.manifest import Index, Manifest
from airdock.oci.media_types import INDEX, to_oci
from airdock.record import positional, record

__all__ = ["Garbage", "Needs", "Pruned", "find_needs"]


@record
class Pruned:
    """What went: names, images by digest, and how many bytes with them and with what nobody needed."""

    untagged: tuple[str, ...] = ()
    deleted: tuple[Digest, ...] = ()
    freed: int = 0

    def __add__(self, other: Self) -> "Pruned":
        return Pruned(
            untagged=self.untagged + other.untagged,
            deleted=self.deleted + other.deleted,
            freed=self.freed + other.freed,
        )

    def lines(self) -> list[str]:
        """As Docker says it."""
        return [*(f"Untagged: {name}" for name in self.untagged), *(f"Deleted: {digest}" for digest in self.deleted)]


@positional
class Needs:
    """Blobs (documents included) and unpacked layers."""

    blobs: frozenset[Digest] = field(default_factory=frozenset)
    diff_ids: frozenset[Digest] = field(default_factory=frozenset)

    def __or__(self, other: Self) -> "Needs":
        return Needs(self.blobs | other.blobs, self.diff_ids | other.diff_ids)

    def __sub__(self, other: Self) -> "Needs":
        return Needs(self.blobs - other.blobs, self.diff_ids - other.diff_ids)


def find_needs(blobs: Blobs, entries: Iterable[Descriptor]) -> Needs:
    """All that these entries reach. What can't be read needs nothing but itself."""
    needs = Needs()
    for entry in entries:
        needs |= Needs(frozenset([entry.digest])) | _needs_of(blobs, entry)
    return needs


def _needs_of(blobs: Blobs, entry: Descriptor) -> Needs:
    try:
        document = load_object(blobs.read(entry.digest, at_most=LARGEST_DOCUMENT), str(entry.digest))
        if to_oci(entry.media_type) == INDEX:
            return find_needs(blobs, Index.from_json(document).manifests)
        manifest = Manifest.from_json(document)
        found = Needs(frozenset(part.digest for part in (manifest.config, *manifest.layers)))
        config = load_object(blobs.read(manifest.config.digest, at_most=LARGEST_DOCUMENT), "config")
        return found | Needs(diff_ids=frozenset(ImageConfig.from_json(config).diff_ids))
    except ImageError:
        return Needs()


class Garbage:
    """Takes away what nobody needs. All methods but `sweep` are called under the store's lock."""

    def __init__(self, *, blobs: Blobs, names: Names, diffs: Diffs, leases: Leases, layers: Path, calls: Calls) -> None:
        self._blobs = blobs
        self._names = names
        self._diffs = diffs
        self._leases = leases
        self._layers = layers
        self._calls = calls

    def forget(self, entry: Descriptor, names: Sequence[str], *, force: bool, owner: str) -> None:
        """Drop an image and what only it needs; one in use is refused, or with `force` only loses its names.

        What `owner`, who asks, keeps itself doesn't count as use.
        """
        others = [other for other in self._names.load() if other.digest != entry.digest]
        spare = find_needs(self._blobs, [entry]) - find_needs(self._blobs, others)
        self._leases.drop(spare.diff_ids | spare.blobs, owner)
        leased = self._leases.held()
        users = sorted({leased[diff_id] for diff_id in spare.diff_ids if diff_id in leased})
        if not users:
            self._names.drop_image(entry.digest)
            self._drop(spare - self._in_use(leased))
            return
        if not force:
            raise ImageError(
                f"expected an image that nobody uses, found it in use by {', '.join(users)}",
                hint="stop that first, or force it: the image then stays without a name",
            )
        for name in names:
            self._names.drop_name(name)

    def prune(
        self, rows: Sequence[ImageRow], chosen: Callable[[ImageRow], bool], keep: Iterable[Digest] = ()
    ) -> Pruned:
        """Drop the chosen names, images left without any, and all that no image and no lease needs.

        An image that somebody keeps stays with its names. `keep` are layers that stay though no image has them.
        """
        owners = self._leases.owners()
        entries = {entry.digest: entry for entry in self._names.load()}
        picked = [row for row in rows if chosen(row) and not self._is_used(entries[row.digest], owners)]
        left = {id(row) for row in rows} - {id(row) for row in picked}
        stay = {row.digest for row in rows if id(row) in left}
        gone = list(dict.fromkeys(row.digest for row in picked if row.digest not in stay))
        known = {row.digest for row in rows}
        gone += [digest for digest, entry in entries.items() if digest not in known and name_of(entry) is None]
        names = [row.name for row in picked if row.name]
        for entry in self._names.load():
            reference = reference_of(entry)
            if reference is not None and reference.familiar in names and entry.digest in stay:
                self._names.drop_name(name_of(entry) or "")
        for digest in gone:
            self._names.drop_image(digest)
        in_use = self._in_use([*(digest for kept in owners.values() for digest in kept), *keep])
        freed = self._drop(self._everything() - find_needs(self._blobs, self._names.load()) - in_use)
        return Pruned(untagged=tuple(names), deleted=tuple(gone), freed=freed)

    def discard(self, digests: Iterable[Digest], images: Iterable[Digest] = ()) -> None:
        """Drop these images where they have no name, and of these blobs and layers those that nobody needs."""
        asked = frozenset(digests)
        entries = self._names.load()
        named = {entry.digest for entry in entries if name_of(entry) is not None}
        for digest in {entry.digest for entry in entries} & frozenset(images) - named:
            self._names.drop_image(digest)
        packed = frozenset(diff.descriptor.digest for diff_id in asked if (diff := self._diffs.load(diff_id)))
        in_use = self._in_use(self._leases.held())
        self._drop(Needs(asked | packed, asked) - find_needs(self._blobs, self._names.load()) - in_use)

    def tidy(self) -> None:
        """Remove names and records that are half written: they are written under the lock that is held now."""
        for folder in (self._layers.parent, self._layers.parent / "diffs"):
            for leftover in folder.glob(f"{TEMPORARY_PREFIX}*"):
                leftover.unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove trees that were set aside and what writers left that died; others may sweep at the same time."""
        for tree in sorted(self._layers.glob(f"*/{TEMPORARY_PREFIX}*")):
            self._calls.call("airdock.images.unpack:remove_tree", {"path": str(tree)})
        self._blobs.sweep()

    def _is_used(self, entry: Descriptor, owners: Mapping[str, frozenset[Digest]]) -> bool:
        """Whether somebody keeps the image itself, or exactly its layers, as who runs it does.

        That its layers are all kept says nothing: images that stand on it have them too.
        """
        diff_ids = find_needs(self._blobs, [entry]).diff_ids
        return any(entry.digest in kept or (kept and kept == diff_ids) for kept in owners.values())

    def _in_use(self, leased: Iterable[Digest]) -> Needs:
        """What leases keep: they name layers by diff id, and blobs that no image has yet by their own digest."""
        known = [diff for diff_id in leased if (diff := self._diffs.load(diff_id))]
        return Needs(frozenset([*leased, *(diff.descriptor.digest for diff in known)]), frozenset(leased))

    def _everything(self) -> Needs:
        unpacked = {Digest(f"sha256:{path.name}") for path in self._layers.glob("*/[0-9a-f]*")}
        return Needs(self._blobs.all(), self._diffs.all() | unpacked)

    def _drop(self, spare: Needs) -> int:
        """Remove blobs, and take unpacked layers out of everybody's sight; `sweep` removes their trees.

        Gives the bytes of both, unpacked layers by the size of their tars.
        """
        self.tidy()
        freed = sum(self._blobs.remove(digest) for digest in spare.blobs)
        for diff_id in spare.diff_ids:
            freed += unpacked_size(self._layers, diff_id.hex, self._tar_size(diff_id))
            self._diffs.remove(diff_id)
            for mapping in self._layers.iterdir():
                set_aside(layer_folder(self._layers, mapping.name, diff_id.hex))
        return freed

    def _tar_size(self, diff_id: Digest) -> int:
        known = self._diffs.load(diff_id)
        return known.tar_size if known is not None else 0
