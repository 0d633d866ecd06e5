"""Layers through gzip or zstd, with hashing, compressing and file work each on a core of its own.

The encoders are fixed, so that equal tars become equal blobs: this interpreter's zlib at level 1 with no name and time
0 in one member, or libzstd at its default level in one frame on one thread.
"""

import hashlib
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple, Self

from airdock.errors import DigestError, ImageError
from airdock.oci.digest import Digest
from airdock.oci.media_types import LAYER_GZIP, LAYER_ZSTD

if TYPE_CHECKING:
    from queue import Queue

__all__ = ["CHUNK", "MEDIA_TYPES", "Compressor", "LayerSource", "Packed", "decompress"]

MEDIA_TYPES: Final = {"gzip": LAYER_GZIP, "zstd": LAYER_ZSTD}
"""What layers can be packed with, and what they're called then."""

CHUNK = 1 << 20
_LEVEL = 1
_ZSTD_LEVEL = 3
_GZIP = 31  # zlib's window bits: 15, plus 16 for a gzip header
_QUEUED = 8


def _make_queue() -> "Queue[Any]":
    from queue import Queue  # most commands pack nothing

    return Queue(_QUEUED)


class Packed(NamedTuple):
    """A tar and the blob it became; sizes in bytes."""

    diff_id: Digest
    digest: Digest
    size: int
    tar_size: int


class Compressor:
    """Takes a tar in pieces, writes it packed beside the caller's next piece.

    `finish` waits for the last byte; leaving the block without it gives up. Errors of the writing thread come out of
    `write` or `finish`.
    """

    def __init__(self, output: IO[bytes], compression: str = "gzip") -> None:
        self._output = output
        self._encoder = _make_encoder(compression)
        self._plain = hashlib.sha256()
        self._plain_size = 0
        self._blob = hashlib.sha256()
        self._blob_size = 0
        self._pieces: Queue[bytes | None] = _make_queue()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._compress, name="compress")
        self._thread.start()

    def write(self, piece: bytes) -> None:
        if self._error is not None:
            raise self._error
        self._pieces.put(piece)
        self._plain.update(piece)
        self._plain_size += len(piece)

    def finish(self) -> Packed:
        self._stop()
        if self._error is not None:
            raise self._error
        diff_id, digest = (Digest(f"sha256:{state.hexdigest()}") for state in (self._plain, self._blob))
        return Packed(diff_id, digest, self._blob_size, self._plain_size)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._thread.is_alive():
            self._pieces.put(None)
        self._thread.join()

    def _compress(self) -> None:
        encoder = self._encoder
        while (piece := self._pieces.get()) is not None:
            self._attempt(encoder.compress, piece)
        self._attempt(lambda _: encoder.flush(), b"")

    def _attempt(self, encode: Callable[[bytes], bytes], piece: bytes) -> None:
        if self._error is not None:
            return  # keep emptying the queue, so that the writer never waits for a dead thread
        try:
            self._put(encode(piece))
        except BaseException as error:
            self._error = error

    def _put(self, encoded: bytes) -> None:
        self._output.write(encoded)
        self._blob.update(encoded)
        self._blob_size += len(encoded)


class LayerSource:
    """Reads the tar out of a layer's blob; a thread reads ahead and decompresses.

    `close` checks both digests, reading what is left; `abort` doesn't. At most `limit` bytes of tar come out, and
    `plain_size` is how many did.
    """

    def __init__(self, file: IO[bytes], compression: str, *, digest: Digest, diff_id: Digest, limit: int) -> None:
        self._file = file
        self._digest = digest
        self._diff_id = diff_id
        self._limit = limit
        self._blob = hashlib.new(digest.algorithm)
        self._plain = hashlib.new(diff_id.algorithm)
        self._rest = b""
        self._at = 0
        self._ended = False
        self.plain_size = 0
        self._stopped = False
        self._pieces: Queue[bytes | BaseException | None] = _make_queue()
        self._decode = _make_decoder(compression)
        self._thread = threading.Thread(target=self._read_ahead, name="decompress")
        self._thread.start()

    def read(self, size: int, /) -> bytes:
        """Exactly `size` bytes, fewer only at the end."""
        end = self._at + size
        if end <= len(self._rest):
            piece = self._rest[self._at : end]
            self._at = end
            return piece
        pieces = [self._rest[self._at :]]
        missing = size - len(pieces[0])
        self._rest, self._at = b"", 0
        while missing and (piece := self._next()):
            pieces.append(piece[:missing])
            self._rest, self._at = piece, len(pieces[-1])
            missing -= len(pieces[-1])
        return b"".join(pieces)

    def close(self) -> None:
        """Check that blob and tar are what their digests say; `DigestError` when not."""
        try:
            while self._next():
                pass
        finally:
            self.abort()
        for state, expected, what in ((self._blob, self._digest, "blob"), (self._plain, self._diff_id, "layer")):
            found = f"{expected.algorithm}:{state.hexdigest()}"
            if found != expected:
                raise DigestError(f"expected the {what} {expected}, found {found}")

    def abort(self) -> None:
        """End the thread without looking at the rest."""
        self._stopped = True
        while not self._ended:
            self._ended = not isinstance(self._pieces.get(), bytes)
        self._thread.join()

    def _next(self) -> bytes:
        if self._ended:
            return b""
        piece = self._pieces.get()
        if isinstance(piece, bytes):
            self._plain.update(piece)
            return piece
        self._ended = True
        if piece is not None:
            raise piece
        return b""

    def _read_ahead(self) -> None:
        try:
            for piece in self._decode(self._blocks()):
                self.plain_size += len(piece)
                if self.plain_size > self._limit:
                    raise ImageError(f"expected a layer of at most {self._limit} bytes, found more")
                if self._stopped:
                    break
                self._pieces.put(piece)
            self._pieces.put(None)
        except BaseException as error:
            self._pieces.put(error)

    def _blocks(self) -> Iterator[bytes]:
        while block := self._file.read(CHUNK):
            self._blob.update(block)
            yield block


def decompress(blocks: Iterator[bytes], compression: str) -> Iterator[bytes]:
    """What is packed in `blocks`, in pieces of at most CHUNK; `compression` is "gzip", "zstd" or empty."""
    return _make_decoder(compression)(blocks)


def _make_encoder(compression: str) -> Any:
    if compression == "zstd":
        return _zstd().ZstdCompressor(level=_ZSTD_LEVEL)
    return zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)


def _make_decoder(compression: str) -> Callable[[Iterator[bytes]], Iterator[bytes]]:
    decoders = {"": _pass_on, "gzip": _gunzip, "zstd": _unzstd}
    if compression not in decoders:
        raise ImageError(f"expected a layer packed with gzip, zstd or not at all, found {compression!r}")
    return decoders[compression]


def _pass_on(blocks: Iterator[bytes]) -> Iterator[bytes]:
    return blocks


def _gunzip(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """All members of a gzip file, in pieces of at most CHUNK."""
    decoder = zlib.decompressobj(_GZIP)
    started = False
    for block in blocks:
        rest = block
        while rest or decoder.unconsumed_tail:
            if decoder.eof:
                if not rest.strip(b"\0"):
                    break  # zeros after the last member are padding
                decoder, started = zlib.decompressobj(_GZIP), False
            try:
                piece = decoder.decompress(rest, CHUNK)
            except zlib.error as error:
                raise DigestError(f"expected gzip, found {error}") from error
            started = True
            rest = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
            if piece:
                yield piece
            elif not decoder.eof and not rest:
                break
    if started and not decoder.eof:
        raise DigestError("expected gzip to its end, found that it breaks off")


def _unzstd(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """All frames of a zstd file, those that are to be skipped included, in pieces of at most CHUNK."""
    zstd = _zstd()
    decoder = zstd.ZstdDecompressor()
    started = False
    try:
        for block in blocks:
            rest = block
            while rest or not (decoder.needs_input or decoder.eof):
                if decoder.eof:
                    decoder = zstd.ZstdDecompressor()
                piece = decoder.decompress(rest, CHUNK)
                started = True
                rest = decoder.unused_data if decoder.eof else b""
                if piece:
                    yield piece
    except zstd.ZstdError as error:
        raise DigestError(f"expected zstd, found {error}") from error
    if started and not decoder.eof:
        raise DigestError("expected zstd to its end, found that it breaks off")


def _zstd() -> Any:
    """The module for zstd: images without such layers go without it."""
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
    except ImportError as error:
        raise ImageError(
            "expected backports.zstd for a zstd layer, found none", hint="pip install backports.zstd"
        ) from error
    return zstd
