"""Archives that ADD unpacks: tar, plain or through gzip, bzip2, xz or zstd, known by what is in them, not by name."""

import bz2
import gzip
import lzma
import os
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from airdock.errors import BuildError, UnsafeArchiveError
from airdock.images.tar import BLOCK, Source, read_entries
from airdock.images.unpack import MAX_BYTES

__all__ = ["is_archive", "open_archive"]


_MAGIC: Final = ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\x00", lzma.open))
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_DAMAGED: Final = (EOFError, OSError, lzma.LZMAError, zlib.error)


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
        opener, damaged = _find_format(start)
        try:
            if opener is None:
                yield _Bounded(file)
            else:
                with opener(file, "rb") as unpacked:
                    yield _Bounded(unpacked)
        except damaged as error:
            raise BuildError(f"expected a whole archive, found: {error}") from error


def _find_format(start: bytes) -> tuple[Callable[..., Any] | None, tuple[type[Exception], ...]]:
    """What opens a file that begins so, None where it is no packed one, and what it raises for a damaged one."""
    if start.startswith(_ZSTD):
        try:
            if sys.version_info >= (3, 14):
                from compression import zstd
            else:
                from backports import zstd
        except ImportError as error:
            hint = "pip install backports.zstd"
            raise BuildError(
                "expected backports.zstd for an archive packed with zstd, found none", hint=hint
            ) from error
        return zstd.open, (*_DAMAGED, zstd.ZstdError)
    return next((opener for magic, opener in _MAGIC if start.startswith(magic)), None), _DAMAGED


def is_archive(descriptor: int) -> bool:
    """Whether an open file, which is closed, begins as a tar archive does."""
    try:
        with open_archive(descriptor) as source:
            return next(read_entries(source), None) is not None
    except (BuildError, UnsafeArchiveError):
        return False
