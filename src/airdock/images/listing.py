"""What `image ls` shows: a row per name, with sizes told apart by who else has the same layers."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from airdock.errors import ImageError
from airdock.images.blobs import Blobs
from airdock.images.catalog import Catalog
from airdock.images.image import Image, ImageRow, PlatformRow
from airdock.images.index import Names, name_of, reference_of
from airdock.oci.descriptor import Descriptor
from airdock.oci.digest import Digest
from airdock.record import record

__all__ = ["Listing"]


@record
class _Found:
    """What an entry stands for: the images of its platforms, each layer's size, the bytes of its blobs."""

    images: tuple[Image, ...]
    shown: Image
    layers: Mapping[Digest, int]
    content: int
    arrived: float


class Listing:
    """Lists one store. `size_of` gives the bytes of a layer's tar, `used` when a layer was last used, in seconds."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        names: Names,
        blobs: Blobs,
        size_of: Callable[[Digest, Descriptor], int],
        used: Callable[[Digest], float],
    ) -> None:
        self._catalog = catalog
        self._names = names
        self._blobs = blobs
        self._size_of = size_of
        self._used = used

    def rows(self) -> list[ImageRow]:
        """A row per name and per nameless image, the newest first; images that can't be read are left out."""
        entries = self._names.load()
        found = {entry.digest: one for entry in entries if (one := self._look(entry)) is not None}
        owners = Counter(diff_id for one in found.values() for diff_id in one.layers)
        rows = [self._row(entry, found[entry.digest], owners) for entry in entries if entry.digest in found]
        return sorted(rows, key=lambda row: (-row.created.timestamp(), row.repository, row.tag))

    def _look(self, entry: Descriptor) -> _Found | None:
        images = []
        try:
            parts = self._catalog.manifests(entry)
            for part in parts:
                images.append(self._catalog.load(part))
            arrived = self._blobs.path(entry.digest).stat().st_mtime
        except (ImageError, FileNotFoundError):
            return None  # removed meanwhile, another tool's artifact, or damaged: `find` says what is wrong with it
        if not images:
            return None
        layers = {
            layer.diff_id: self._size_of(layer.diff_id, layer.descriptor) for image in images for layer in image.layers
        }
        content = {part.digest: part.size for part in (entry, *parts)}
        for image in images:
            content |= {part.digest: part.size for part in (image.manifest.config, *image.manifest.layers)}
        return _Found(
            images=tuple(images),
            shown=self._shown(entry, images),
            layers=layers,
            content=sum(content.values()),
            arrived=arrived,
        )

    def _row(self, entry: Descriptor, found: _Found, owners: Mapping[Digest, int]) -> ImageRow:
        reference = reference_of(entry)
        total = sum(found.layers[diff_id] for image in found.images for diff_id in image.config.diff_ids)
        shared = sum(size for diff_id, size in found.layers.items() if owners[diff_id] > 1)
        return ImageRow(
            repository=reference.familiar_name if reference is not None else name_of(entry) or "",
            tag=(reference.tag or "") if reference is not None else "",
            digest=entry.digest,
            image_id=found.shown.image_id,
            created=datetime.fromtimestamp(found.arrived, UTC),
            size=total,
            shared_size=shared,
            unique_size=sum(found.layers.values()) - shared,
            content_size=found.content,
            used=datetime.fromtimestamp(max(found.arrived, self._last_use(found)), UTC),
            labels=found.shown.labels,
            platforms=tuple(self._platform(image, found) for image in found.images),
            is_pinned=reference is not None and reference.tag is None,
        )

    def _shown(self, entry: Descriptor, images: Sequence[Image]) -> Image:
        """The image that stands for all: this machine's where there is one."""
        try:
            return self._catalog.load(entry)
        except ImageError:
            return images[0]

    def _last_use(self, found: _Found) -> float:
        """All layers of an image are used together; one that others share may have been used without it."""
        return max(min((self._used(each) for each in image.config.diff_ids), default=0.0) for image in found.images)

    def _platform(self, image: Image, found: _Found) -> PlatformRow:
        parts = (image.manifest.config, *image.manifest.layers)
        return PlatformRow(
            platform=image.platform,
            digest=image.digest,
            image_id=image.image_id,
            size=sum(found.layers[diff_id] for diff_id in image.config.diff_ids),
            content_size=sum(part.size for part in parts),
        )
