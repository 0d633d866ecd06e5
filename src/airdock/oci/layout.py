"""The `oci-layout` file, which says that a folder or an archive is an image layout (image-layout.md)."""

from collections.abc import Mapping
from typing import Any, Final

from airdock.errors import ImageError

__all__ = ["LAYOUT", "check_layout"]

_VERSION: Final = "1.0.0"
LAYOUT: Final = {"imageLayoutVersion": _VERSION}


def check_layout(value: Mapping[str, Any], *, where: str = "oci-layout") -> None:
    """Raise `ImageError` unless the document is that of a layout whose version we read."""
    version = value.get("imageLayoutVersion")
    if version != _VERSION:
        raise ImageError(f"expected imageLayoutVersion {_VERSION!r}, found {version!r}", where=where)
