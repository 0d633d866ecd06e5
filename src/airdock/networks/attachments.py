"""The containers on a router's networks: their namespaces, files of names, and published ports."""

import contextlib
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn

from airdock.networks.base import Port
from airdock.networks.forward import Forwarder
from airdock.networks.hosts import HOST_GATEWAY, render_hosts
from airdock.networks.segments import Endpoint
from airdock.runtime.shed import close_others
from airdock.runtime.title import set_title

__all__ = ["HOSTS", "RESOLV", "Attachment", "start_forwarder", "write_in_place"]

HOSTS: Final = "hosts"
RESOLV: Final = "resolv.conf"


@dataclass(kw_only=True, slots=True)
class Attachment:
    """One container. `namespace` is held open until it leaves, `line` ends its forwarder when it closes.

    `own` are its names for itself, `extra` the lines of `--add-host`; `folder` is where its files of names are.
    """

    id: str
    name: str
    namespace: int
    folder: str
    own: tuple[str, ...]
    extra: tuple[tuple[str, str], ...]
    ports: tuple[Port, ...] = ()
    line: int = -1
    forwarder: int = 0
    endpoints: dict[str, Endpoint] = field(default_factory=dict)

    def addresses(self) -> dict[str, str]:
        return {name: str(endpoint.address) for name, endpoint in self.endpoints.items()}

    def to_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name,
            "addresses": self.addresses(),
            "names": {name: list(endpoint.names) for name, endpoint in self.endpoints.items()},
            "ports": [port.to_dict() for port in self.ports],
        }

    def render(self, neighbours: Mapping[str, Sequence[Endpoint]], gateway: str) -> str:
        """Its /etc/hosts; `neighbours` are the endpoints of others on each of its networks."""
        entries: list[tuple[str, Sequence[str]]] = [
            (str(endpoint.address), self.own) for endpoint in self.endpoints.values()
        ]
        for name in self.endpoints:
            entries += [(str(other.address), other.names) for other in neighbours.get(name, ())]
        extra = [(name, gateway if address == HOST_GATEWAY else address) for name, address in self.extra]
        return render_hosts(entries, extra=extra)

    def close(self) -> None:
        """Give back what it holds here; its namespace ends with its processes."""
        os.close(self.namespace)
        if self.line >= 0:
            os.close(self.line)
            os.kill(self.forwarder, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):  # the kernel buries it; waiting is what counts
                os.waitpid(self.forwarder, 0)


def write_in_place(path: Path, content: str) -> None:
    """Replace what is in a file that others have bound: it stays the same file. Harmless when its folder is gone."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    except FileNotFoundError:
        return
    try:
        data = content.encode()
        os.pwrite(descriptor, data, 0)
        os.ftruncate(descriptor, len(data))
    finally:
        os.close(descriptor)


def start_forwarder(listeners: Sequence[tuple[Port, int]], address: str) -> tuple[int, int]:
    """Fork what carries published ports to a container's address: (pid, the descriptor whose end ends it)."""
    reader, line = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        _forward(listeners, address, reader)
    os.close(reader)
    return pid, line


def _forward(listeners: Sequence[tuple[Port, int]], address: str, line: int) -> NoReturn:
    try:
        close_others([line, *(number for _, number in listeners)])
        set_title("airdock-forwarder")
        forwarder = Forwarder()
        for port, number in listeners:
            forwarder.add(socket.socket(fileno=number), (address, port.container_port))
        forwarder.run(line)
    finally:
        os._exit(0)
