"""Folders that live as long as a block, private to the account, and never outlive their process for long."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["temporary_folder"]


@contextlib.contextmanager
def temporary_folder(parent: Path, kind: str) -> Iterator[Path]:
    """A folder that every id of a container may enter through a mount, inside one that only its owner may.

    What processes left that were killed meanwhile is removed first: it can hold passwords.
    """
    parent.mkdir(parents=True, exist_ok=True)
    _sweep(parent, kind)
    private = Path(tempfile.mkdtemp(prefix=f"{kind}-{os.getpid()}-", dir=parent))
    try:
        folder = private / kind
        folder.mkdir()
        folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(private, ignore_errors=True)


def _sweep(parent: Path, kind: str) -> None:
    for path in parent.glob(f"{kind}-*-*"):
        pid = path.name.split("-")[1]
        if pid.isdigit() and not Path("/proc", pid).exists():
            shutil.rmtree(path, ignore_errors=True)
