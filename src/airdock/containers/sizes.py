"""How much a container wrote; to be run where the account has all its ids (`Launcher.call`)."""

import os
from pathlib import Path

__all__ = ["measure"]

_BLOCK_BYTES = 512


def measure(folder: str) -> int:
    """Bytes that the files below a folder take on the disk; 0 where there is no folder."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for parent, _, files in os.walk(folder):
        for name in files:
            try:
                found = Path(parent, name).lstat()
            except OSError:
                continue  # removed meanwhile
            if (found.st_dev, found.st_ino) not in seen:
                seen.add((found.st_dev, found.st_ino))
                total += found.st_blocks * _BLOCK_BYTES
    return total
