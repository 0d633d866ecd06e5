"""Which extended attributes a layer carries, and how overlayfs and file capabilities write theirs.

Kept: `security.capability` and `user.*`. Never kept: overlayfs's own, host labels, access control lists (their ids
would not be shifted). Kernel: Documentation/filesystems/overlayfs.rst; capabilities(7), "File capability extended
attribute versioning".
"""

import os
import struct

from airdock.errors import ImageError

__all__ = ["CAPABILITY", "is_kept", "is_opaque", "opaque_name", "plain_capability", "read_xattrs"]

CAPABILITY = "security.capability"
_OVERLAY = ("trusted.overlay.", "user.overlay.")
_FORBIDDEN = ("redirect", "metacopy")
_VERSION_2, _VERSION_3 = 0x02000000, 0x03000000
_VERSION_MASK = 0xFF000000


def opaque_name(mapping: str) -> str:
    """The attribute that hides what lower layers have in a folder."""
    return "trusted.overlay.opaque" if mapping == "root" else "user.overlay.opaque"


def is_kept(name: str) -> bool:
    """Whether a layer carries the attribute."""
    return name == CAPABILITY or (name.startswith("user.") and not name.startswith(_OVERLAY))


def read_xattrs(path: bytes) -> dict[str, bytes]:
    """The attributes of a file or link itself that matter to layers; none where the filesystem has none."""
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError:
        return {}
    found = {}
    for name in names:
        if name.startswith(_OVERLAY) or is_kept(name):
            found[name] = os.getxattr(path, name, follow_symlinks=False)
    for name in found:
        if name.startswith(_OVERLAY) and name.rpartition(".")[2] in _FORBIDDEN:
            raise ImageError(
                f"expected an upper folder without {name}, found it on {os.fsdecode(path)!r}",
                hint="mount the overlay with redirect_dir=off,metacopy=off",
            )
    return found


def is_opaque(xattrs: dict[str, bytes]) -> bool:
    """Whether the folder that has these hides what lower layers have below its name."""
    return any(xattrs.get(f"{prefix}opaque") == b"y" for prefix in _OVERLAY)


def plain_capability(value: bytes, id_shift: int) -> bytes:
    """File capabilities as an image has them: those of a namespace whose root is `id_shift` become plain ones."""
    magic = int.from_bytes(value[:4], "little")
    if magic & _VERSION_MASK != _VERSION_3 or len(value) != 24:
        return value
    if int.from_bytes(value[20:24], "little") not in (0, id_shift):
        return value
    return struct.pack("<I", _VERSION_2 | (magic & ~_VERSION_MASK)) + value[4:20]
