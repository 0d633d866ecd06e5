"""Blobs on their way in from elsewhere: written, checked, and layers unpacked, all at once as the bytes come."""

import fcntl
import hashlib
import os
import select
import struct
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final, Self, cast

from airdock.errors import DigestError, ImageError
from airdock.images.background import Background
from airdock.images.downloads import Downloads
from airdock.images.store import ImageStore
from airdock.oci.descriptor import Descriptor
from airdock.oci.digest import ALGORITHMS, Digest

__all__ = ["Receiver"]

_CHUNK: Final = 1 << 20
_PIPE_BYTES: Final = 1 << 20
_WAIT_S: Final = 0.1
_PAUSE_S: Final = 0.001


class Receiver:
    """Takes blobs into a store; `remote.base.Shelf`. A context: what it keeps until then, only images keep afterwards.

    `unpack` says whether layers are unpacked on the way, for who is going to run them.
    """

    def __init__(self, store: ImageStore, *, unpack: bool = True) -> None:
        self._store = store
        self._downloads = Downloads(root=store.root)
        self._unpack = unpack
        self._owner = f"download by process {os.getpid()} {os.urandom(4).hex()}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._store.release(self._owner)

    def has_layer(self, descriptor: Descriptor, diff_id: Digest) -> bool:
        """Whether the layer is here, whole; it's unpacked then where that is wanted."""
        self._store.lease([diff_id], self._owner)
        if not self._store.keep_blob(descriptor.digest, size=descriptor.size):
            return False
        if self._unpack:
            self._store.unpack_layer(diff_id, self._store.blob_path(descriptor.digest), descriptor)
        return True

    def receive(self, descriptor: Descriptor, diff_id: Digest | None, read: Callable[[int], Iterator[bytes]]) -> None:
        """Take a blob in, as `remote.base.Shelf` says. Who asks for the same blob meanwhile waits and finds it here."""
        if descriptor.digest.algorithm not in ALGORITHMS:
            raise DigestError(
                f"expected one of the digest algorithms {', '.join(ALGORITHMS)}, found {descriptor.digest}"
            )
        with self._downloads.claim(descriptor.digest.hex) as partial:
            if diff_id is not None and self.has_layer(descriptor, diff_id):
                return
            if diff_id is None and self._store.keep_blob(descriptor.digest, size=descriptor.size):
                return
            had_some = partial.exists()
            try:
                self._download(descriptor, diff_id if self._unpack else None, partial, read)
            except DigestError:
                if not had_some or partial.exists():
                    raise
                # What was left of another time may be what is wrong.
                self._download(descriptor, diff_id if self._unpack else None, partial, read)

    def open(self, descriptor: Descriptor) -> BinaryIO:
        """A blob that is here, as it is stored."""
        return cast(BinaryIO, self._store.open_blob(descriptor.digest, False))

    def _download(
        self, descriptor: Descriptor, diff_id: Digest | None, partial: Path, read: Callable[[int], Iterator[bytes]]
    ) -> None:
        with partial.open("a+b", buffering=0) as file:
            if file.tell() > descriptor.size:
                file.truncate(0)
            pipe = _Pipe(self._downloads.make_pipe()) if diff_id is not None and descriptor.size else None
            try:
                unpacking = (
                    pipe.start(lambda: self._unpack_from(pipe, diff_id, descriptor)) if pipe and diff_id else None
                )
                digest = self._copy(descriptor, file, read, pipe)
                if digest != descriptor.digest:
                    partial.unlink()
                    raise DigestError(f"expected the blob {descriptor.digest}, found {digest}")
                os.fsync(file.fileno())
                if pipe is not None and unpacking is not None:
                    pipe.finish()
                    unpacking.result()
            finally:
                if pipe is not None:
                    pipe.close()
        self._store.take_blob(partial, descriptor.digest)

    def _unpack_from(self, pipe: "_Pipe", diff_id: Digest, descriptor: Descriptor) -> Path:
        return self._store.unpack_layer(diff_id, pipe.path, descriptor)

    def _copy(
        self,
        descriptor: Descriptor,
        file: BinaryIO,
        read: Callable[[int], Iterator[bytes]],
        pipe: "_Pipe | None",
    ) -> Digest:
        """What is there already, then what comes; to the file, to the digest, to who unpacks."""
        state = hashlib.new(descriptor.digest.algorithm)
        file.seek(0)
        start = 0
        while piece := file.read(_CHUNK):
            state.update(piece)
            start += len(piece)
            if pipe is not None:
                pipe.write(piece)
        total = start
        for piece in read(start) if start < descriptor.size else ():
            total += len(piece)
            if total > descriptor.size:
                raise DigestError(f"expected {descriptor.size} bytes of {descriptor.digest}, found more")
            _write_all(file, piece)
            state.update(piece)
            if pipe is not None:
                pipe.write(piece)
        if total != descriptor.size:
            raise DigestError(f"expected {descriptor.size} bytes of {descriptor.digest}, found {total}")
        return Digest(f"{descriptor.digest.algorithm}:{state.hexdigest()}")


class _Pipe:
    """A named pipe to a child that unpacks; the child may be done, or need nothing, before all was written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # Both ends: so that opening it waits for nobody, and what is written stays until the child opens it.
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._unpacking: Background[Path] | None = None
        self._is_used = False
        with suppress(OSError):
            fcntl.fcntl(self._descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    def start(self, unpack: Callable[[], Path]) -> "Background[Path]":
        """Unpack from the pipe, beside what follows."""
        self._unpacking = Background(unpack)
        return self._unpacking

    def write(self, piece: bytes) -> None:
        """Hand bytes on; dropped where nobody wants them any more."""
        self._is_used = True
        view = memoryview(piece)
        while view and not self._is_over():
            try:
                view = view[os.write(self._descriptor, view) :]
            except BlockingIOError:
                select.select([], [self._descriptor], [], _WAIT_S)

    def finish(self) -> None:
        """Wait until the child has taken everything, then let it see the end.

        Not before: a child that had yet to open the pipe would wait for somebody who writes for ever.
        """
        while not self._is_over() and self._waiting():
            time.sleep(_PAUSE_S)  # a pipe doesn't tell when it's empty
        self._close()

    def close(self) -> None:
        """End it, whatever came; the child's failure is nobody's business then."""
        try:
            if self._descriptor >= 0:
                if not self._is_used:
                    self.write(b"\0")  # no archive, but something to be read: so we see that the child is there
                self.finish()
        finally:
            self._close()
            if self._unpacking is not None:
                self._unpacking.join()
            self.path.unlink(missing_ok=True)

    def _is_over(self) -> bool:
        return self._unpacking is None or self._unpacking.is_done

    def _waiting(self) -> int:
        """Bytes in the pipe. Source: ioctl_list(2), FIONREAD."""
        buffer = fcntl.ioctl(self._descriptor, termios.FIONREAD, b"\0\0\0\0")
        return int(struct.unpack("=i", buffer)[0])

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _write_all(file: BinaryIO, piece: bytes) -> None:
    view = memoryview(piece)
    try:
        while view:
            view = view[file.write(view) :]
    except OSError as error:
        raise ImageError(f"expected room for what is downloaded, found: {error.strerror}") from error
