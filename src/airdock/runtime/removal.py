"""Removing what a container left; to be run where the account has all its ids (`Launcher.call`)."""

import contextlib
import os
import shutil
import stat
from collections.abc import Callable
from typing import Any, Final

from airdock.errors import ContainerError

__all__ = ["remove_bundle", "remove_small_bundle", "remove_tree"]

_SMALL: Final = 64
"""Entries of a folder that are removed in less time than a fork takes."""


def remove_bundle(folder: str, keep_upper: bool = False) -> None:
    """Remove a container's folder, or all of it but `upper`. Nothing happens where there is none."""
    if not os.path.isdir(folder):
        return
    if not keep_upper:
        remove_tree(folder)
        return
    for entry in os.listdir(folder):
        if entry != "upper":
            remove_tree(os.path.join(folder, entry))


def remove_small_bundle(folder: str, keep_upper: bool = False) -> bool:
    """Remove a container's folder if that takes no longer than asking somebody else to; says whether it did."""
    entries: list[tuple[str, bool]] = []
    waiting = [folder]
    try:
        while waiting:
            with os.scandir(waiting.pop()) as found:
                for entry in found:
                    if keep_upper and entry.path == os.path.join(folder, "upper"):
                        continue
                    if len(entries) == _SMALL:
                        return False
                    entries.append((entry.path, entry.is_dir(follow_symlinks=False)))
                    if entries[-1][1]:
                        waiting.append(entry.path)
        for path, is_folder in reversed(entries):  # what is in a folder comes behind it
            (os.rmdir if is_folder else os.unlink)(path)
        if not keep_upper:
            os.rmdir(folder)
    except OSError:
        remove_bundle(folder, keep_upper)  # knows of odd modes and of others who remove it too
    return True


def remove_tree(path: str) -> None:
    """Remove a file or folder and all below it, links not followed, whatever the modes of folders are.

    Raises ContainerError when something stays.
    """
    if not os.path.isdir(path) or os.path.islink(path):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        return
    # An overlay's work/work has mode 000; images have folders without write permission.
    shutil.rmtree(path, onerror=_open_up)
    if os.path.lexists(path):
        raise ContainerError(f"{path} could not be removed", where=path)


def _open_up(function: Callable[..., Any], path: str, error: tuple[type, BaseException, object]) -> None:
    if isinstance(error[1], FileNotFoundError):
        return  # another process removes it too
    parent = os.path.dirname(path)
    for folder in (parent, path):
        if os.path.isdir(folder) and not os.path.islink(folder):
            os.chmod(folder, stat.S_IRWXU)
    if function in (os.unlink, os.rmdir):
        function(path)
    else:
        shutil.rmtree(path, onerror=_raise)


def _raise(_function: Callable[..., Any], path: str, error: tuple[type, BaseException, object]) -> None:
    if not isinstance(error[1], FileNotFoundError):
        raise ContainerError(f"{path} could not be removed: {error[1]}", where=path) from error[1]
