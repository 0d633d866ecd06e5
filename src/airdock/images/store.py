"""The images of one account: an OCI layout that other tools can read, with unpacked layers beside it.

images/
  lock              held for every change of names, leases and garbage
  oci-layout
  index.json        names
  blobs/sha256/     manifests, configurations, compressed layers
  diffs/            diff id → compressed layer
  layers/           unpacked layers
  leases/           who needs which layers
"""

import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, BinaryIO

from airdock.errors import ImageError
from airdock.images.blobs import LARGEST_DOCUMENT, Blobs, BlobWriter
from airdock.images.calls import Calls
from airdock.images.catalog import Catalog
from airdock.images.diffs import Diffs
from airdock.images.garbage import Garbage, Pruned, find_needs
from airdock.images.image import Image, ImageRow, Layer, is_dangling
from airdock.images.index import Names, asked_name, familiar_name, name_of
from airdock.images.layer_store import LayerStore
from airdock.images.layers import last_use
from airdock.images.leases import Leases
from airdock.images.listing import Listing
from airdock.images.locks import hold_lock
from airdock.images.room import Room
from airdock.images.tar import END
from airdock.images.unpack import MAX_BYTES, MAX_ENTRIES
from airdock.oci.config import ImageConfig
from airdock.oci.descriptor import Descriptor, Platform, host_platform
from airdock.oci.digest import Digest
from airdock.oci.document import load_object
from airdock.oci.manifest import Manifest
from airdock.oci.media_types import CONFIG, MANIFEST
from airdock.oci.reference import Reference, parse_reference, render_reference

__all__ = ["ImageStore"]


class ImageStore:
    """Images, their blobs, their unpacked layers. Safe for several threads and processes at once.

    What is committed stays while this process lives, or until an image that has it gets a name; from then on it stays
    as long as an image needs it.
    `compression` is what new layers are packed with, "gzip" or "zstd"; `max_bytes` and `max_entries` bound one layer's
    tar. `has_grown` says whether an image came through this store; `room` is what it takes on the disk.
    """

    def __init__(
        self,
        *,
        root: Path,
        calls: Calls,
        compression: str = "gzip",
        max_bytes: int = MAX_BYTES,
        max_entries: int = MAX_ENTRIES,
    ) -> None:
        self.root = root
        self._calls = calls
        self.has_grown = False
        self._own = f"process {os.getpid()} ({os.urandom(4).hex()})"
        self._blobs = Blobs(root=root / "blobs")
        self._names = Names(root=root)
        self._diffs = Diffs(folder=root / "diffs")
        self._leases = Leases(folder=root / "leases")
        self._catalog = Catalog(blobs=self._blobs, names=self._names, diffs=self._diffs)
        self.room = Room(blobs=self._blobs, names=self._names, diffs=self._diffs, layers=root / "layers")
        self._listing = Listing(
            catalog=self._catalog,
            names=self._names,
            blobs=self._blobs,
            size_of=self.room.layer_size,
            used=lambda diff_id: last_use(root / "layers", diff_id.hex),
        )
        self._garbage = Garbage(
            blobs=self._blobs,
            names=self._names,
            diffs=self._diffs,
            leases=self._leases,
            layers=root / "layers",
            calls=calls,
        )
        self._layers = LayerStore(
            blobs=self._blobs,
            diffs=self._diffs,
            leases=self._leases,
            catalog=self._catalog,
            layers=root / "layers",
            calls=calls,
            locked=self._locked,
            own=self._own,
            compression=compression,
            limits={"max_bytes": max_bytes, "max_entries": max_entries},
        )

    @property
    def calls(self) -> Calls:
        """What does the store's work under the account's id mapping; for others that read unpacked layers."""
        return self._calls

    def close(self) -> None:
        """Give up what this store keeps for its process."""
        self._leases.close()

    # blobs

    def has_blob(self, digest: Digest, *, size: int | None = None) -> bool:
        """Whether the blob is there, and of that size where one is given."""
        return self._blobs.has(digest, size=size)

    def blob_path(self, digest: Digest) -> Path:
        """Where the blob is, or would be."""
        return self._blobs.path(digest)

    def open_blob(self, digest: Digest, verify: bool = True) -> IO[bytes]:
        """Read a blob; closing reads the rest and raises `DigestError` when the bytes aren't what they should be."""
        return self._blobs.open(digest, verify=verify)

    def read_json(self, digest: Digest) -> dict[str, Any]:
        """A document, its digest checked."""
        return load_object(self._blobs.read(digest, at_most=LARGEST_DOCUMENT), f"blob {digest}")

    def open_writer(self) -> BlobWriter:
        """Write a blob: a context manager with `write` and `commit(expected)`.

        What is committed stays for this process until an image that has it gets a name.
        """
        if not (self.root / "index.json").exists():
            with self._locked():
                pass
        return self._blobs.open_writer(self._place)

    def take_blob(self, path: Path, digest: Digest) -> None:
        """Put in its place a file on the store's disk whose digest the caller has checked; kept as one of a writer."""
        self._place(path, digest)

    # images

    def put_image(
        self, config: ImageConfig, layers: Sequence[Layer], *, annotations: Mapping[str, str] | None = None
    ) -> Image:
        """Store configuration and manifest over committed layers, the lowest first; the image has no name yet.

        Without one it stays until `prune` by another process after this one.
        """
        stack = tuple(layers) or (self.commit_tar(io.BytesIO(END)),)  # a manifest has one layer at least, says the spec
        full = replace(config, diff_ids=tuple(layer.diff_id for layer in stack))
        with self._locked():
            for layer in stack:
                if not self._blobs.has(layer.descriptor.digest):
                    raise ImageError(f"expected layer {layer.diff_id} in the store, found none", hint="commit it first")
            content = full.to_bytes()
            described = Descriptor(media_type=CONFIG, digest=self._blobs.put(content), size=len(content))
            descriptors = tuple(layer.descriptor for layer in stack)
            manifest = Manifest(config=described, layers=descriptors, annotations=annotations or {})
            document = manifest.to_bytes()
            digest = self._blobs.put(document)
            self._names.add(Descriptor(media_type=MANIFEST, digest=digest, size=len(document)))
            self.has_grown = True
            self._leases.add([*full.diff_ids, digest], self._own)
        return Image(digest=digest, manifest=manifest, config=full)

    def put_manifest(self, content: bytes, media_type: str) -> Digest:
        """Store a manifest or an index as the bytes it came as, over blobs that are here; it has no name yet.

        All blobs of a manifest have to be here, and one manifest of an index. Raises `ImageError` for what is missing.
        """
        with self._locked():
            digest = self._blobs.put(content)
            entry = Descriptor(media_type=media_type, digest=digest, size=len(content))
            self._catalog.check(entry)
            self._names.add(entry)
            self.has_grown = True
            needs = find_needs(self._blobs, [entry])
            self._leases.add(needs.diff_ids | needs.blobs, self._own)
        return digest

    def import_tar(self, tar: Path | BinaryIO, config: ImageConfig | None = None) -> Image:
        """A root filesystem's tar, uncompressed, becomes an image of one layer; it has no name yet."""
        platform = host_platform()
        described = config or ImageConfig(architecture=platform.architecture, variant=platform.variant)
        return self.put_image(described, [self.commit_tar(tar)])

    def tag(self, reference: Reference | str, digest: Digest) -> None:
        """Give the image with this manifest digest a name, taking it from another image where need be."""
        name = self._render(reference)
        with self._locked():
            entry = self._catalog.descriptor(digest)
            self._names.set(name, entry)
            self._let_go(entry)

    def pin(self, reference: Reference) -> None:
        """Have an image go by the repository and digest that it was fetched by, where it has no tag of that repository.

        Else nobody would know it from an image that lost its name.
        """
        assert reference.digest is not None
        with self._locked():
            entry = self._catalog.descriptor(reference.digest)
            self._names.pin(reference, entry)
            self._let_go(entry)

    def untag(self, reference: Reference | str) -> None:
        """Take a name away; the image stays. `UnknownImageError` when nothing has that name."""
        with self._locked():
            name = self._render(reference)
            if all(name_of(entry) != name for entry in self._names.load()):
                self._catalog.find(name)
            self._names.drop_name(name)

    def find(self, name: str, *, platform: Platform | None = None) -> Image:
        """The image of a `name[:tag]`, a digest, or the beginning of an id that only one image has.

        Of an image for several platforms the one for `platform`, or this machine's. Raises `UnknownImageError` with
        the nearest names, `ImageError` for an id that several images begin with.
        """
        entry = self._catalog.find(name)
        try:
            return self._catalog.load(entry, platform)
        except ImageError:
            if (now := self._catalog.find(name)) == entry:
                raise
        return self._catalog.load(now, platform)  # it was removed, or replaced, between the two looks

    def entry(self, name: str) -> Descriptor:
        """What a name, digest or id stands for: a manifest's or an index's descriptor. Raises as `find` does."""
        return self._catalog.find(name)

    def manifests(self, entry: Descriptor) -> Sequence[Descriptor]:
        """What an entry stands for on this machine: itself, or those manifests of an index that are here."""
        return self._catalog.manifests(entry)

    def list(self) -> Sequence[ImageRow]:
        """All images, the newest first: a row per name, and one for an image without a name."""
        return self._listing.rows()

    def remove(self, name: str, *, force: bool = False) -> Sequence[str]:
        """Take a name away, and with the last one the image and what no other image needs; says what went.

        An image whose layers are in use isn't removed: `ImageError` names who uses it. With `force` it loses its names
        and stays without one. An id that has several names needs `force` too.
        """
        with self._locked():
            entry = self._catalog.find(name)
            names = [
                found for other in self._names.load() if other.digest == entry.digest and (found := name_of(other))
            ]
            asked = asked_name(name, names)
            if not self._catalog.has(entry.digest):
                raise ImageError(
                    f"expected an image, found {entry.digest}, which is part of an image for several platforms",
                    hint="remove that one: airdock image ls --digests",
                )
            if asked is not None and len(names) > 1:
                self._names.drop_name(asked)
                return [f"Untagged: {familiar_name(asked)}"]
            if len(names) > 1 and not force:
                shown = ", ".join(map(familiar_name, names))
                raise ImageError(f"expected an image with one name, found {shown}", hint="remove by name, or force it")
            self._garbage.forget(entry, names, force=force, owner=self._own)
        self._garbage.sweep()
        deleted = [] if self._catalog.has(entry.digest) else [f"Deleted: {entry.digest}"]
        return [*(f"Untagged: {familiar_name(found)}" for found in names), *deleted]

    def prune(self, chosen: Callable[[ImageRow], bool] = is_dangling, *, keep: Iterable[Digest] = ()) -> Pruned:
        """Remove the chosen images (those without a name), and everything that no image and nobody at work needs.

        An image that somebody at work needs stays. `keep` are layers that stay without an image: those of cached steps.
        """
        with self._locked():
            pruned = self._garbage.prune(self._listing.rows(), chosen, keep)
        self._garbage.sweep()
        return pruned

    def leased(self) -> frozenset[Digest]:
        """The layers, and blobs without an image, that somebody keeps right now."""
        with self._locked():
            return frozenset(self._leases.held())

    def discard(self, digests: Iterable[Digest], *, images: Iterable[Digest] = ()) -> None:
        """Of blobs and layers that this store kept for its process, remove those that no image needs.

        `images` go first where they have no name: what came of an import that broke off.
        """
        asked = frozenset(digests) | frozenset(images)
        with self._locked():
            self._leases.drop(asked, self._own)
            self._garbage.discard(asked, images)

    def sweep(self) -> None:
        """Remove what processes that were killed had half written or half removed; others may do so meanwhile."""
        with self._locked():
            self._garbage.tidy()
        self._garbage.sweep()

    # layers

    def layer_path(self, diff_id: Digest) -> Path:
        """The layer's unpacked folder, unpacked first where need be, once whoever asks at the same time."""
        return self._layers.path(diff_id)

    def layer_paths(self, diff_ids: Sequence[Digest]) -> tuple[Path, ...]:
        """The unpacked folders of several layers; those that are missing are unpacked beside each other."""
        return self._layers.paths(diff_ids)

    def unpack_layer(self, diff_id: Digest, blob: Path, descriptor: Descriptor) -> Path:
        """Unpack a layer from its blob at a path, which may be a pipe that it comes through; gives the folder."""
        return self._layers.unpack(diff_id, blob, descriptor)

    def commit_tar(self, tar: Path | BinaryIO, *, unpack: bool = True) -> Layer:
        """An uncompressed tar becomes a layer, unpacked right away unless told otherwise."""
        return self._layers.commit_tar(tar, unpack=unpack)

    def commit_upper(
        self, upper: Path, *, ignore: Sequence[str] = (), clamp: tuple[int, int] | None = None, keep: bool = False
    ) -> Layer:
        """An unmounted overlay's upper folder becomes a layer, and moves into place as its unpacked folder.

        `ignore` are paths in the container that stay out: mount points, stubs. `clamp` has two times in nanoseconds:
        files as young as the first or younger get the second. What is left of `upper` afterwards is the caller's to
        remove; with `keep` it stays as it is.
        """
        return self._layers.commit_upper(upper, ignore=ignore, clamp=clamp, keep=keep)

    def keep(self, layer: Layer) -> bool:
        """Whether a layer committed earlier is still here; if so it stays as one committed now does."""
        return self._layers.keep(layer.diff_id) == layer

    def keep_blob(self, digest: Digest, *, size: int | None = None) -> bool:
        """Whether a blob is here; if so it stays for this process until an image that has it gets a name."""
        with self._locked():
            if not self._blobs.has(digest, size=size):
                return False
            self._leases.add([digest], self._own)
            return True

    def adopt(self, layer: Layer) -> bool:
        """Take a layer that came with an image as if it had been committed here: builds may stand on it from now on.

        Whether that could be; it can't where layers are packed in another way here, or another blob is known for it.
        """
        return self._layers.adopt(layer)

    def lease(self, diff_ids: Iterable[Digest], owner: str, *, path: Path | None = None) -> None:
        """Keep layers for an owner (a container's id) until `release` or the end of this process.

        With `path` they are kept for as long as something is there, whatever becomes of this process: the folder of a
        container that isn't running. Take the lease before `layer_path`, so that nobody removes the layer in between.
        """
        with self._locked():
            if path is None:
                self._leases.add(diff_ids, owner)
            else:
                self._leases.hold(diff_ids, owner, path)

    def release(self, owner: str) -> None:
        """Give up an owner's lease; one that isn't there is fine."""
        self._leases.release(owner)

    # inside

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.root.mkdir(parents=True, exist_ok=True)
        with hold_lock(self.root / "lock"):
            if not (self.root / "layers").exists():
                (self.root / "layers").mkdir(mode=0o700)
                self._blobs.path(Digest("sha256:0")).parent.mkdir(parents=True, exist_ok=True)
                self._names.prepare()
            yield

    def _let_go(self, entry: Descriptor) -> None:
        """An image that has a name is kept by that."""
        needs = find_needs(self._blobs, [entry])
        self._leases.drop(needs.diff_ids | needs.blobs, self._own)

    def _render(self, reference: Reference | str) -> str:
        parsed = parse_reference(reference) if isinstance(reference, str) else reference
        if parsed.digest is not None:
            raise ImageError(f"expected a name to give, found a digest in {parsed}")
        return render_reference(parsed.with_default_tag())

    def _place(self, temporary: Path, digest: Digest) -> None:
        """Put a blob in its place and keep it: it belongs to no image yet."""
        with self._locked():
            self._leases.add([digest], self._own)
            self._blobs.place(temporary, digest)
