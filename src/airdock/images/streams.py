"""Bytes from a file or a pipe, unpacked where they are packed: what comes first says how."""

from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, Final

from airdock.errors import DigestError
from airdock.images.compress import CHUNK, decompress

__all__ = ["PieceReader", "compression_of", "open_plain"]

_MAGICS: Final = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
)
_SKIPPABLE: Final = range(0x184D2A50, 0x184D2A60)
"""zstd's frames without content: zstd:chunked may begin with one."""
LONGEST_MAGIC: Final = 6


class PieceReader:
    """Reads pieces as if they were one file: `read` gives as many bytes as asked for, fewer only at the end."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def read(self, size: int = -1, /) -> bytes:
        parts, missing = [], size if size >= 0 else 1 << 62
        while missing:
            if not self._rest:
                self._rest = next(filter(None, self._pieces), b"")
                if not self._rest:
                    break
            part, self._rest = self._rest[:missing], self._rest[missing:]
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)


def compression_of(begin: bytes) -> str:
    """ "gzip", "zstd", "bzip2" or "xz" by a file's first bytes; empty for anything else."""
    if int.from_bytes(begin[:4], "little") in _SKIPPABLE:
        return "zstd"
    return next((name for magic, name in _MAGICS if begin.startswith(magic)), "")


def open_plain(file: BinaryIO | PieceReader) -> PieceReader:
    """The content of a file, read once from where it stands, unpacked where it is gzip, zstd, bzip2 or xz.

    Damage shows while reading, as `DigestError`.
    """
    begin = _read_begin(file)
    compression = compression_of(begin)
    blocks = _blocks(file, begin)
    if compression in ("bzip2", "xz"):
        return PieceReader(_decode(blocks, compression))
    return PieceReader(decompress(blocks, compression))


def _read_begin(file: BinaryIO | PieceReader) -> bytes:
    begin = b""
    while len(begin) < LONGEST_MAGIC and (more := file.read(LONGEST_MAGIC - len(begin))):
        begin += more
    return begin


def _blocks(file: BinaryIO | PieceReader, begin: bytes) -> Iterator[bytes]:
    if begin:
        yield begin
    while block := file.read(CHUNK):
        yield block


def _decode(blocks: Iterator[bytes], compression: str) -> Iterator[bytes]:
    make, damaged = _bzip2() if compression == "bzip2" else _xz()
    decoder = make()
    try:
        for block in blocks:
            rest = block
            while rest or not (decoder.needs_input or decoder.eof):
                if decoder.eof:
                    decoder = make()
                if piece := decoder.decompress(rest, CHUNK):
                    yield piece
                rest = decoder.unused_data if decoder.eof else b""
    except (OSError, damaged) as error:
        raise DigestError(f"expected {compression}, found {error}") from error
    if not decoder.eof:
        raise DigestError(f"expected {compression} to its end, found that it breaks off")


def _bzip2() -> tuple[Callable[[], Any], type[Exception]]:
    import bz2  # hardly an archive is packed so

    return bz2.BZ2Decompressor, OSError


def _xz() -> tuple[Callable[[], Any], type[Exception]]:
    import lzma

    return lzma.LZMADecompressor, lzma.LZMAError
