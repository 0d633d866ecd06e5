"""What a launcher and its clients say to each other: frames of JSON over Unix sockets, errors included.

A client opens a session for each request: one end of a fresh stream socket goes to the launcher over the control
socket, together with the request's file descriptors. Frames are 4 bytes of length (big-endian) and UTF-8 JSON.

    request   {"op": "run", "bundle": …}      + stdin, stdout, stderr
              {"op": "call", "function": "package.module:name", "arguments": {…}}
              {"op": "remove", "folder": …, "keep_upper": …}
              {"op": "signal", "number": …}   on the session of a running container; no answer
    answers   {"started": {…}} (+ the terminal), {"ended": {…}}, {"value": …}, {"error": {…}}

The launcher closes a session after its last answer. A session that closes without one means that the launcher died.
"""

import array
import json
import os
import socket
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final

from airdock import errors
from airdock.errors import AirdockError, ContainerError
from airdock.runtime.refusal import RefusedError

__all__ = ["FrameReader", "dump_error", "load_error", "pack", "receive_descriptors", "send_with_descriptors"]

_LENGTH: Final = struct.Struct(">I")
_MOST_DESCRIPTORS: Final = 253  # the kernel's limit for one message


def pack(message: Mapping[str, Any]) -> bytes:
    body = json.dumps(message, separators=(",", ":")).encode()
    return _LENGTH.pack(len(body)) + body


class FrameReader:
    """Collects bytes of a stream socket until a frame is whole, and the descriptors that came along."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = bytearray()
        self.descriptors: list[int] = []
        self.closed = False

    def receive(self, flags: int = 0) -> None:
        """Read once what is there; `closed` is set at the end of the stream."""
        try:
            data, descriptors = receive_descriptors(self._sock, 1 << 18, flags)
        except (BlockingIOError, InterruptedError):
            return
        except ConnectionError:
            data, descriptors = b"", []
        self.descriptors += descriptors
        self._buffer += data
        self.closed = self.closed or not data

    def close(self) -> None:
        """Close the socket; what was received stays."""
        self._sock.close()

    def next(self) -> dict[str, Any] | None:
        """The next whole frame, or None."""
        if len(self._buffer) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._buffer)
        end = _LENGTH.size + length
        if len(self._buffer) < end:
            return None
        message: dict[str, Any] = json.loads(self._buffer[_LENGTH.size : end])
        del self._buffer[:end]
        return message


def send_with_descriptors(sock: socket.socket, data: bytes, descriptors: Sequence[int], flags: int = 0) -> int:
    """One sendmsg(2) with SCM_RIGHTS; gives how many bytes went."""
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    return sock.sendmsg([data], ancillary, flags)


def receive_descriptors(sock: socket.socket, size: int, flags: int = 0) -> tuple[bytes, list[int]]:
    """One recvmsg(2); descriptors arrive close-on-exec."""
    room = socket.CMSG_SPACE(_MOST_DESCRIPTORS * 4)
    data, ancillary, _, _ = sock.recvmsg(size, room, flags | socket.MSG_CMSG_CLOEXEC)
    found = array.array("i")
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            found.frombytes(content[: len(content) - len(content) % found.itemsize])
    return data, list(found)


def dump_error(error: BaseException) -> dict[str, Any]:
    """An error as JSON for `load_error`."""
    if isinstance(error, AirdockError):
        return {**error.to_dict(), "kind": "airdock"}
    if isinstance(error, RefusedError):
        return {"kind": "refused", "errno": error.number, "step": error.step, "detail": error.detail}
    if isinstance(error, OSError) and error.errno is not None:
        return {"kind": "os", "errno": error.errno, "file": str(error.filename) if error.filename else None}
    return {"kind": "other", "message": f"{type(error).__name__}: {error}"}


def load_error(value: Mapping[str, Any]) -> Exception:
    """The error that `dump_error` wrote down: what is Airdock's or the system's comes back as what it was."""
    if value["kind"] == "refused":
        return RefusedError(value["errno"], value["step"], value["detail"])
    if value["kind"] == "os":
        return OSError(value["errno"], os.strerror(value["errno"]), value["file"])
    if value["kind"] == "other":
        return ContainerError(value["message"])
    kind = getattr(errors, value["error"], ContainerError)
    extra: dict[str, Any] = {}
    if kind is errors.StepFailedError:
        extra = {"command_exit": int(value["command_exit"]), "output": value["output"]}
    error: Exception = kind(value["message"], where=value["where"], hint=value["hint"], **extra)
    return error
