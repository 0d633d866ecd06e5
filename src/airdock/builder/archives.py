"""Archives that ADD unpacks: tar, plain or through gzip, bzip2 or xz, known by what is in them, not by name."""

import bz2
import gzip
import lzma
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from airdock.errors import BuildError, UnsafeArchiveError
from airdock.images.tar import BLOCK, Source, read_entries
from airdock.images.unpack import MAX_BYTES

__all__ = ["is_archive", "open_archive"]

_MAGIC: Final = ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\x00", lzma.open))


class _Bounded:
    """Reads exactly as many bytes as asked for, fewer only at the end, and no more than a layer may hold."""

    def __init__(self, file: Source) -> None:
        self._file = file
        self._left = MAX_BYTES

    def read(self, size: int, /) -> bytes:
        pieces = []
        while size:
            piece = self._file.read(size)
            if not piece:
                break
            pieces.append(piece)
            size -= len(piece)
            self._left -= len(piece)
        if self._left < 0:
            raise UnsafeArchiveError(f"expected an archive of at most {MAX_BYTES:,} bytes, found more")
        return b"".join(pieces)


@contextmanager
def open_archive(descriptor: int) -> Iterator[Source]:
    """The tar in an open file, which is closed at the end. Raises `BuildError` where it is damaged."""
    with os.fdopen(descriptor, "rb") as file:
        start = file.read(BLOCK)
        file.seek(0)
        opener = next((opener for magic, opener in _MAGIC if start.startswith(magic)), None)
        try:
            if opener is None:
                yield _Bounded(file)
            else:
                with opener(file, "rb") as unpacked:
                    yield _Bounded(unpacked)
        except (EOFError, OSError, lzma.LZMAError, zlib.error) as error:
            raise BuildError(f"expected a whole archive, found: {error}") from error


def is_archive(descriptor: int) -> bool:
    """Whether an open file, which is closed, begins as a tar archive does."""
    try:
        with open_archive(descriptor) as source:
            return next(read_entries(source), None) is not None
    except (BuildError, UnsafeArchiveError):
        return False
