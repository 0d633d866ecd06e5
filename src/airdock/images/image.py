"""What the store hands out: a layer, an image, a row of `image ls`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from airdock.oci.config import ImageConfig
from airdock.oci.descriptor import Descriptor
from airdock.oci.digest import Digest
from airdock.oci.manifest import Manifest

__all__ = ["Image", "ImageRow", "Layer"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """One layer: `descriptor` names the compressed blob, `diff_id` the uncompressed tar."""

    descriptor: Descriptor
    diff_id: Digest


@dataclass(frozen=True, kw_only=True, slots=True)
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


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageRow:
    """One name of one image. Sizes are bytes of uncompressed layers; `unique_size` is what only this image has.

    `repository` is the familiar name and empty, like `tag`, for an image without a name. `created` is when the image
    came to be on this machine: what its configuration says is the same for equal images and tells nobody when.
    """

    repository: str
    tag: str
    digest: Digest
    image_id: Digest
    created: datetime
    size: int
    shared_size: int
    unique_size: int
    labels: Mapping[str, str]
