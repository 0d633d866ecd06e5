"""What is left of environments that nobody used for long: their images, uv's caches, virtual environments.

Locks stay: they are small, and what they pin is worth more than the room.
"""

import subprocess
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from airdock.environments.once import hold_lock
from airdock.environments.uv import find_uv
from airdock.errors import EnvironmentFailedError
from airdock.images.image import ImageRow
from airdock.images.trees import measure_tree, remove_tree

__all__ = ["REPOSITORY", "downloads", "drop_downloads", "is_environment", "is_old_environment", "newest"]

REPOSITORY: Final = "environment"
"""What images of requirements are called; the tag is the key of what they were made from."""
_CACHES: Final = ("uv", "uv-source")


def is_environment(row: ImageRow) -> bool:
    """Whether Airdock made and named the image for requirements."""
    return row.repository == REPOSITORY


def is_old_environment(row: ImageRow, *, now: datetime, age: timedelta) -> bool:
    """Whether it is an environment that no container stood on for so long."""
    return is_environment(row) and row.used < now - age


def downloads(cache: Path) -> Iterator[Path]:
    """uv's caches, and virtual environments of runs without isolation, below Airdock's cache folder."""
    for name in _CACHES:
        if (cache / name).is_dir():
            yield cache / name
    if (cache / "process").is_dir():
        yield from sorted(path for path in (cache / "process").iterdir() if path.is_dir())


def newest(folder: Path) -> float:
    """When something was last put into a cache, in seconds since the epoch: two levels deep tell it."""
    times = [folder.stat().st_mtime]
    for path in folder.glob("*"):
        times.append(path.lstat().st_mtime)
        if path.is_dir() and not path.is_symlink():
            times += [below.lstat().st_mtime for below in path.iterdir()]
    return max(times)


def drop_downloads(cache: Path, *, age: timedelta) -> int:
    """Remove caches into which nothing came for so long, and of the others what uv can't reach; gives the bytes."""
    freed = 0
    before = time.time() - age.total_seconds()
    for folder in downloads(cache):
        size = measure_tree(folder)
        if newest(folder) < before:
            _remove(folder)
        elif folder.name in _CACHES:
            _ask_uv("prune", folder)
        freed += size - measure_tree(folder)
    return freed


def _remove(folder: Path) -> None:
    if folder.name in _CACHES:
        _ask_uv("clean", folder)
        return
    with hold_lock(folder.with_name(f"{folder.name}.lock")):
        remove_tree(folder)


def _ask_uv(verb: str, folder: Path) -> None:
    """uv looks after its own locks, so that an installation beside this isn't disturbed."""
    argv = [str(find_uv()), "cache", verb, "--quiet", "--cache-dir", str(folder), "--no-config"]
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode != 0:
        raise EnvironmentFailedError(
            f"expected uv to clear its cache, found: {done.stderr.strip() or done.returncode}", where=str(folder)
        )
