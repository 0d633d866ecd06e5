"""The data of a tar's entries: into a file, on to another archive, or past it. Holes of sparse files stay holes."""

import os
from collections.abc import Callable
from typing import Final

from airdock.errors import UnsafeArchiveError
from airdock.images.tar import Entry, Source, padding

__all__ = ["pump_data", "skip_data", "write_data"]

_PIECE: Final = 1 << 20


def write_data(source: Source, entry: Entry, descriptor: int) -> None:
    """Fill an empty file with an entry's data."""

    def write(piece: bytes) -> None:
        view = memoryview(piece)
        while view:
            view = view[os.write(descriptor, view) :]

    if entry.pieces is None:
        _take(source, entry.size, write)
    else:
        for offset, length in entry.pieces:
            os.lseek(descriptor, offset, os.SEEK_SET)
            _take(source, length, write)
        os.ftruncate(descriptor, entry.whole)
    _take(source, len(padding(entry.size)), _ignore)


def pump_data(source: Source, entry: Entry, write: Callable[[bytes], object]) -> None:
    """Write an entry's data as that of a whole file of `entry.whole` bytes, filled up to a block."""
    at = 0
    for offset, length in entry.pieces if entry.pieces is not None else ((0, entry.size),):
        _zeros(offset - at, write)
        _take(source, length, write)
        at = offset + length
    _zeros(entry.whole - at, write)
    _take(source, len(padding(entry.size)), _ignore)
    write(padding(entry.whole))


def skip_data(source: Source, entry: Entry) -> None:
    """Go to the entry's end."""
    _take(source, entry.size + len(padding(entry.size)), _ignore)


def _take(source: Source, size: int, write: Callable[[bytes], object]) -> None:
    left = size
    while left:
        piece = source.read(min(left, _PIECE))
        if not piece:
            raise UnsafeArchiveError("expected a tar archive: it breaks off inside a file")
        left -= len(piece)
        write(piece)


def _zeros(size: int, write: Callable[[bytes], object]) -> None:
    zeros = bytes(min(size, _PIECE))
    while size:
        write(zeros[:size])
        size -= min(size, _PIECE)


def _ignore(piece: bytes) -> None:
    """Data that nobody wants."""
