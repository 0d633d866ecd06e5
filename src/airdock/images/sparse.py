"""Where the data of a sparse file belongs, in the four ways that tars say it. Source: GNU tar manual, "Sparse Formats".

Old GNU     entries of kind S: four pieces in the header, more in blocks behind it
pax 0.0     a pax record for each piece's offset and for its length
pax 0.1     one pax record with them all
pax 1.0     decimal lines before the data, filled up to a block
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from airdock.errors import UnsafeArchiveError

__all__ = ["MAP", "REAL_NAME", "Piece", "find_pieces", "is_sparse", "read_blocks", "read_lines"]

Piece = tuple[int, int]
"""The offset of some data in its file, and its length, in bytes."""

MAP: Final = b"GNU.sparse.map"
REAL_NAME: Final = b"GNU.sparse.name"
_SIZES: Final = (b"GNU.sparse.realsize", b"GNU.sparse.size")
_BLOCK: Final = 512
_MOST_PIECES: Final = 100_000
_LARGEST: Final = 64 << 30
"""As large as the largest layer: what is all holes takes no room, and whoever copies it still reads it."""

Read = Callable[[int], bytes]
Number = Callable[[bytes], int]


def is_sparse(pax: Mapping[bytes, bytes]) -> bool:
    """Whether pax records say that an entry is a sparse file."""
    return any(key.startswith(b"GNU.sparse.") for key in pax)


def find_pieces(pax: Mapping[bytes, bytes], read: Read, size: int) -> tuple[tuple[Piece, ...], int, int]:
    """The pieces, the file's length, and how many bytes of data are left behind what `read` took of it.

    Raises `UnsafeArchiveError` for what can't be.
    """
    whole = next((_decimal(pax[key]) for key in _SIZES if key in pax), None)
    if whole is None:
        raise _refuse("no length of the file")
    if MAP in pax:
        numbers = [_decimal(text) for text in pax[MAP].split(b",") if text]
        return _checked(numbers, whole, size), whole, size
    if pax.get(b"GNU.sparse.major") != b"1":
        if size:
            raise _refuse("nothing that says where its data belongs")
        return (), _bounded(whole), 0
    numbers, taken = read_lines(read, size)
    return _checked(numbers, whole, size - taken), whole, size - taken


def read_lines(read: Read, size: int) -> tuple[list[int], int]:
    """The numbers before the data of pax 1.0, and the bytes that they took."""
    taken = 0

    def lines() -> Iterator[bytes]:
        nonlocal taken
        rest = b""
        while True:
            while b"\n" not in rest:
                block = read(_BLOCK) if taken + _BLOCK <= size + -size % _BLOCK and len(rest) < _BLOCK else b""
                if len(block) < _BLOCK:
                    raise _refuse("a list of pieces that breaks off")
                taken += _BLOCK
                rest += block
            line, _, rest = rest.partition(b"\n")
            yield line

    source = lines()
    count = _decimal(next(source))
    if count > _MOST_PIECES:
        raise _refuse(f"{count} pieces, more than {_MOST_PIECES}")
    numbers = [_decimal(next(source)) for _ in range(2 * count)]
    return numbers, min(taken, size)


def read_blocks(header: bytes, read: Read, number: Number, size: int) -> tuple[tuple[Piece, ...], int]:
    """The pieces of an old GNU header and of the blocks behind it, and the file's length. `number` reads a field."""
    numbers: list[int] = []
    fields, more = header[386:482], header[482]
    while True:
        for at in range(0, len(fields), 24):
            if fields[at + 12 : at + 24].strip(b"\0 "):
                numbers += [number(fields[at : at + 12]), number(fields[at + 12 : at + 24])]
        if not more:
            break
        if len(numbers) > 2 * _MOST_PIECES:
            raise _refuse(f"more than {_MOST_PIECES} pieces")
        block = read(_BLOCK)
        if len(block) < _BLOCK:
            raise _refuse("a list of pieces that breaks off")
        fields, more = block[:504], block[504]
    whole = number(header[483:495])
    return _checked(numbers, whole, size), whole


def _checked(numbers: list[int], whole: int, size: int) -> tuple[Piece, ...]:
    if len(numbers) % 2 or len(numbers) > 2 * _MOST_PIECES:
        raise _refuse(f"{len(numbers)} numbers for its pieces")
    _bounded(whole)
    end = total = 0
    pieces = tuple(zip(numbers[::2], numbers[1::2], strict=True))
    for offset, length in pieces:
        if length < 0 or not end <= offset <= whole - length:
            raise _refuse(f"a piece of {length} bytes at {offset} in a file of {whole}, behind one that ends at {end}")
        end = offset + length
        total += length
    if total != size:
        raise _refuse(f"pieces of {total} bytes, and {size} bytes of data")
    return pieces


def _bounded(whole: int) -> int:
    if not 0 <= whole <= _LARGEST:
        raise _refuse(f"one of {whole} bytes, more than {_LARGEST}")
    return whole


def _decimal(text: bytes) -> int:
    if not text.isdigit() or len(text) > 20:
        raise _refuse(f"{text[:40]!r} for a number")
    return int(text)


def _refuse(found: str) -> UnsafeArchiveError:
    return UnsafeArchiveError(f"expected a sparse file, found {found}", hint="pack it without tar's --sparse")
