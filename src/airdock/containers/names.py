"""Names of containers: made for those that were given none, and kept so that no two have the same.

AIRDOCK_HOME/run/names/
  <name>      a link to the id of the container with that name
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from airdock.errors import ContainerError

__all__ = ["claim_name", "find_name", "forget_names", "make_name", "release_name", "release_names"]

_FOLDER: Final = "names"
_GIVEN_S: Final = 60.0
"""How long a container may take to be made that has its name already."""

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
    """Give a container its name; of several at once, one gets it. Raises ContainerError where another container has it.

    `run` is AIRDOCK_HOME/run. A name whose container is gone is free.
    """
    folder = run / _FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        other = find_name(run, name)
        if other is None:
            folder.joinpath(name).unlink(missing_ok=True)  # of one that is gone
            folder.joinpath(name).symlink_to(container_id)
        elif other != container_id:
            raise ContainerError(
                f"expected a name that isn't taken, found {name} on container {other[:12]}",
                hint=f"airdock container rm {name}, or rename it",
            )


def release_name(run: Path, name: str, container_id: str) -> None:
    """Give a name back, if it is that container's."""
    folder = run / _FOLDER
    with contextlib.suppress(OSError), _locked(folder):  # there may be none
        if find_name(run, name) in (container_id, None):
            folder.joinpath(name).unlink()


def release_names(run: Path, container_id: str) -> None:
    """Give back every name of a container that is gone, whatever it was called."""
    with contextlib.suppress(OSError):  # there may be none
        for link in run.joinpath(_FOLDER).iterdir():
            if str(link.readlink()) == container_id:
                release_name(run, link.name, container_id)


def forget_names(run: Path) -> None:
    """Drop names that were given a while ago to containers that are gone: whoever removed those was killed."""
    before = time.time() - _GIVEN_S
    with contextlib.suppress(OSError):  # there may be none
        for link in run.joinpath(_FOLDER).iterdir():
            with contextlib.suppress(FileNotFoundError):
                if link.lstat().st_mtime < before:
                    release_name(run, link.name, "")


def find_name(run: Path, name: str) -> str | None:
    """The id of the container with that name; None where there is none."""
    if not name or "/" in name:
        return None
    try:
        container_id = str(run.joinpath(_FOLDER, name).readlink())
    except OSError:
        return None
    return container_id if run.joinpath("containers", container_id).is_dir() else None


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
