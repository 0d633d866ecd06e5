"""Messages to the kernel over netlink sockets: netlink(7), as bytes and as requests that are answered.

A message is a header, a fixed structure of its kind, and attributes: (length, kind, payload), padded to four bytes. A
nested attribute's payload is attributes again. Source: linux/netlink.h, linux/rtnetlink.h.
"""

import os
import socket
import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Self

from airdock.record import record

__all__ = [
    "ACK",
    "CREATE",
    "DUMP",
    "EXCLUSIVE",
    "REQUEST",
    "Message",
    "Netlink",
    "attribute",
    "be32",
    "nested",
    "number",
    "read_attributes",
    "read_messages",
    "text",
]

REQUEST: Final = 1
ACK: Final = 4
EXCLUSIVE: Final = 0x200
CREATE: Final = 0x400
DUMP: Final = 0x300

_HEADER: Final = struct.Struct("=IHHII")
_ATTRIBUTE: Final = struct.Struct("=HH")
_NESTED: Final = 0x8000
_KIND_MASK: Final = 0x3FFF
_ERROR, _DONE = 2, 3
_SOL_NETLINK, _EXT_ACK, _CAP_ACK = 270, 11, 10
_MESSAGE_OF_ERROR: Final = 1  # NLMSGERR_ATTR_MSG
_ROOM: Final = 1 << 17


@record
class Message:
    """One message: `body` is the fixed structure and the attributes."""

    kind: int
    body: bytes
    flags: int = 0
    serial: int = 0

    def pack(self) -> bytes:
        header = _HEADER.pack(_HEADER.size + len(self.body), self.kind, self.flags, self.serial, 0)
        return header + self.body + _padding(len(self.body))


def attribute(kind: int, payload: bytes) -> bytes:
    """An attribute as bytes."""
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(payload), kind) + payload + _padding(len(payload))


def nested(kind: int, *attributes: bytes) -> bytes:
    """An attribute made of attributes."""
    return attribute(kind | _NESTED, b"".join(attributes))


def text(kind: int, value: str) -> bytes:
    """An attribute with a string that ends in a zero byte."""
    return attribute(kind, value.encode() + b"\0")


def number(kind: int, value: int) -> bytes:
    """An attribute with a 32-bit number in the machine's order, as rtnetlink has them."""
    return attribute(kind, struct.pack("=I", value & 0xFFFFFFFF))


def be32(kind: int, value: int) -> bytes:
    """An attribute with a 32-bit number in network order, as netfilter has them."""
    return attribute(kind, struct.pack(">I", value & 0xFFFFFFFF))


def read_attributes(data: bytes) -> dict[int, bytes]:
    """Attributes by kind; of several of one kind the last. What is cut short is left out."""
    found: dict[int, bytes] = {}
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        if not _ATTRIBUTE.size <= length <= len(data):
            break
        found[kind & _KIND_MASK] = data[_ATTRIBUTE.size : length]
        data = data[length + len(_padding(length)) :]
    return found


def read_messages(data: bytes) -> Iterator[Message]:
    """The messages of a datagram, without what is cut short."""
    while len(data) >= _HEADER.size:
        length, kind, flags, serial, _ = _HEADER.unpack_from(data)
        if not _HEADER.size <= length <= len(data):
            return
        yield Message(kind=kind, flags=flags, serial=serial, body=data[_HEADER.size : length])
        data = data[length + len(_padding(length)) :]


def _padding(length: int) -> bytes:
    return b"\0" * (-length % 4)


class Netlink:
    """A socket to one family of the kernel's, in the network namespace in which it was opened; a context manager."""

    def __init__(self, family: int, *, groups: int = 0) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, family)
        self._socket.bind((0, groups))
        for option in (_EXT_ACK, _CAP_ACK):
            self._socket.setsockopt(_SOL_NETLINK, option, 1)
        self._serial = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def drain(self) -> None:
        """Forget the notices that have come in."""
        try:
            while self._socket.recv(_ROOM, socket.MSG_DONTWAIT):
                pass
        except BlockingIOError:
            pass

    def ask(self, kind: int, body: bytes, flags: int = 0) -> None:
        """Have something done. Raises OSError with what the kernel has to say about it."""
        self.ask_all([Message(kind=kind, flags=REQUEST | ACK | flags, body=body)])

    def dump(self, kind: int, body: bytes) -> list[Message]:
        """Every object of a kind."""
        self._serial += 1
        self._socket.send(Message(kind=kind, flags=REQUEST | DUMP, serial=self._serial, body=body).pack())
        found: list[Message] = []
        while True:
            for message in read_messages(self._socket.recv(_ROOM)):
                if message.serial != self._serial:
                    continue
                if message.kind in (_DONE, _ERROR):
                    _check(message)
                    return found
                found.append(message)

    def ask_all(self, messages: Iterable[Message]) -> None:
        """Send messages as one datagram and wait until each that asks for it is acknowledged. Raises OSError."""
        waiting: dict[int, Message] = {}
        data = b""
        for message in messages:
            self._serial += 1
            if message.flags & ACK:
                waiting[self._serial] = message
            data += Message(kind=message.kind, flags=message.flags, serial=self._serial, body=message.body).pack()
        self._socket.send(data)
        error: OSError | None = None
        while waiting:
            for answer in read_messages(self._socket.recv(_ROOM)):
                known = answer.kind == _ERROR and waiting.pop(answer.serial, None) is not None
                try:
                    if answer.kind == _ERROR:
                        _check(answer)
                except OSError as failure:
                    error = error or failure
                    if not known:  # it is about the batch as a whole, and nothing else will come
                        raise
        if error:
            raise error


def _check(message: Message) -> None:
    """Raise what an answer says went wrong."""
    (code,) = struct.unpack_from("=i", message.body)
    if code < 0:
        notes = _notes(message)
        said = notes.get(_MESSAGE_OF_ERROR, b"").rstrip(b"\0").decode(errors="replace")
        raise OSError(-code, said or os.strerror(-code), "netlink")


def _notes(message: Message) -> Mapping[int, bytes]:
    """What the kernel adds to an error, behind its number and the header of what it is about."""
    return read_attributes(message.body[4 + _HEADER.size :]) if message.kind == _ERROR else {}
