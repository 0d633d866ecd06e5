"""What a platform is called: Go's names for operating systems and processors, as images and Dockerfiles use them."""

import platform
from dataclasses import dataclass
from typing import Final

from airdock.errors import DockerfileError

__all__ = ["Platform", "native_platform", "parse_platform"]

_ARCHITECTURES: Final = {
    "x86_64": ("amd64", ""),
    "amd64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "arm64": ("arm64", ""),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "i686": ("386", ""),
    "i386": ("386", ""),
    "ppc64le": ("ppc64le", ""),
    "riscv64": ("riscv64", ""),
    "s390x": ("s390x", ""),
    "loongarch64": ("loong64", ""),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Platform:
    """`linux/arm/v7` in parts."""

    os: str = "linux"
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    def arguments(self) -> dict[str, str]:
        """The ARGs that every Dockerfile may declare: builds run where they're built for."""
        values = {"PLATFORM": str(self), "OS": self.os, "ARCH": self.architecture, "VARIANT": self.variant}
        return {f"{side}{name}": value for side in ("BUILD", "TARGET") for name, value in values.items()}


def native_platform(machine: str = "") -> Platform:
    """The platform of this machine, or of the `uname -m` given."""
    machine = machine or platform.machine()
    architecture, variant = _ARCHITECTURES.get(machine.lower(), (machine.lower(), ""))
    return Platform(architecture=architecture, variant=variant)


def parse_platform(text: str) -> Platform:
    """`os/architecture[/variant]`, or an architecture alone. Raises `DockerfileError`."""
    parts = text.lower().split("/")
    if not all(parts) or len(parts) > 3:
        raise DockerfileError(f"expected a platform such as linux/amd64, found {text!r}")
    if len(parts) == 1:
        parts = ["linux", parts[0]]
    architecture, variant = _ARCHITECTURES.get(parts[1], (parts[1], ""))
    variant = parts[2] if len(parts) == 3 else variant
    # arm64 has one variant that everybody leaves out.
    if architecture == "arm64" and variant == "v8":
        variant = ""
    return Platform(os=parts[0], architecture=architecture, variant=variant)
