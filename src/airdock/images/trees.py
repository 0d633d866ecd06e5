"""Trees that somebody else may have filled, walked, measured and removed: by descriptor, never through a link."""

import os
import stat
from pathlib import Path

__all__ = ["FOLDER", "measure_tree", "remove_at", "remove_tree"]

_SECTOR = 512
"""stat(2) counts blocks in these, whatever the filesystem's own are."""

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""How a folder is opened: never through a link."""


def remove_tree(path: Path | str | bytes) -> None:
    """Remove a file or a folder with all that is in it, folders without permissions included; absence is fine."""
    parent, name = os.path.split(os.fsencode(path))
    try:
        folder = os.open(parent or b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        remove_at(folder, name)
    finally:
        os.close(folder)


def measure_tree(path: Path | str) -> int:
    """Bytes that a tree takes on the disk, each file once however many names it has; what can't be seen is left out."""
    total, seen, folders = 0, set(), [os.fsencode(path)]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(status.st_mode):
                        folders.append(entry.path)
                    elif status.st_nlink > 1:
                        if (status.st_dev, status.st_ino) in seen:
                            continue
                        seen.add((status.st_dev, status.st_ino))
                    total += status.st_blocks * _SECTOR
        except OSError:
            continue  # it went meanwhile, or is somebody else's
    return total


def remove_at(folder: int, name: bytes) -> None:
    """Remove what `name` is in an open folder; absence is fine, also when another process removes it meanwhile."""
    try:
        if stat.S_ISDIR(os.lstat(name, dir_fd=folder).st_mode):
            _empty(_open_at(folder, name))
            os.rmdir(name, dir_fd=folder)
        else:
            os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        pass


def _open_at(folder: int, name: bytes) -> int:
    try:
        return os.open(name, FOLDER, dir_fd=folder)
    except PermissionError:
        os.chmod(name, 0o700, dir_fd=folder)
        return os.open(name, FOLDER, dir_fd=folder)


def _empty(top: int) -> None:
    """Remove all below an open folder, and close it. Holds one descriptor however deep the tree is."""
    trail: list[bytes] = []
    current = top
    pending: list[list[bytes]] = [_clear_files(current)]
    try:
        while True:
            if pending[-1]:
                name = pending[-1][-1]
                current = _replace(current, _open_at(current, name))
                trail.append(name)
                pending.append(_clear_files(current))
                continue
            pending.pop()
            if not trail:
                return
            current = _replace(current, os.open("..", FOLDER, dir_fd=current))
            os.rmdir(trail.pop(), dir_fd=current)
            pending[-1].pop()
    finally:
        os.close(current)


def _clear_files(folder: int) -> list[bytes]:
    """Unlink all but the folders of a folder; gives the folders' names."""
    if not os.fstat(folder).st_mode & stat.S_IWUSR:
        os.fchmod(folder, 0o700)
    folders = []
    with os.scandir(folder) as entries:
        for entry in entries:
            name = os.fsencode(entry.name)
            if entry.is_dir(follow_symlinks=False):
                folders.append(name)
            else:
                os.unlink(name, dir_fd=folder)
    return folders


def _replace(old: int, new: int) -> int:
    os.close(old)
    return new
