"""Platforms as Dockerfiles name them: `linux/arm/v7`."""

from typing import Final

from airdock.errors import DockerfileError
from airdock.oci.descriptor import Platform

__all__ = ["parse_platform", "platform_arguments", "render_platform"]

_ARCHITECTURES: Final = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "i386": "386", "armhf": "arm"}
_PLAIN_VARIANTS: Final = {"amd64": "v1", "arm64": "v8", "arm": "v7"}
"""The variant that a processor's name alone means."""


def render_platform(platform: Platform) -> str:
    """`os/architecture[/variant]`, the variant left out where the architecture alone says it, but kept for arm."""
    variant = platform.variant
    if platform.architecture != "arm" and variant == _PLAIN_VARIANTS.get(platform.architecture):
        variant = ""
    return "/".join(part for part in (platform.os, platform.architecture, variant) if part)


def parse_platform(text: str) -> Platform:
    """`os/architecture[/variant]`, or an architecture alone. Raises `DockerfileError`."""
    parts = text.lower().split("/")
    if not all(parts) or len(parts) > 3:
        raise DockerfileError(f"expected a platform such as linux/amd64, found {text!r}")
    if len(parts) == 1:
        parts = ["linux", parts[0]]
    architecture = _ARCHITECTURES.get(parts[1], parts[1])
    variant = parts[2] if len(parts) == 3 else _PLAIN_VARIANTS.get(architecture, "")
    return Platform(os=parts[0], architecture=architecture, variant=variant)


def platform_arguments(platform: Platform) -> dict[str, str]:
    """The ARGs of the platform that every Dockerfile may declare; what is built runs where it's built."""
    name = render_platform(platform)
    parts = [*name.split("/"), "", ""]
    values = {"PLATFORM": name, "OS": parts[0], "ARCH": parts[1], "VARIANT": parts[2]}
    return {f"{side}{name}": value for side in ("BUILD", "TARGET") for name, value in values.items()}
