"""A small disk below a home, and nothing left on it for a while."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["filled", "mount_small", "unmount"]

_SIZE = "64m"


def mount_small(folder: Path) -> None:
    """A file system of its own in memory; `unmount` takes it away."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_SIZE},mode=700", "airdock-faults", folder], check=True)


def unmount(folder: Path) -> None:
    """Harmless where nothing is mounted."""
    if folder.is_mount():
        subprocess.run(["umount", "-l", folder], check=True)


@contextmanager
def filled(folder: Path) -> Iterator[None]:
    """No room below the folder, down to the last byte."""
    filler = folder / "filler"
    try:
        with filler.open("wb", buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                try:
                    while file.write(os.urandom(size)) == size:
                        pass
                except OSError:
                    continue
        yield
    finally:
        filler.unlink()
