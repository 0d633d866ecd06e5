"""What killed processes left: containers that never ran, and those that nobody wants without them.

containers/<id>/
  owner             which process made it: pid and start time
"""

import fcntl
import os
import time
from pathlib import Path
from typing import Final

from airdock.containers.base import TRANSIENT
from airdock.containers.names import forget_names, release_names
from airdock.errors import AirdockError
from airdock.runtime.launcher import Launcher
from airdock.runtime.state import is_alive, load_state, process_start

__all__ = ["make_folder", "remove_abandoned"]

_OWNER: Final = "owner"
_MADE_S: Final = 1.0
"""A folder that has been empty for so long is neither being made nor being removed by anybody."""


def make_folder(folder: Path) -> None:
    """Make the folder of a container that this process makes. FileExistsError."""
    owner = f"{os.getpid()} {process_start(os.getpid())}"
    while True:
        folder.mkdir(parents=True)
        try:
            folder.joinpath(_OWNER).write_text(owner)
        except FileNotFoundError:
            continue  # it was empty for so long that somebody took it for forgotten
        return


def remove_abandoned(containers: Path, launcher: Launcher) -> None:
    """Remove what nobody will; where somebody else is at it, nothing."""
    if not containers.is_dir():
        return
    descriptor = os.open(containers, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for folder in containers.iterdir():
            if _is_abandoned(folder):
                _remove(folder, launcher)
        forget_names(containers.parent)
    except BlockingIOError:
        pass  # somebody else is at it
    finally:
        os.close(descriptor)


def _remove(folder: Path, launcher: Launcher) -> None:
    try:
        launcher.remove(folder)
        release_names(folder.parents[1], folder.name)
    except AirdockError as error:  # it must not keep everything else from running
        import logging  # costs every command more than a millisecond

        logging.getLogger(__name__).warning("what is left of a container could not be removed: %s", error.message)


def _is_abandoned(folder: Path) -> bool:
    """Whether the process that made this container's folder is gone, and the container is of no use without it."""
    try:
        pid, started = map(int, folder.joinpath(_OWNER).read_text().split())
    except (OSError, ValueError):
        return _is_forgotten(folder)  # else it is being made, or being removed
    if is_alive(pid, started):
        return False
    state = load_state(folder)
    return state is None or (not state.alive and TRANSIENT.items() <= state.config.get("annotations", {}).items())


def _is_forgotten(folder: Path) -> bool:
    try:
        is_old = folder.stat().st_mtime < time.time() - _MADE_S
        # Whoever made it may have died between making the owner's file and writing into it.
        return is_old and all(each.name == _OWNER and not each.stat().st_size for each in folder.iterdir())
    except OSError:
        return False  # it was removed meanwhile
