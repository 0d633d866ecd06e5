"""Paths inside a root that somebody hostile may change while we look: nothing outside of it is ever opened.

The kernel resolves a path within a root by openat2(2) and RESOLVE_IN_ROOT; links and ".." that lead out of it end at
the root. Where the call is missing (before Linux 5.6) or filtered away, `walk` does the same part by part, each from
the open folder before it, following links by their text.
"""

import ctypes
import errno
import os
import stat
import struct
from collections.abc import Callable
from typing import Final

from airdock.errors import CopyError

__all__ = ["Open", "open_in", "open_or_none", "walk"]

Open = Callable[[int, str, int], int]

_OPENAT2: Final = 437
"""The same number on every architecture: it came after they were united."""
_RESOLVE_NO_MAGICLINKS: Final = 0x02
_RESOLVE_IN_ROOT: Final = 0x10
_TRIES: Final = 256
"""A rename beside us makes the kernel give up on "..", for us to try again."""
_MOST_LINKS: Final = 40
_MISSING: Final = frozenset({errno.ENOSYS, errno.EPERM, errno.EOPNOTSUPP})
_FOLDER: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def open_in(root: int, path: str, flags: int) -> int:
    """Open `path` with `root` as "/", links followed inside it, the last one unless `flags` has O_NOFOLLOW.

    Raises OSError as open(2) does, ELOOP for links that go round or are /proc's own.
    """
    how = struct.pack("3Q", flags | os.O_CLOEXEC, 0, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS)
    name = os.fsencode(path) or b"."
    for _ in range(_TRIES):
        descriptor = int(_libc.syscall(_OPENAT2, root, name, how, len(how)))
        if descriptor >= 0:
            return descriptor
        number = ctypes.get_errno()
        if number in _MISSING:
            return walk(root, path, flags)
        if number not in (errno.EAGAIN, errno.EINTR):
            raise OSError(number, os.strerror(number), path)
    raise CopyError(f"expected the folders on the way to {path} to keep still, found them being renamed all along")


def open_or_none(root: int, path: str, flags: int = os.O_PATH) -> int | None:
    """As `open_in`, None where there is nothing."""
    try:
        return open_in(root, path, flags)
    except (FileNotFoundError, NotADirectoryError):
        return None


def walk(root: int, path: str, flags: int) -> int:
    """As `open_in`, without openat2: for kernels and filters that lack it."""
    trail = [os.dup(root)]
    try:
        last = _resolve(trail, path, follow=not flags & os.O_NOFOLLOW)
        return _reopen(trail[-1], last, flags)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error
    finally:
        for descriptor in trail:
            os.close(descriptor)


def _resolve(trail: list[int], path: str, *, follow: bool) -> str:
    """Go to the folder of the last part of `path`, whose name comes back; "." where the path ends at a folder."""
    parts = [part for part in reversed(path.split("/")) if part not in ("", ".")]
    as_folder = path.endswith(("/", "/."))
    links = 0
    while parts:
        name = parts.pop()
        if name == "..":
            if len(trail) > 1:
                os.close(trail.pop())
            continue
        is_last = not parts and not as_folder
        target = _read_link(trail[-1], name) if not is_last or follow else None
        if target is None:
            if is_last:
                return name
            trail.append(os.open(name, _FOLDER | os.O_DIRECTORY, dir_fd=trail[-1]))
            continue
        links += 1
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        if target.startswith("/"):
            while len(trail) > 1:
                os.close(trail.pop())
        as_folder = as_folder if parts else as_folder or target.endswith(("/", "/."))
        parts += [part for part in reversed(target.split("/")) if part not in ("", ".")]
    return "."


def _read_link(folder: int, name: str) -> str | None:
    """Where the link of that name leads, by its text; None for what is no link, or isn't there."""
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        return os.readlink(name, dir_fd=folder) if stat.S_ISLNK(status.st_mode) else None
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.EINVAL:
            return None  # it was a link a moment ago; opening it without following says what it is now
        raise


def _reopen(folder: int, name: str, flags: int) -> int:
    if name == ".":
        return os.open(".", flags & ~os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
