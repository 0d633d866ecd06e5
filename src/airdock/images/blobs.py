"""Content by digest: `blobs/<algorithm>/<hex>` of an OCI layout.

blobs/sha256/
  .tmp-XXXXXXXX     being written and locked by its writer; one that isn't locked is a leftover
  <hex>             whole, in its place by one rename
"""

import fcntl
import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Self

from airdock.errors import DigestError, ImageError
from airdock.files import TEMPORARY_PREFIX
from airdock.oci.digest import ALGORITHMS, Digest

__all__ = ["LARGEST_DOCUMENT", "BlobReader", "BlobWriter", "Blobs"]

LARGEST_DOCUMENT = 8 << 20
"""Manifests, indexes and configurations beyond this many bytes are refused."""

_CHUNK = 1 << 20


class Blobs:
    """The blobs below one folder."""

    def __init__(self, *, root: Path) -> None:
        self._root = root

    def path(self, digest: Digest) -> Path:
        """Where the blob is, or would be."""
        if digest.algorithm not in ALGORITHMS:
            raise DigestError(f"expected one of the digest algorithms {', '.join(ALGORITHMS)}, found {digest}")
        return self._root / digest.algorithm / digest.hex

    def has(self, digest: Digest, *, size: int | None = None) -> bool:
        """Whether the blob is there, and of that size where one is given."""
        try:
            found = self.path(digest).stat()
        except FileNotFoundError:
            return False
        return size is None or found.st_size == size

    def open(self, digest: Digest, *, verify: bool = True) -> IO[bytes]:
        """Read a blob. With `verify` closing reads what is left and raises `DigestError` when the bytes are others."""
        try:
            file = self.path(digest).open("rb", buffering=0)
        except FileNotFoundError as error:
            raise ImageError(f"expected blob {digest}, found none", hint="pull or build the image again") from error
        return io.BufferedReader(BlobReader(file, digest), _CHUNK) if verify else file

    def read(self, digest: Digest, *, at_most: int) -> bytes:
        """The whole of a blob, for documents; `ImageError` when it's longer than `at_most` bytes."""
        with self.open(digest, verify=False) as file:
            content = file.read(at_most + 1)
        if len(content) > at_most:
            raise ImageError(f"expected blob {digest} to have at most {at_most} bytes, found more")
        found = hashlib.new(digest.algorithm, content).hexdigest()
        if found != digest.hex:
            raise DigestError(f"expected the blob {digest}, found {digest.algorithm}:{found}")
        return content

    def put(self, content: bytes) -> Digest:
        """Store a document; one that is there already is left alone."""
        digest = Digest(f"sha256:{hashlib.sha256(content).hexdigest()}")
        if not self.has(digest, size=len(content)):
            with self.open_writer() as writer:
                writer.write(content)
                writer.commit(digest)
        return digest

    def open_writer(self, place: Callable[[Path, Digest], None] | None = None) -> "BlobWriter":
        """Write a blob whose digest may not be known yet; `place` is called instead of this class's to put it in."""
        folder = self._root / "sha256"
        folder.mkdir(parents=True, exist_ok=True)
        return BlobWriter(folder=folder, place=place or self.place)

    def all(self) -> frozenset[Digest]:
        """The digests of all blobs."""
        found = self._root.glob("*/[0-9a-f]*")
        return frozenset(Digest(f"{path.parent.name}:{path.name}") for path in found)

    def remove(self, digest: Digest) -> int:
        """Remove a blob, and give its bytes; absence is fine."""
        size = self.size_of(digest)
        if digest.algorithm in ALGORITHMS:
            self.path(digest).unlink(missing_ok=True)
        return size

    def size_of(self, digest: Digest) -> int:
        """Bytes of a blob; 0 for one that isn't here."""
        try:
            return self.path(digest).stat().st_size
        except (FileNotFoundError, DigestError):  # of an algorithm that no blob here has
            return 0

    def size(self) -> int:
        """Bytes of all blobs."""
        total = 0
        for path in self._root.glob("*/[0-9a-f]*"):
            try:
                total += path.stat().st_size
            except FileNotFoundError:
                continue  # it was removed meanwhile
        return total

    def sweep(self) -> None:
        """Remove what writers left that died."""
        for leftover in self._root.glob(f"*/{TEMPORARY_PREFIX}*"):
            try:
                with leftover.open("rb") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    leftover.unlink(missing_ok=True)
            except (FileNotFoundError, BlockingIOError):
                continue  # another sweeper was here, or its writer lives

    def place(self, temporary: Path, digest: Digest) -> None:
        """Put what was written to `temporary` in its place; its bytes have that digest."""
        path = self.path(digest)
        path.parent.mkdir(exist_ok=True)
        temporary.rename(path)


class BlobWriter:
    """One blob on its way in. Leaving the block without `commit` leaves nothing."""

    def __init__(self, *, folder: Path, place: Callable[[Path, Digest], None]) -> None:
        self._place = place
        self._hash = hashlib.sha256()
        self._size = 0
        self.path, self._file = _open_locked(folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.path.unlink(missing_ok=True)
        self._file.close()

    def write(self, content: bytes) -> int:
        """Add bytes."""
        self._hash.update(content)
        self._size += len(content)
        return self._file.write(content)

    def commit(self, expected: Digest | None = None) -> tuple[Digest, int]:
        """Put the blob in its place: gives digest and size; `DigestError` when it isn't the expected one."""
        self._file.flush()
        found = Digest(f"sha256:{self._hash.hexdigest()}")
        if expected is not None and expected.algorithm != "sha256":
            found = self._digest_again(expected.algorithm)
        if expected is not None and found != expected:
            raise DigestError(f"expected the blob {expected}, found {found}")
        os.fsync(self._file.fileno())
        self._place(self.path, found)
        return found, self._size

    def adopt(self, digest: Digest, size: int) -> None:
        """Put in its place what another process wrote to `path` and took the digest of."""
        found = self.path.stat().st_size
        if found != size:
            raise DigestError(f"expected the blob {digest} to have {size} bytes, found {found}")
        os.fsync(self._file.fileno())
        self._place(self.path, digest)

    def _digest_again(self, algorithm: str) -> Digest:
        with self.path.open("rb") as file:
            return Digest(f"{algorithm}:{hashlib.file_digest(file, algorithm).hexdigest()}")


class BlobReader(io.RawIOBase):
    """Reads a blob and takes its digest on the way; `close` reads the rest and compares."""

    def __init__(self, file: IO[bytes], digest: Digest) -> None:
        self._source = file
        self._digest = digest
        self._hash = hashlib.new(digest.algorithm)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]  # typeshed's Buffer is wider
        count: int = self._source.readinto(buffer)  # type: ignore[attr-defined]  # raw files have it
        self._hash.update(memoryview(buffer)[:count])
        return count

    def close(self) -> None:
        if self.closed:
            return
        try:
            while self.read(_CHUNK):
                pass
        finally:
            self._source.close()
            super().close()
        found = f"{self._digest.algorithm}:{self._hash.hexdigest()}"
        if found != self._digest:
            raise DigestError(f"expected the blob {self._digest}, found {found}")


def _open_locked(folder: Path) -> tuple[Path, IO[bytes]]:
    while True:
        path = folder / f"{TEMPORARY_PREFIX}{os.urandom(8).hex()}"
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o644)
        file = os.fdopen(descriptor, "r+b")
        fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return path, file
        file.close()  # a sweeper came between the two steps
