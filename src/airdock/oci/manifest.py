"""Manifests and indexes (OCI image spec, manifest.md and image-index.md); Docker's schema 2 is read as their equal."""

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Self

from airdock.errors import ImageError
from airdock.oci.descriptor import Descriptor
from airdock.oci.document import canonical_bytes, take, take_list, take_media_type, take_object, take_string_map
from airdock.oci.media_types import INDEX, MANIFEST, to_oci
from airdock.record import record

__all__ = ["Index", "Manifest"]

_MANIFEST_OWN = ("schemaVersion", "mediaType", "config", "layers", "annotations")
_INDEX_OWN = ("schemaVersion", "mediaType", "manifests", "annotations")


@record
class Manifest:
    """One image: its configuration and its layers, the lowest first. `extra` keeps `subject` and `artifactType`."""

    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = field(default_factory=dict)
    media_type: str = MANIFEST
    extra: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        document = {
            **self.extra,
            "schemaVersion": 2,
            "mediaType": self.media_type,
            "config": self.config.to_json(),
            "layers": [layer.to_json() for layer in self.layers],
        }
        if self.annotations:
            document["annotations"] = dict(self.annotations)
        return document

    def to_bytes(self) -> bytes:
        """The canonical text. A manifest that came from elsewhere is kept as the bytes it came as."""
        return canonical_bytes(self.to_json())

    @classmethod
    def from_json(cls, value: Mapping[str, Any], *, where: str = "manifest") -> Self:
        media_type = _check_kind(value, MANIFEST, where)
        if not isinstance(value.get("layers"), list) or not value["layers"]:
            raise ImageError(f"expected 'layers' to list one layer or more, found {value.get('layers')!r}", where=where)
        return cls(
            config=Descriptor.from_json(take_object(value, "config", where), where=f"{where}: config"),
            layers=take_list(value, "layers", lambda layer: Descriptor.from_json(layer, where=where), where),
            annotations=take_string_map(value, "annotations", where),
            media_type=media_type,
            extra={key: found for key, found in value.items() if key not in _MANIFEST_OWN},
        )


@record
class Index:
    """A list of manifests: of one image for several platforms, or of everything in a layout."""

    manifests: tuple[Descriptor, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    media_type: str = INDEX
    extra: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        document = {
            **self.extra,
            "schemaVersion": 2,
            "mediaType": self.media_type,
            "manifests": [manifest.to_json() for manifest in self.manifests],
        }
        if self.annotations:
            document["annotations"] = dict(self.annotations)
        return document

    @classmethod
    def from_json(cls, value: Mapping[str, Any], *, where: str = "index") -> Self:
        media_type = _check_kind(value, INDEX, where)
        if not isinstance(value.get("manifests"), list):
            raise ImageError(f"expected 'manifests' to be a list, found {value.get('manifests')!r}", where=where)
        return cls(
            manifests=take_list(value, "manifests", lambda found: Descriptor.from_json(found, where=where), where),
            annotations=take_string_map(value, "annotations", where),
            media_type=media_type,
            extra={key: found for key, found in value.items() if key not in _INDEX_OWN},
        )


def _check_kind(value: Mapping[str, Any], expected: str, where: str) -> str:
    version = take(value, "schemaVersion", int, 0, where)
    if version != 2:
        raise ImageError(f"expected schemaVersion 2, found {value.get('schemaVersion')!r}", where=where)
    media_type = take_media_type(value, "mediaType", where) or expected
    if to_oci(media_type) != expected:
        raise ImageError(f"expected mediaType {expected}, found {media_type}", where=where)
    if "subject" in value:
        Descriptor.from_json(take_object(value, "subject", where), where=f"{where}: subject")
    take_media_type(value, "artifactType", where)
    return media_type
