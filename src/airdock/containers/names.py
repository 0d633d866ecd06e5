"""Names of containers: made for those that were given none, and kept so that no two have the same.

AIRDOCK_HOME/run/names/
  <name>      a link to the id of the container with that name
"""

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from airdock.errors import ContainerError

__all__ = ["claim_name", "find_name", "make_name", "release_name"]

_FOLDER: Final = "names"

_ADJECTIVES: Final = (
    "brisk",
    "calm",
    "clear",
    "fair",
    "gentle",
    "keen",
    "light",
    "mellow",
    "quick",
    "quiet",
    "swift",
    "warm",
)
_NOUNS: Final = (
    "anchor",
    "beacon",
    "breeze",
    "buoy",
    "cove",
    "ferry",
    "gull",
    "harbor",
    "keel",
    "pier",
    "reef",
    "skiff",
)


def make_name() -> str:
    """A name that people can say, made unique enough by two bytes of chance."""
    return f"{_choose(_ADJECTIVES)}_{_choose(_NOUNS)}_{os.urandom(2).hex()}"


def _choose(words: Sequence[str]) -> str:
    return words[os.urandom(1)[0] % len(words)]


def claim_name(run: Path, name: str, container_id: str) -> None:
    """Give a container its name, in one step. Raises ContainerError where another container has it.

    `run` is AIRDOCK_HOME/run. A name whose container is gone is free.
    """
    folder = run / _FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    while True:
        try:
            folder.joinpath(name).symlink_to(container_id)
            return
        except FileExistsError:
            other = find_name(run, name)
            if other == container_id:
                return
            if other is not None:
                raise ContainerError(
                    f"expected a name that isn't taken, found {name} on container {other[:12]}",
                    hint=f"airdock container rm {name}, or rename it",
                ) from None
            _free(folder, name)


def release_name(run: Path, name: str, container_id: str) -> None:
    """Give a name back, if it is that container's."""
    path = run / _FOLDER / name
    try:
        if str(path.readlink()) == container_id:
            path.unlink()
    except OSError:
        pass  # it has none, or somebody was quicker


def find_name(run: Path, name: str) -> str | None:
    """The id of the container with that name; None where there is none."""
    if not name or "/" in name:
        return None
    try:
        container_id = str(run.joinpath(_FOLDER, name).readlink())
    except OSError:
        return None
    return container_id if run.joinpath("containers", container_id).is_dir() else None


def _free(folder: Path, name: str) -> None:
    """Remove the name of a container that is gone; one at a time, as another may have claimed it meanwhile."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if find_name(folder.parent, name) is None:
            folder.joinpath(name).unlink(missing_ok=True)
    finally:
        os.close(descriptor)
