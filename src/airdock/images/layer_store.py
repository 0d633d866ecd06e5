"""Committing layers and unpacking them: from a tar, from an overlay's upper folder, from a stored blob."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO, Final

from airdock.errors import DigestError, ImageError
from airdock.images.background import Background
from airdock.images.blobs import Blobs, BlobWriter
from airdock.images.calls import Calls
from airdock.images.catalog import Catalog
from airdock.images.compress import CHUNK, MEDIA_TYPES, Compressor, Packed
from airdock.images.diffs import Diff, Diffs
from airdock.images.image import Layer
from airdock.images.layers import find_layer, load_size, touch_layer
from airdock.images.leases import Leases
from airdock.oci.descriptor import Descriptor
from airdock.oci.digest import Digest
from airdock.oci.media_types import LAYER_COMPRESSION, LAYER_TAR, to_oci

__all__ = ["LayerStore"]

_AT_ONCE: Final = 4
"""Layers that are unpacked at one time: each keeps a core busy, and the disk takes no more."""


class LayerStore:
    """The layers of one store. `locked` takes the store's lock; `own` is who keeps what was just committed.

    `compression` is what new layers are packed with: "gzip" or "zstd". `limits` bound one layer's tar.
    """

    def __init__(
        self,
        *,
        blobs: Blobs,
        diffs: Diffs,
        leases: Leases,
        catalog: Catalog,
        layers: Path,
        calls: Calls,
        locked: Callable[[], AbstractContextManager[None]],
        own: str,
        compression: str,
        limits: Mapping[str, int],
    ) -> None:
        self._blobs = blobs
        self._diffs = diffs
        self._leases = leases
        self._catalog = catalog
        self._layers = layers
        self._calls = calls
        self._locked = locked
        self._own = own
        self._compression = compression
        self._limits = limits

    def path(self, diff_id: Digest) -> Path:
        """The layer's unpacked folder, unpacked first where need be, once whoever asks at the same time."""
        found = find_layer(self._layers, self._calls.mapping, diff_id.hex)
        if found is not None:
            touch_layer(found)
            return found
        descriptor = self._catalog.layer(diff_id)
        blob = self._blobs.path(descriptor.digest)
        where, hint = f"layer {diff_id}, blob {descriptor.digest}", "build or pull its image again"
        if not blob.exists():
            raise ImageError("expected the blob of a layer, found none", where=where, hint=hint)
        try:
            return self.unpack(diff_id, blob, descriptor)
        except DigestError as error:
            raise DigestError(error.message, where=where, hint=error.hint or hint) from error

    def paths(self, diff_ids: Sequence[Digest]) -> tuple[Path, ...]:
        """The unpacked folders of several layers; those that are missing are unpacked beside each other."""
        missing = [
            diff_id
            for diff_id in dict.fromkeys(diff_ids)
            if find_layer(self._layers, self._calls.mapping, diff_id.hex) is None
        ]
        if len(missing) > 1:
            from concurrent.futures import ThreadPoolExecutor  # most commands find all their layers unpacked

            # Each is a child process of its own; the threads only wait for them.
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                list(pool.map(self.path, missing))
        return tuple(self.path(diff_id) for diff_id in diff_ids)

    def unpack(self, diff_id: Digest, blob: Path, descriptor: Descriptor) -> Path:
        """Unpack a layer from its blob, which may be a pipe; both digests are checked. Harmless where it's there."""
        if not self._layers.exists():
            with self._locked():
                pass
        compression = LAYER_COMPRESSION.get(to_oci(descriptor.media_type))
        if compression is None:
            raise ImageError(f"expected a layer that is a tar, found {descriptor.media_type}")
        arguments = {
            "blob": str(blob),
            "compression": compression,
            "digest": descriptor.digest,
            "diff_id": diff_id,
            **self._where(),
            **self._limits,
        }
        return Path(self._calls.call("airdock.images.unpack:unpack", arguments))

    def commit_tar(self, tar: Path | BinaryIO, *, unpack: bool = True) -> Layer:
        """As `ImageStore.commit_tar` says."""
        if not isinstance(tar, Path):
            return self._commit_stream(tar, unpack=unpack)
        with tar.open("rb") as file:
            diff_id = Digest(f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}")
        known = self.keep(diff_id)
        if known is not None:
            if unpack:
                self.path(diff_id)
            return known
        with self._open_writer() as writer:
            packing = Background(lambda: _pack_file(tar, writer.path, self._compression))
            try:
                if unpack:
                    self.unpack(diff_id, tar, Descriptor(media_type=LAYER_TAR, digest=diff_id, size=0))
            finally:
                packing.join()
            return self._adopt(writer, packing.result())

    def commit_upper(
        self, upper: Path, *, ignore: Sequence[str] = (), clamp: tuple[int, int] | None = None, keep: bool = False
    ) -> Layer:
        """As `ImageStore.commit_upper` says."""
        with self._open_writer() as writer:
            arguments: dict[str, Any] = {
                "upper": str(upper),
                "output": str(writer.path),
                "ignore": [*ignore],
                "clamp": clamp,
                "compression": self._compression,
                "id_shift": self._calls.id_shift,
                "keep": keep,
                **self._where(),
            }
            packed = self._calls.call("airdock.images.pack:commit_upper", arguments)
            unpacked = packed.pop("unpacked")
            layer = self._adopt(writer, Packed(**packed))
        if not unpacked:
            self.path(layer.diff_id)
        return layer

    def keep(self, diff_id: Digest) -> Layer | None:
        """The layer if it is here, packed as new ones are, and kept from now on for this process."""
        with self._locked():
            return self._keep_unlocked(diff_id)

    def adopt(self, layer: Layer) -> bool:
        """As `ImageStore.adopt` says."""
        self.path(layer.diff_id)  # unpacking shows whether it is what its diff id says
        tar_size = load_size(self._layers, layer.diff_id.hex)
        with self._locked():
            if self._diffs.load(layer.diff_id) is None and tar_size:
                self._diffs.save(layer.diff_id, Diff(layer.descriptor, tar_size))
            return self._keep_unlocked(layer.diff_id) == layer

    def _keep_unlocked(self, diff_id: Digest) -> Layer | None:
        known = self._diffs.load(diff_id)
        if known is None or LAYER_COMPRESSION.get(to_oci(known.descriptor.media_type)) != self._compression:
            return None  # packed in another way: an image of it would have another manifest than on other machines
        if not self._blobs.has(known.descriptor.digest, size=known.descriptor.size):
            return None
        self._leases.add([diff_id], self._own)
        return Layer(descriptor=known.descriptor, diff_id=diff_id)

    def _where(self) -> dict[str, str]:
        return {"layers": str(self._layers), "mapping": self._calls.mapping}

    def _open_writer(self) -> BlobWriter:
        if not self._layers.exists():
            with self._locked():
                pass
        return self._blobs.open_writer()

    def _commit_stream(self, tar: BinaryIO, *, unpack: bool) -> Layer:
        with self._open_writer() as writer:
            layer = self._adopt(writer, _pack(tar, writer.path, self._compression))
        if unpack:
            self.path(layer.diff_id)
        return layer

    def _adopt(self, writer: BlobWriter, packed: Packed) -> Layer:
        diff_id, digest = Digest.parse(packed.diff_id), Digest.parse(packed.digest)
        descriptor = Descriptor(media_type=MEDIA_TYPES[self._compression], digest=digest, size=packed.size)
        with self._locked():
            known = self._keep_unlocked(diff_id)
            if known is not None:
                return known
            writer.adopt(digest, packed.size)
            self._diffs.save(diff_id, Diff(descriptor, packed.tar_size))
            self._leases.add([diff_id], self._own)
        return Layer(descriptor=descriptor, diff_id=diff_id)


def _pack_file(tar: Path, output: Path, compression: str) -> Packed:
    with tar.open("rb") as file:
        return _pack(file, output, compression)


def _pack(tar: BinaryIO, output: Path, compression: str) -> Packed:
    with output.open("r+b") as file, Compressor(file, compression) as compressor:
        while piece := tar.read(CHUNK):
            compressor.write(piece)
        return compressor.finish()
