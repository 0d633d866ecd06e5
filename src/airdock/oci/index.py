"""Image indexes: one image for several platforms, and which of its manifests a machine runs.

A platform is `os/architecture[/variant]` as Docker's `--platform` takes it. A machine also runs what is made for an
older variant of its architecture: arm v7 runs v6 and v5, amd64 v3 runs v2 and v1.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from airdock.errors import ImageError
from airdock.oci.descriptor import Descriptor, Platform, host_platform
from airdock.oci.manifest import Index

__all__ = ["choose_manifest", "is_attestation", "parse_platform", "platforms_of", "render_platform"]

_ALIASES: Final = {
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "i386": ("386", ""),
    "i686": ("386", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
}
_PLAIN: Final = {"amd64": 1, "arm64": 8, "arm": 7}
"""The variant that an architecture's name alone means."""
_OSES: Final = frozenset({"linux", "windows", "darwin", "freebsd", "netbsd", "openbsd", "solaris", "wasip1", "js"})
_PART: Final = re.compile(r"[A-Za-z0-9_.-]+")
_REFERENCE_TYPE: Final = "vnd.docker.reference.type"


def parse_platform(text: str) -> Platform:
    """Read `os/architecture[/variant]`, or an architecture alone, which is Linux's. Raises `ImageError`."""
    parts = text.strip().lower().split("/")
    if not 1 <= len(parts) <= 3 or not all(_PART.fullmatch(part) for part in parts):
        raise ImageError(
            f"expected a platform, found {text!r}", hint="write os/architecture[/variant], such as linux/arm64"
        )
    if len(parts) == 1:
        if parts[0] in _OSES:
            return Platform(os=parts[0], architecture=host_platform().architecture)
        parts = ["linux", parts[0]]
    architecture, variant = _ALIASES.get(parts[1], (parts[1], ""))
    return Platform(os=parts[0], architecture=architecture, variant=parts[2] if len(parts) == 3 else variant)


def render_platform(platform: Platform) -> str:
    """`os/architecture[/variant]`, the variant left out where the architecture alone says it, but kept for arm."""
    variant = platform.variant
    if platform.architecture != "arm" and variant == f"v{_PLAIN.get(platform.architecture, 0)}":
        variant = ""
    return "/".join(part for part in (platform.os, platform.architecture, variant) if part)


def choose_manifest(index: Index, platform: Platform | None = None) -> Descriptor | None:
    """The manifest that fits a platform best (None: this machine's); None where nothing in the index runs there.

    One without a platform is taken where no other fits: indexes of one image often leave it out.
    """
    wanted = platform or host_platform()
    scored = [(score, entry) for entry in index.manifests if (score := _score(entry, wanted)) is not None]
    return max(scored, key=lambda pair: pair[0])[1] if scored else None


def is_attestation(entry: Descriptor) -> bool:
    """Whether an entry says something about an image (provenance, bill of materials) and isn't one itself."""
    unknown = entry.platform is not None and entry.platform.os == "unknown"
    return unknown or entry.annotations.get(_REFERENCE_TYPE) == "attestation-manifest"


def platforms_of(index: Index) -> Sequence[Platform]:
    """What an index says it has, in its order."""
    return [entry.platform for entry in _images(index.manifests) if entry.platform is not None]


def _images(entries: Iterable[Descriptor]) -> Iterable[Descriptor]:
    return (entry for entry in entries if not is_attestation(entry))


def _score(entry: Descriptor, wanted: Platform) -> int | None:
    """How well an entry fits, the higher the better; None where it doesn't."""
    if is_attestation(entry):
        return None
    found = entry.platform
    if found is None:
        return -1
    if (found.os, found.architecture) != (wanted.os, wanted.architecture):
        return None
    has, may = _variant(found), _variant(wanted)
    if has is None or may is None:
        return 0 if found.variant == wanted.variant else None
    return has if has <= may else None


def _variant(platform: Platform) -> int | None:
    """The number of a variant; None for one that isn't numbered."""
    text = platform.variant or f"v{_PLAIN.get(platform.architecture, 0)}"
    return int(text[1:]) if text.startswith("v") and text[1:].isdigit() else None
