"""Whoever is connected to a monitor: what each asked for, and what each is told."""

import selectors
import socket
from collections.abc import Callable, Mapping
from typing import Any, Final

from airdock.containers.frames import Frames

__all__ = ["Client", "Clients"]

_MOST_WAITING: Final = 256 * 1024


class Client:
    """One connection. `mode` is "attach", "follow", "wait" or "stop" once it has asked for it, and nothing before.

    `sends_input` is whether what it types goes in; `is_last` whether the input ends when it leaves.
    """

    def __init__(self, frames: Frames) -> None:
        self.frames = frames
        self.mode = ""
        self.sends_input = False
        self.is_last = False

    def answer(self, value: Mapping[str, Any]) -> None:
        self.frames.send(b"A", {"value": value})


class Clients:
    """All connections of one monitor. `heard` is called with each frame, `left` when a client is gone."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        heard: Callable[[Client, bytes, bytes], None],
        left: Callable[[Client], None],
        crowded: Callable[[bool], None],
    ) -> None:
        self._selector = selector
        self._heard = heard
        self._left = left
        self._crowded = crowded
        self._clients: list[Client] = []
        self._is_crowded = False

    def add(self, sock: socket.socket) -> Client:
        sock.setblocking(False)
        client = Client(Frames(sock))
        self._clients.append(client)
        self._selector.register(sock, selectors.EVENT_READ, lambda: self._turn(client))
        return client

    def print(self, kind: bytes, printed: bytes) -> None:
        """Hand on what was printed, or that the log has grown."""
        mode = "follow" if kind == b"L" else "attach"
        for client in list(self._clients):
            if client.mode == mode and (kind != b"L" or not client.frames.waiting_bytes):
                client.frames.send(kind, printed)
                self._watch(client)
        self._weigh()

    def end(self, modes: tuple[str, ...], news: Mapping[str, Any]) -> None:
        """Tell those who waited for it how the container ended, and let them go."""
        for client in [client for client in self._clients if client.mode in modes]:
            client.frames.sock.setblocking(True)
            client.frames.sock.settimeout(5)  # who doesn't read is not waited for
            client.frames.send(b"X", dict(news))
            self._drop(client)
        self._weigh()

    def close(self) -> None:
        for client in list(self._clients):
            self._drop(client)

    def _turn(self, client: Client) -> None:
        client.frames.flush()
        client.frames.receive()
        for kind, content in client.frames.take():
            if client in self._clients:
                self._heard(client, kind, content)
        if client.frames.closed and client in self._clients:
            self._left(client)
            self._drop(client)
        elif client in self._clients:
            self._watch(client)
        self._weigh()

    def _watch(self, client: Client) -> None:
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.frames.waiting_bytes else 0)
        if self._selector.get_key(client.frames).events != events:
            self._selector.modify(client.frames, events, lambda: self._turn(client))

    def _weigh(self) -> None:
        is_crowded = any(client.frames.waiting_bytes > _MOST_WAITING for client in self._clients)
        if is_crowded != self._is_crowded:
            self._is_crowded = is_crowded
            self._crowded(is_crowded)

    def _drop(self, client: Client) -> None:
        if client in self._clients:
            self._clients.remove(client)
            self._selector.unregister(client.frames)
            client.frames.close()
