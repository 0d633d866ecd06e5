"""`RUN --mount=type=ssh`: the socket of an agent of keys, handed on into a build.

Agents look at who is at the other end, and refuse the ids of containers; so the build talks to a socket of its own, and
this process to the agent.
"""

import contextlib
import os
import selectors
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["forward_agent"]

_CHUNK: Final = 1 << 16
_BACKLOG: Final = 16


@contextlib.contextmanager
def forward_agent(path: Path, agent: str) -> Iterator[None]:
    """Have a socket at `path` that leads to the agent's while the block runs. Raises OSError where none listens."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.connect(agent)
    with socket.socket(socket.AF_UNIX) as listener:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # The address of a socket has room for 107 bytes only.
            listener.bind(f"/proc/self/fd/{folder}/{path.name}")
        finally:
            os.close(folder)
        listener.listen(_BACKLOG)
        stop, stopped = socket.socketpair()
        worker = threading.Thread(target=_serve, args=(listener, stopped, agent), name="ssh agent", daemon=True)
        worker.start()
        try:
            yield
        finally:
            stop.close()
            worker.join()
            stopped.close()
            path.unlink(missing_ok=True)


def _serve(listener: socket.socket, stopped: socket.socket, agent: str) -> None:
    """Pump between builds and the agent until the other end of `stopped` closes."""
    with selectors.DefaultSelector() as selector, contextlib.ExitStack() as connections:
        selector.register(listener, selectors.EVENT_READ)
        selector.register(stopped, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is stopped:
                    return
                if key.fileobj is listener:
                    _connect(selector, connections, listener, agent)
                else:
                    _pump(selector, key)


def _connect(
    selector: selectors.BaseSelector, connections: contextlib.ExitStack, listener: socket.socket, agent: str
) -> None:
    client = connections.enter_context(listener.accept()[0])
    server = connections.enter_context(socket.socket(socket.AF_UNIX))
    try:
        server.connect(agent)
    except OSError:
        client.close()
        return
    selector.register(client, selectors.EVENT_READ, server)
    selector.register(server, selectors.EVENT_READ, client)


def _pump(selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
    source, target = key.fileobj, key.data
    assert isinstance(source, socket.socket)
    if source.fileno() < 0:
        return  # its other half ended in the same turn
    try:
        data = source.recv(_CHUNK)
        target.sendall(data)
    except OSError:
        data = b""
    if not data:
        for end in (source, target):
            selector.unregister(end)
            end.close()
