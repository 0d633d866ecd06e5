"""inotify(7) through ctypes: the kernel tells which names of a folder changed."""

import ctypes
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from airdock.record import record

__all__ = ["Change", "Inotify"]

_CLOSE_WRITE: Final = 0x8
_MOVED: Final = 0x40 | 0x80
_CREATE: Final = 0x100
_DELETE: Final = 0x200
_ATTRIB: Final = 0x4
_DELETE_SELF: Final = 0x400
_MOVE_SELF: Final = 0x800
_OVERFLOW: Final = 0x4000
_IGNORED: Final = 0x8000
_ONLY_FOLDERS: Final = 0x0100_0000
_IS_FOLDER: Final = 0x4000_0000

_WANTED: Final = _CLOSE_WRITE | _MOVED | _CREATE | _DELETE | _ATTRIB | _DELETE_SELF | _MOVE_SELF | _ONLY_FOLDERS
_HEAD: Final = struct.Struct("iIII")


@record
class Change:
    """Something happened to `path`. `is_folder`: it is, or was, a folder, so that all below it may have changed.

    `is_overflow`: so much happened that some of it isn't told, and everything has to be looked at.
    """

    path: Path
    is_folder: bool = False
    is_overflow: bool = False


class Inotify:
    """Watches folders, each for itself and not for what is below. One thread uses it; `fileno` is for polling."""

    def __init__(self) -> None:
        """OSError where the account has used up its instances (/proc/sys/fs/inotify)."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._check(self._libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK))
        self._folders: dict[int, Path] = {}

    def _check(self, result: int) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        """Idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def watch(self, folder: Path) -> None:
        """Tell of changes in this folder; again is harmless, and gives a folder that was moved its new name.

        OSError if it isn't one (ENOENT, ENOTDIR), or where the account watches too many (ENOSPC).
        """
        number = self._check(self._libc.inotify_add_watch(self._descriptor, os.fsencode(folder), _WANTED))
        self._folders[number] = folder

    def read(self) -> Iterator[Change]:
        """What happened since, without waiting."""
        try:
            data = os.read(self._descriptor, 1 << 16)
        except BlockingIOError:
            return
        at = 0
        while at < len(data):
            number, mask, _cookie, length = _HEAD.unpack_from(data, at)
            name = data[at + _HEAD.size : at + _HEAD.size + length].rstrip(b"\0")
            at += _HEAD.size + length
            yield from self._tell(number, mask, name)

    def _tell(self, number: int, mask: int, name: bytes) -> Iterator[Change]:
        if mask & _OVERFLOW:
            yield Change(path=Path("/"), is_overflow=True)
        elif mask & _IGNORED:
            self._folders.pop(number, None)
        elif (folder := self._folders.get(number)) is not None:
            is_self = bool(mask & (_DELETE_SELF | _MOVE_SELF))
            path = folder / os.fsdecode(name) if name else folder
            yield Change(path=path, is_folder=is_self or bool(mask & _IS_FOLDER))
