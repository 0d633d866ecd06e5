"""Carries what comes in at published ports to a container, and the answers back.

One process for each container that publishes ports, forked by the router. The sockets that wait are the machine's
(`listeners`), the connections to the container are made where it can be reached: so a published port passes the
machine's own firewall like any other service, and loopback works. TCP is spliced, so its bytes stay in the kernel.
"""

import contextlib
import errno
import fcntl
import os
import select
import socket
import struct
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

__all__ = ["Forwarder"]

_PIPE_BYTES: Final = 1 << 18
_DATAGRAM_BYTES: Final = 1 << 16
_UDP_IDLE_S: Final = 90.0
_MOST_UDP_CLIENTS: Final = 1024
_IP_PKTINFO, _IPV6_RECVPKTINFO, _IPV6_PKTINFO = 8, 49, 50
_BROKEN: Final = select.EPOLLERR | select.EPOLLHUP
_RESET: Final = struct.pack("ii", 1, 0)
"""Lingering for no time: closing then is a reset, which tells a client what a refusal would have."""
_FLAGS: Final = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK


class Forwarder:
    """The loop. `add` each listener, then `run`, which comes back when `line` has something to say, such as its end."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._flows: dict[tuple[int, Any], _Flow] = {}
        self._connections: set[_Connection] = set()

    def add(self, listener: socket.socket, target: tuple[str, int]) -> None:
        """Carry what comes in at a listener to `target`, an address and a port of the container."""
        if listener.type == socket.SOCK_STREAM:
            self.watch(listener.fileno(), select.EPOLLIN, lambda _: self._accept(listener, target))
            return
        if listener.family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
        listener.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        self.watch(listener.fileno(), select.EPOLLIN, lambda _: self._receive(listener, target))

    def run(self, line: int) -> None:
        """Carry until `line` is readable."""
        self._poll.register(line, select.EPOLLIN)
        while True:
            events = self._poll.poll(_UDP_IDLE_S if self._flows else None)
            for descriptor, what in events:
                if descriptor == line:
                    return
                if handler := self._handlers.get(descriptor):
                    handler(what)
            self._forget_idle()

    def close(self) -> None:
        """Let go of what is on its way; the listeners stay the caller's."""
        for key in list(self._flows):
            self._forget(key)
        for connection in list(self._connections):
            connection.close()
        self._poll.close()

    def watch(self, descriptor: int, events: int, handler: Callable[[int], None]) -> None:
        self._poll.register(descriptor, events)
        self._handlers[descriptor] = handler

    def change(self, descriptor: int, events: int) -> None:
        self._poll.modify(descriptor, events)

    def unwatch(self, descriptor: int) -> None:
        if self._handlers.pop(descriptor, None) is not None:
            self._poll.unregister(descriptor)

    def _accept(self, listener: socket.socket, target: tuple[str, int]) -> None:
        try:
            client, _ = listener.accept()
        except OSError as error:
            if error.errno in {errno.EMFILE, errno.ENFILE}:
                time.sleep(0.05)  # the caller waits in the kernel's queue until somebody leaves
            return
        try:
            connection = _Connection(self, client, target, self._connections.discard)
        except OSError:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            client.close()
            return
        self._connections.add(connection)

    def _receive(self, listener: socket.socket, target: tuple[str, int]) -> None:
        try:
            data, ancillary, _, client = listener.recvmsg(_DATAGRAM_BYTES, 128)
        except OSError:
            return  # an answer of ours could not be delivered
        key = (listener.fileno(), client)
        flow = self._flows.get(key)
        if flow is None:
            if len(self._flows) >= _MOST_UDP_CLIENTS:
                self._forget(min(self._flows, key=lambda known: self._flows[known].used))
            try:
                flow = self._flows[key] = _Flow(self, listener, client, _way_back(ancillary), target)
            except OSError:
                return
        flow.send(data)

    def _forget_idle(self) -> None:
        limit = time.monotonic() - _UDP_IDLE_S
        for key in [key for key, flow in self._flows.items() if flow.used < limit]:
            self._forget(key)

    def _forget(self, key: tuple[int, Any]) -> None:
        self._flows.pop(key).close()


def _way_back(ancillary: Sequence[tuple[int, int, bytes]]) -> list[tuple[int, int, bytes]]:
    """What sends an answer from the address that was asked: ip(7), ipv6(7), PKTINFO without the interface."""
    back = []
    for level, kind, data in ancillary:
        if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
            back.append((level, kind, bytes(4) + data[4:8] + bytes(4)))
        elif (level, kind) == (socket.IPPROTO_IPV6, _IPV6_PKTINFO):
            back.append((level, kind, data[:16] + bytes(4)))
    return back[:1]


class _Flow:
    """What one client sends to one UDP port, and what comes back to it."""

    def __init__(
        self,
        forwarder: Forwarder,
        listener: socket.socket,
        client: Any,
        back: list[tuple[int, int, bytes]],
        target: tuple[str, int],
    ) -> None:
        self._forwarder = forwarder
        self._listener = listener
        self._client = client
        self._back = back
        self.used = time.monotonic()
        self._inner = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._inner.connect(target)
        forwarder.watch(self._inner.fileno(), select.EPOLLIN, lambda _: self._answer())

    def send(self, data: bytes) -> None:
        self.used = time.monotonic()
        with contextlib.suppress(OSError):  # lost, as datagrams may be
            self._inner.send(data)

    def _answer(self) -> None:
        self.used = time.monotonic()
        with contextlib.suppress(OSError):
            data = self._inner.recv(_DATAGRAM_BYTES)
            self._listener.sendmsg([data], self._back, 0, self._client)

    def close(self) -> None:
        self._forwarder.unwatch(self._inner.fileno())
        self._inner.close()


class _Way:
    """One direction of a connection: from a socket through a pipe to the other."""

    def __init__(self, source: socket.socket, target: socket.socket) -> None:
        self.source, self.target = source, target
        self.pipe_out, self.pipe_in = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        with contextlib.suppress(OSError):  # an account may have so much in pipes and no more
            fcntl.fcntl(self.pipe_in, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self.held = 0
        self.ended = False
        self.closed = False

    def carry(self) -> None:
        """Move what can be moved now. Raises OSError when a side broke off."""
        while not self.closed:
            moved = self._fill() + self._drain()
            if self.ended and not self.held:
                self.closed = True
                self.target.shutdown(socket.SHUT_WR)
            elif not moved:
                return

    def _fill(self) -> int:
        if self.ended or self.held:
            return 0
        try:
            count = os.splice(self.source.fileno(), self.pipe_in, _PIPE_BYTES, flags=_FLAGS)
        except BlockingIOError:
            return 0
        self.ended = count == 0
        self.held += count
        return count

    def _drain(self) -> int:
        if not self.held:
            return 0
        try:
            count = os.splice(self.pipe_out, self.target.fileno(), self.held, flags=_FLAGS)
        except BlockingIOError:
            return 0
        self.held -= count
        return count

    def close(self) -> None:
        os.close(self.pipe_in)
        os.close(self.pipe_out)


class _Connection:
    """A client's connection and the one made for it to the container. Closes itself, and then tells `ended`."""

    def __init__(
        self,
        forwarder: Forwarder,
        client: socket.socket,
        target: tuple[str, int],
        ended: Callable[["_Connection"], None],
    ) -> None:
        self._ended = ended
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._forwarder = forwarder
        self._client = client
        self._inner = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._inner.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._ways: tuple[_Way, ...] = ()
        self._events: dict[int, int] = {}
        code = self._inner.connect_ex(target)
        if code not in (0, errno.EINPROGRESS):
            self._inner.close()
            raise OSError(code, os.strerror(code))
        forwarder.watch(self._inner.fileno(), select.EPOLLOUT, lambda _: self._connected())

    def _connected(self) -> None:
        self._forwarder.unwatch(self._inner.fileno())
        if self._inner.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._reset()
            return
        self._ways = (_Way(self._client, self._inner), _Way(self._inner, self._client))
        for sock in (self._client, self._inner):
            self._events[sock.fileno()] = select.EPOLLIN
            self._forwarder.watch(sock.fileno(), select.EPOLLIN, self._carry)

    def _reset(self) -> None:
        """Nobody listens inside: the client is told by a reset, as if it had asked there."""
        self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.close()

    def _carry(self, events: int) -> None:
        try:
            for way in self._ways:
                way.carry()
        except OSError:
            self.close()
            return
        if all(way.closed for way in self._ways) or events & _BROKEN == _BROKEN:
            self.close()
            return
        for way in self._ways:
            self._want(way)

    def _want(self, way: _Way) -> None:
        """Wait for what this direction and the opposite need of its source: data, or room."""
        opposite = self._ways[0] if way is self._ways[1] else self._ways[1]
        events = 0 if way.ended or way.held else select.EPOLLIN
        events |= select.EPOLLOUT if opposite.held else 0
        number = way.source.fileno()
        if self._events[number] != events:
            self._events[number] = events
            self._forwarder.change(number, events)

    def close(self) -> None:
        self._ended(self)
        for sock in (self._client, self._inner):
            self._forwarder.unwatch(sock.fileno())
            sock.close()
        for way in self._ways:
            way.close()
