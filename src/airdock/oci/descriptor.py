"""A descriptor: which bytes, how many, of what kind (OCI image spec, descriptor.md)."""

import base64
import binascii
import os
import re
from collections.abc import Mapping
from dataclasses import field
from typing import Any, Self

from airdock.errors import DigestError, ImageError
from airdock.oci.digest import ALGORITHMS, Digest
from airdock.oci.document import take, take_media_type, take_object, take_string_map, take_strings
from airdock.record import record

__all__ = ["Descriptor", "Platform", "host_platform"]

_OWN = ("mediaType", "digest", "size", "annotations", "platform")
_ANY_DIGEST = re.compile(r"[a-z0-9]+(?:[+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?!:)[^\s]+")
_LARGEST = 2**63 - 1
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386", "loongarch64": "loong64"}


@record
class Platform:
    """What a manifest runs on; `extra` keeps `os.version` and `os.features`."""

    os: str
    architecture: str
    variant: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        variant = {"variant": self.variant} if self.variant else {}
        return {**self.extra, "os": self.os, "architecture": self.architecture, **variant}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        for key in ("os", "architecture"):
            if not isinstance(value.get(key), str):
                raise ImageError(f"expected {key!r} of a platform to be a text, found {value.get(key)!r}")
        take(value, "os.version", str, "", "platform")
        take_strings(value, "os.features", "platform")
        return cls(
            os=value["os"],
            architecture=value["architecture"],
            variant=take(value, "variant", str, "", "platform"),
            extra={key: found for key, found in value.items() if key not in ("os", "architecture", "variant")},
        )


def host_platform() -> Platform:
    """What this machine runs, in Go's words, as the spec wants them."""
    machine = os.uname().machine
    return Platform(
        os="linux",
        architecture=_ARCHITECTURES.get(machine, machine),
        variant={"aarch64": "v8", "armv7l": "v7"}.get(machine, ""),
    )


@record
class Descriptor:
    """Names content by digest. `size` is in bytes; `extra` keeps `urls`, `data`, `artifactType` and what is unknown."""

    media_type: str
    digest: Digest
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict)
    platform: Platform | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        document = {**self.extra, "mediaType": self.media_type, "digest": str(self.digest), "size": self.size}
        if self.annotations:
            document["annotations"] = dict(self.annotations)
        if self.platform is not None:
            document["platform"] = self.platform.to_json()
        return document

    @classmethod
    def from_json(cls, value: Mapping[str, Any], *, where: str = "descriptor") -> Self:
        if not isinstance(value, dict):
            raise ImageError(f"expected a descriptor to be an object, found {value!r}", where=where)
        media_type = take_media_type(value, "mediaType", where)
        size = take(value, "size", int, -1, where)
        if not media_type or not 0 <= size <= _LARGEST:
            raise ImageError(f"expected a descriptor with mediaType, digest and size, found {value!r}", where=where)
        _check_extra(value, where)
        return cls(
            media_type=media_type,
            digest=_parse_digest(take(value, "digest", str, "", where), where),
            size=size,
            annotations=take_string_map(value, "annotations", where),
            platform=Platform.from_json(take_object(value, "platform", where)) if "platform" in value else None,
            extra={key: found for key, found in value.items() if key not in _OWN},
        )


def _parse_digest(text: str, where: str) -> Digest:
    """Unregistered algorithms are allowed in a descriptor; whoever opens the content refuses them."""
    algorithm = text.partition(":")[0]
    if algorithm not in ALGORITHMS and _ANY_DIGEST.fullmatch(text):
        return Digest(text)
    try:
        return Digest.parse(text)
    except DigestError as error:
        raise DigestError(error.message, where=where) from error


def _check_extra(value: Mapping[str, Any], where: str) -> None:
    take_media_type(value, "artifactType", where)
    for url in take_strings(value, "urls", where):
        if not _URL.fullmatch(url):
            raise ImageError(f"expected 'urls' to hold URLs, found {url!r}", where=where)
    try:
        base64.b64decode(take(value, "data", str, "", where), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ImageError("expected 'data' to be base64", where=where) from error
