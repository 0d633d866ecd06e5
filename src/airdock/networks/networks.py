"""The networks of one home: made, listed, removed, and joined by containers.

AIRDOCK_HOME/networks/NAME.json            a network that was made by `network create`
AIRDOCK_HOME/run/containers/ID/hosts       the files of names of a container that is attached
AIRDOCK_HOME/run/containers/ID/resolv.conf
"""

from collections.abc import Sequence
from pathlib import Path

from airdock.errors import NetworkError, UnknownNetworkError
from airdock.networks.base import BUILT_IN, Joined, Port, parse_mode

__all__ = ["Networks"]


class Networks:
    """`folder` keeps the definitions, `run` is the home's folder of what runs.

    A container holds its place on a network for as long as the process that attached it lives, or until `detach`.
    """

    def __init__(self, *, folder: Path, run: Path) -> None:
        self._folder = folder
        self._run = run

    def attach(
        self,
        *,
        container_id: str,
        mode: str = "host",
        hostname: str = "",
        name: str = "",
        aliases: Sequence[str] = (),
        ports: Sequence[Port] = (),
        dns: Sequence[str] = (),
        extra_hosts: Sequence[str] = (),
    ) -> Joined:
        """Give a container its place before it starts; the same again when it has one. Raises NetworkError."""
        mode = parse_mode(mode)
        if mode not in BUILT_IN:
            raise UnknownNetworkError(f"expected a network, found none named {mode}", hint="airdock network ls")
        if mode == "private":
            raise NetworkError("private networks can't be had yet")
        return Joined(mode=mode, namespace=None if mode == "host" else {"type": "network"})

    def detach(self, container_id: str) -> None:
        """Take a container off its networks. Harmless when it is on none."""
