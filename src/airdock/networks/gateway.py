"""Where a router stands: its namespaces, its way out, and what it knows of the machine around it."""

import os
import socket
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network
from pathlib import Path
from typing import Final, Self

from airdock.errors import NetworkError
from airdock.networks.addresses import UPLINK_PREFIX, choose_subnet
from airdock.networks.hosts import nameservers_of, read_text, render_resolv
from airdock.networks.links import Links
from airdock.networks.namespaces import open_own, write_settings
from airdock.networks.uplink import NatUplink, ProgramUplink, Uplink, choose_program
from airdock.runtime.idmaps import enter_own_namespace
from airdock.runtime.machine import is_real_root
from airdock.runtime.refusal import RefusedError
from airdock.runtime.syscalls import CLONE_NEWNET, Syscalls

__all__ = ["Gateway"]

_RESOLV: Final = ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf")
_FORWARDING: Final = {"net/ipv4/ip_forward": ("1",), "net/ipv6/conf/all/disable_ipv6": ("1",)}
_DEFAULT_MTU: Final = 1500


class Gateway:
    """Made by `enter`, which changes the process for good: call it in the router only.

    `home` is the router's network namespace, `user_namespace` the path of its user namespace or nothing for root;
    `taken` are the networks that are in use on the machine or promised, `host_address` is where it is reached itself.
    """

    def __init__(
        self, *, taken: Sequence[IPv4Network], routes: Sequence[IPv4Network], host_address: str, uplink: Uplink | None
    ) -> None:
        self.taken = list(taken)
        self._routes = list(routes)
        self.host_address = host_address
        self.user_namespace = ""
        self.home = -1
        self.mtu = uplink.mtu if uplink else _DEFAULT_MTU
        self._uplink = uplink
        self._missing: NetworkError | None = None
        self._is_open = False
        self._notes: list[str] = []

    @property
    def uplink_name(self) -> str:
        """How containers get out; nothing where none of them may, or before one had to."""
        return self._uplink.name if self._uplink and self._is_open else ""

    @classmethod
    def enter(cls, folder: Path, *, uplink: str, avoid: Sequence[IPv4Network] = ()) -> Self:
        """Go into namespaces of our own. Raises NetworkError, RefusedError, OSError where this machine forbids it."""
        calls = Syscalls()
        with Links() as links:
            routes = links.routes()
            mtu = links.mtu_out() or _DEFAULT_MTU
        root = is_real_root()
        missing, way = None, None
        try:
            way = _choose(calls, uplink, root=root, mtu=mtu, avoid=[*routes, *avoid], folder=folder)
        except NetworkError as error:  # networks without a way out need none
            missing = error
        gateway = cls(taken=[*routes, *avoid], routes=routes, host_address=_host_address(), uplink=way)
        gateway._missing = missing
        if not root:
            try:
                enter_own_namespace(
                    calls, uid=os.geteuid(), gid=os.getegid(), subuid="/etc/subuid", subgid="/etc/subgid"
                )
            except OSError as error:
                raise RefusedError(error.errno, "user namespace") from error
            calls.show_memory()  # launchers and the uplink's program go by our /proc
            gateway.user_namespace = f"/proc/{os.getpid()}/ns/user"
        calls.unshare(CLONE_NEWNET)
        calls.loopback_up()
        write_settings(_FORWARDING)
        gateway.home = open_own()
        return gateway

    def open(self) -> None:
        """Have a way out. Raises NetworkError."""
        if self._is_open:
            return
        if self._uplink is None:
            raise self._missing or NetworkError("there is no way out of this network")
        try:
            self._uplink.start(self.home)
        except OSError as error:
            raise NetworkError(f"the way out by {self._uplink.name} could not be made: {error.strerror}") from error
        self._is_open = True
        self.taken.append(self._uplink.subnet)
        self._routes.append(self._uplink.subnet)
        self._notes += self._uplink.notes

    def close(self) -> None:
        """Have no way out any more."""
        if self._is_open and self._uplink is not None:
            self._uplink.stop()

    def clash(self, subnet: IPv4Network) -> IPv4Network | None:
        """What containers of such a network could not reach, because they would look for it among themselves."""
        return next((route for route in self._routes if route.prefixlen and route.overlaps(subnet)), None)

    def take_notes(self) -> list[str]:
        """What whoever came first should hear; told once."""
        notes, self._notes = self._notes, []
        return notes

    def render_resolv(self, *, servers: Sequence[str], settings: Mapping[str, Sequence[str]], has_way_out: bool) -> str:
        """A container's /etc/resolv.conf: the servers asked for, else those of the machine that can be reached."""
        if not has_way_out:
            return ""
        texts = [text for path in _RESOLV if (text := read_text(path))]
        own = self._uplink.nameserver if self._uplink else ""
        servers = servers or ([own] if own else []) or _reachable(texts)
        if not servers:
            self._notes.append("names can't be looked up: this machine's name servers are on its loopback; give --dns")
        return render_resolv(texts[0] if texts else "", servers=servers, settings=settings)


def _choose(
    calls: Syscalls, wanted: str, *, root: bool, mtu: int, avoid: Sequence[IPv4Network], folder: Path
) -> Uplink:
    if root and wanted in ("auto", "nat"):
        return NatUplink(calls, host=open_own(), mtu=mtu, avoid=avoid)
    program, path = choose_program(wanted)
    subnet = choose_subnet(avoid, UPLINK_PREFIX, late=True)
    return ProgramUplink(program=program, path=path, subnet=subnet, log=folder / "uplink.log")


def _reachable(texts: Sequence[str]) -> list[str]:
    """The nameservers of the first file that has any which aren't on the machine's loopback."""
    for text in texts:
        servers = [server for server in nameservers_of(text) if not server.startswith("127.") and server != "::1"]
        if servers:
            return servers
    return []


def _host_address() -> str:
    """The address from which this machine reaches others: where containers find it, too."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            return ""
        return str(sock.getsockname()[0])
