"""What the store hands out: a layer, an image, a row of `image ls`."""

from collections.abc import Mapping
from datetime import datetime

from airdock.oci.config import ImageConfig
from airdock.oci.descriptor import Descriptor, Platform
from airdock.oci.digest import Digest
from airdock.oci.manifest import Manifest
from airdock.record import record

__all__ = ["Image", "ImageRow", "Layer", "PlatformRow", "is_dangling"]


@record
class Layer:
    """One layer: `descriptor` names the compressed blob, `diff_id` the uncompressed tar."""

    descriptor: Descriptor
    diff_id: Digest


@record
class Image:
    """One image of the store. `digest` is the manifest's, `image_id` the configuration's."""

    digest: Digest
    manifest: Manifest
    config: ImageConfig

    @property
    def image_id(self) -> Digest:
        return self.manifest.config.digest

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The lowest first."""
        pairs = zip(self.manifest.layers, self.config.diff_ids, strict=True)
        return tuple(Layer(descriptor=descriptor, diff_id=diff_id) for descriptor, diff_id in pairs)

    @property
    def labels(self) -> dict[str, str]:
        return dict(self.config.labels)

    @property
    def platform(self) -> Platform:
        """What it is made for."""
        return Platform(os=self.config.os, architecture=self.config.architecture, variant=self.config.variant)


@record
class PlatformRow:
    """One image of those that an index holds together; sizes as in `ImageRow`."""

    platform: Platform
    digest: Digest
    image_id: Digest
    size: int
    content_size: int


@record
class ImageRow:
    """One name of one image. Sizes are bytes of uncompressed layers; `unique_size` is what only this image has.
    `content_size` are the bytes of its blobs, as they are stored and sent.

    `repository` is the familiar name and empty, like `tag`, for an image without a name. `created` is when the image
    came to be on this machine: what its configuration says is the same for equal images and tells nobody when. `used`
    is when a container or a build last stood on it. `platforms` has more than one for an index. `is_pinned`: it was
    fetched by its digest, and goes by that.
    """

    repository: str
    tag: str
    digest: Digest
    image_id: Digest
    created: datetime
    size: int
    shared_size: int
    unique_size: int
    content_size: int
    used: datetime
    labels: Mapping[str, str]
    platforms: tuple[PlatformRow, ...]
    is_pinned: bool = False

    @property
    def is_dangling(self) -> bool:
        """Whether nothing names it."""
        return not self.repository

    @property
    def name(self) -> str:
        """`repository:tag` or `repository@digest` as people write it; empty for an image without a name."""
        if self.is_pinned:
            return f"{self.repository}@{self.digest}"
        return f"{self.repository}:{self.tag}" if self.tag else self.repository


def is_dangling(row: ImageRow) -> bool:
    """Whether nothing names the image."""
    return row.is_dangling
