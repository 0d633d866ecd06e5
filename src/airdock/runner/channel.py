"""The channel between supervisor and runner: frames of JSON over a Unix socket, read and written without blocking.

Each frame is a length of 4 bytes, most significant first, and that many bytes of UTF-8 JSON: an object with a "type".

    runner → supervisor    hello, request, user_code, user_ended, result
    supervisor → runner    start, response
"""

import itertools
import json
import os
import socket
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from airdock.errors import RunnerError

__all__ = ["FRAME_LIMIT", "SOCKET_NAME", "VERSION", "Channel", "FrameReader", "encode", "open_listener"]

VERSION: Final = 1
FRAME_LIMIT: Final = 64 * 1024 * 1024
"""Bytes of JSON in one frame, at most."""
SOCKET_NAME: Final = "channel.sock"

_LENGTH: Final = struct.Struct(">I")
_CHUNK: Final = 256 * 1024


def encode(message: Mapping[str, Any]) -> bytes:
    """The frame of `message`. RunnerError if it is above the limit."""
    body = json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
    if len(body) > FRAME_LIMIT:
        raise RunnerError(
            f"expected a message of at most {FRAME_LIMIT} bytes, found {len(body)}",
            hint="pass large values as files in /workspace",
        )
    return _LENGTH.pack(len(body)) + body


class FrameReader:
    """Cuts a stream of bytes into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """The messages that `data` completes. RunnerError for what isn't a frame; nothing more can be read then."""
        self._buffer += data
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if length > FRAME_LIMIT:
                raise RunnerError(f"expected a message of at most {FRAME_LIMIT} bytes, found {length}")
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            yield _decode(body)


def _decode(body: bytes) -> dict[str, Any]:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RunnerError(f"expected a JSON message, found {body[:60]!r}") from error
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise RunnerError(f"expected a JSON object with a type, found {body[:60]!r}")
    return message


class Channel:
    """One connection to a runner. Belongs to one thread; whoever made it closes it."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._socket = connection
        self._frames = FrameReader()
        self._unsent = bytearray()
        self.is_open = True

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def has_unsent(self) -> bool:
        """Whether `flush` has to be called once the socket is writable."""
        return bool(self._unsent)

    def receive(self, *, reads: int | None = None) -> Iterator[dict[str, Any]]:
        """The messages that have arrived, until there is nothing more to read for now, or it was read so often.

        `is_open` is false once the other end has closed. RunnerError for what isn't a message.
        """
        for _ in itertools.count() if reads is None else range(reads):
            if not self.is_open:
                return
            try:
                data = self._socket.recv(_CHUNK)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self.is_open = False
                return
            yield from self._frames.feed(data)

    def send(self, message: Mapping[str, Any]) -> None:
        """Send as much as fits now and keep the rest for `flush`. What nobody reads any more is dropped."""
        self._unsent += encode(message)
        self.flush()

    def flush(self) -> None:
        """Send on what didn't fit before."""
        while self._unsent:
            try:
                sent = self._socket.send(memoryview(self._unsent)[:_CHUNK])
            except BlockingIOError:
                return
            except OSError:
                self._unsent.clear()
                return
            del self._unsent[:sent]

    def close(self) -> None:
        self.is_open = False
        self._socket.close()


def open_listener(folder: Path) -> socket.socket:
    """A listening socket at `folder`/channel.sock that every id in the container may connect to.

    The address goes through the folder's descriptor: the kernel takes at most 107 bytes of it, and folders may be
    deeper than that.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        listener.bind(f"/proc/self/fd/{descriptor}/{SOCKET_NAME}")
        (folder / SOCKET_NAME).chmod(0o666)
        listener.listen(1)
    except BaseException:
        listener.close()
        raise
    finally:
        os.close(descriptor)
    return listener
