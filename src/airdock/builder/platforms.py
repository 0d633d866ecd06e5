"""Platforms as Dockerfiles name them: `linux/arm/v7`; and which of them this machine's kernel can run."""

from pathlib import Path
from typing import Final

from airdock.errors import DockerfileError
from airdock.oci.descriptor import Platform

__all__ = [
    "is_emulated",
    "is_same",
    "parse_platform",
    "platform_arguments",
    "render_platform",
    "split_platform",
    "with_platform",
]

_ARCHITECTURES: Final = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "i386": "386", "armhf": "arm"}
_PLAIN_VARIANTS: Final = {"amd64": "v1", "arm64": "v8", "arm": "v7"}
"""The variant that a processor's name alone means."""
_QEMU: Final = {"amd64": "x86_64", "arm64": "aarch64", "386": "i386", "mips64le": "mips64el", "loong64": "loongarch64"}
"""How the emulator calls a processor, where otherwise."""
_BINFMT: Final = Path("/proc/sys/fs/binfmt_misc")
_MARK: Final = "?platform="
"""Between an image's name and the platform that is wanted of it; no reference can have it."""


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


def platform_arguments(platform: Platform, *, host: Platform) -> dict[str, str]:
    """The ARGs of the platforms that every Dockerfile may declare: what is built for, and where it's built."""
    values = {}
    for side, each in (("BUILD", host), ("TARGET", platform)):
        name = render_platform(each)
        os, architecture, variant, *_ = [*name.split("/"), "", ""]
        parts = {"PLATFORM": name, "OS": os, "ARCH": architecture, "VARIANT": variant}
        values.update({f"{side}{part}": value for part, value in parts.items()})
    return values


def is_same(one: Platform, other: Platform) -> bool:
    """Whether what is made for the one runs on the other, variants aside."""
    return (one.os, one.architecture) == (other.os, other.architecture)


def with_platform(name: str, platform: Platform) -> str:
    """The name of an image, with the platform that is wanted of it."""
    return f"{name}{_MARK}{render_platform(platform)}"


def split_platform(name: str) -> tuple[str, Platform | None]:
    """What `with_platform` put together; None where it is a plain name."""
    plain, mark, platform = name.partition(_MARK)
    return plain, parse_platform(platform) if mark else None


def is_emulated(platform: Platform, *, folder: Path = _BINFMT) -> bool:
    """Whether the kernel hands programs of that platform to an emulator, also in containers: binfmt_misc, flag F."""
    if platform.os != "linux":
        return False
    name = _QEMU.get(platform.architecture, platform.architecture)
    try:
        lines = (folder / f"qemu-{name}").read_text().splitlines()
    except OSError:
        return False
    flags = next((line.partition(":")[2] for line in lines if line.startswith("flags:")), "")
    return "enabled" in lines and "F" in flags
