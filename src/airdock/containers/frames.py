"""What a monitor and those who talk to it say to each other: frames over a Unix stream socket.

A frame is a kind, four bytes of length (big-endian), and as many bytes.

    to the monitor     R  the request, JSON: the first frame         I  input      C  the end of input
                       W  rows and columns, JSON                     S  a signal's number
                       D  leaving; nothing is to end
    from the monitor   A  an answer, JSON: {"value": …} or {"error": …}
                       O  standard output    E  standard error       L  the log has grown
                       X  the container has ended, JSON: exit code, oom, …: the last frame
"""

import json
import os
import socket
import struct
from collections.abc import Iterator
from typing import Any, Final

from airdock.runtime.wire import receive_descriptors

__all__ = ["Frames", "dump_frame"]

_HEADER: Final = struct.Struct(">cI")
_READ_BYTES: Final = 64 * 1024


def dump_frame(kind: bytes, content: bytes | dict[str, Any] = b"") -> bytes:
    """One frame; an object becomes JSON."""
    body = content if isinstance(content, bytes) else json.dumps(content, separators=(",", ":")).encode()
    return _HEADER.pack(kind, len(body)) + body


class Frames:
    """Reads frames of a socket, and keeps what could not be sent at once. It owns the socket."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.closed = False
        self.descriptors: list[int] = []
        """What came along with frames; whoever takes one out owns it."""
        self._incoming = bytearray()
        self._outgoing = bytearray()

    def fileno(self) -> int:
        return self.sock.fileno()

    @property
    def waiting_bytes(self) -> int:
        """How much is still to be sent."""
        return len(self._outgoing)

    def receive(self) -> None:
        """Read once; `closed` is set at the end of the stream."""
        try:
            data, descriptors = receive_descriptors(self.sock, _READ_BYTES)
            self.descriptors += descriptors
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        self._incoming += data
        self.closed = self.closed or not data

    def take(self) -> Iterator[tuple[bytes, bytes]]:
        """The whole frames that are there: kind and content."""
        while len(self._incoming) >= _HEADER.size:
            kind, length = _HEADER.unpack_from(self._incoming)
            if len(self._incoming) < _HEADER.size + length:
                return
            content = bytes(self._incoming[_HEADER.size : _HEADER.size + length])
            del self._incoming[: _HEADER.size + length]
            yield kind, content

    def wait(self) -> tuple[bytes, bytes] | None:
        """The next frame of a blocking socket; None at the end of the stream."""
        while True:
            for frame in self.take():
                return frame
            if self.closed:
                return None
            self.receive()

    def send(self, kind: bytes, content: bytes | dict[str, Any] = b"") -> None:
        """Send a frame, or as much as the other side takes without waiting; the rest goes with `flush`."""
        self._outgoing += dump_frame(kind, content)
        self.flush()

    def flush(self) -> None:
        try:
            while self._outgoing:
                del self._outgoing[: self.sock.send(self._outgoing, socket.MSG_NOSIGNAL)]
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self._outgoing.clear()
            self.closed = True

    def close(self) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors.clear()
        self.sock.close()
