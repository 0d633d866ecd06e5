"""Network interfaces, addresses and routes over rtnetlink(7). Source: linux/if_link.h, linux/if_addr.h."""

import contextlib
import ipaddress
import socket
import struct
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Final

from airdock.networks.netlink import CREATE, EXCLUSIVE, Netlink, attribute, nested, number, read_attributes, text
from airdock.record import record

__all__ = ["Link", "Links", "mac_of", "read_address", "read_link", "read_route"]

_ROUTE_FAMILY: Final = 0
_NEW_LINK, _DELETE_LINK, _GET_LINK, _SET_LINK = 16, 17, 18, 19
_NEW_ADDRESS, _GET_ADDRESS = 20, 22
_NEW_ROUTE, _GET_ROUTE = 24, 26
_GROUP_ADDRESSES, _GROUP_ROUTES = 0x10, 0x40

_LINK: Final = struct.Struct("=BxHiII")
_ADDRESS: Final = struct.Struct("=BBBBI")
_ROUTE: Final = struct.Struct("=BBBBBBBBI")

_IF_MAC, _IF_NAME, _IF_MTU, _IF_MASTER, _IF_INFO, _IF_ALIAS, _IF_GROUP, _IF_NETNS_FD = 1, 3, 4, 10, 18, 20, 27, 28
_INFO_KIND, _INFO_DATA, _INFO_PORT_KIND, _INFO_PORT_DATA = 1, 2, 4, 5
_VETH_PEER: Final = 1
_PORT_ISOLATED: Final = 33
_ADDRESS_PEER, _ADDRESS_LOCAL, _ADDRESS_BROADCAST = 1, 2, 4
_ROUTE_TARGET, _ROUTE_OUT, _ROUTE_GATEWAY = 1, 4, 5
_MAIN_TABLE, _STATIC, _UNIVERSE, _UNICAST = 254, 4, 0, 1
_UP: Final = 1
_DOOMED: Final = 77
"""The group of interfaces that are about to be removed."""


@record
class Link:
    """An interface. `master` is the index of the bridge that it is a port of, or 0."""

    index: int
    name: str
    kind: str = ""
    master: int = 0
    alias: str = ""
    up: bool = False
    mac: str = ""
    mtu: int = 0


class Links:
    """Interfaces of the network namespace in which it was made, and is used; a context manager. Each method raises
    OSError.

    With `notices` its descriptor is readable when addresses or routes have changed.
    """

    def __init__(self, *, notices: bool = False) -> None:
        self._netlink = Netlink(_ROUTE_FAMILY, groups=_GROUP_ADDRESSES | _GROUP_ROUTES if notices else 0)

    def __enter__(self) -> "Links":
        return self

    def __exit__(self, *_: object) -> None:
        self._netlink.close()

    def fileno(self) -> int:
        return self._netlink.fileno()

    def drain(self) -> None:
        self._netlink.drain()

    def list(self) -> list[Link]:
        found = self._netlink.dump(_GET_LINK, _LINK.pack(0, 0, 0, 0, 0))
        return [read_link(message.body) for message in found if message.kind == _NEW_LINK]

    def index(self, name: str) -> int:
        """The number of an interface."""
        return socket.if_nametoindex(name)

    def add_bridge(self, name: str, *, mac: str, mtu: int = 0) -> None:
        """A bridge that is up. Its address stays, whatever ports it gets: neighbours needn't learn it anew."""
        body = _LINK.pack(0, 0, 0, _UP, _UP) + text(_IF_NAME, name) + attribute(_IF_MAC, _mac_bytes(mac))
        body += number(_IF_MTU, mtu) if mtu else b""
        self._netlink.ask(_NEW_LINK, body + nested(_IF_INFO, text(_INFO_KIND, "bridge")), CREATE | EXCLUSIVE)

    def add_veth(
        self, name: str, *, peer: str, peer_netns: int, peer_mac: str = "", master: int = 0, mtu: int = 0
    ) -> None:
        """A pair of interfaces: `name` here, a port of `master` and up; `peer`, down, in the other namespace."""
        size = number(_IF_MTU, mtu) if mtu else b""
        other = _LINK.pack(0, 0, 0, 0, 0) + text(_IF_NAME, peer) + number(_IF_NETNS_FD, peer_netns) + size
        other += attribute(_IF_MAC, _mac_bytes(peer_mac)) if peer_mac else b""
        body = _LINK.pack(0, 0, 0, _UP, _UP) + text(_IF_NAME, name) + size
        body += number(_IF_MASTER, master) if master else b""
        data = nested(_INFO_DATA, attribute(_VETH_PEER, other))
        self._netlink.ask(_NEW_LINK, body + nested(_IF_INFO, text(_INFO_KIND, "veth"), data), CREATE | EXCLUSIVE)

    def isolate(self, index: int) -> None:
        """Let a bridge's port reach only ports that aren't isolated, such as the bridge itself."""
        data = nested(_INFO_PORT_DATA, attribute(_PORT_ISOLATED, b"\1"))
        body = _LINK.pack(0, 0, index, 0, 0) + nested(_IF_INFO, text(_INFO_PORT_KIND, "bridge"), data)
        self._netlink.ask(_NEW_LINK, body)

    def bring_up(self, index: int) -> None:
        self._netlink.ask(_SET_LINK, _LINK.pack(0, 0, index, _UP, _UP))

    def delete(self, name: str) -> None:
        """Remove an interface, and with it the other end of a pair. Harmless when it is gone."""
        try:
            self._netlink.ask(_DELETE_LINK, _LINK.pack(0, 0, 0, 0, 0) + text(_IF_NAME, name))
        except OSError as error:
            if error.errno != 19:  # ENODEV
                raise

    def delete_all(self, names: Iterable[str]) -> None:
        """Remove interfaces in one step: the kernel waits long for each step, not for each interface."""
        group = number(_IF_GROUP, _DOOMED)
        for name in names:
            with contextlib.suppress(OSError):  # it went with its other end
                self._netlink.ask(_SET_LINK, _LINK.pack(0, 0, 0, 0, 0) + text(_IF_NAME, name) + group)
        with contextlib.suppress(OSError):
            self._netlink.ask(_DELETE_LINK, _LINK.pack(0, 0, 0, 0, 0) + group)

    def add_address(self, index: int, address: IPv4Interface) -> None:
        body = _ADDRESS.pack(socket.AF_INET, address.network.prefixlen, 0, 0, index)
        body += attribute(_ADDRESS_LOCAL, address.ip.packed) + attribute(_ADDRESS_PEER, address.ip.packed)
        if address.network.prefixlen < 31:
            body += attribute(_ADDRESS_BROADCAST, address.network.broadcast_address.packed)
        self._netlink.ask(_NEW_ADDRESS, body, CREATE | EXCLUSIVE)

    def add_default_route(self, gateway: IPv4Address) -> None:
        body = _ROUTE.pack(socket.AF_INET, 0, 0, 0, _MAIN_TABLE, _STATIC, _UNIVERSE, _UNICAST, 0)
        self._netlink.ask(_NEW_ROUTE, body + attribute(_ROUTE_GATEWAY, gateway.packed), CREATE | EXCLUSIVE)

    def routes(self) -> Sequence[IPv4Network]:
        """What the main table leads to, the default route included."""
        found = self._netlink.dump(_GET_ROUTE, _ROUTE.pack(socket.AF_INET, 0, 0, 0, 0, 0, 0, 0, 0))
        return [network for message in found if (network := read_route(message.body)) is not None]

    def mtu_out(self) -> int:
        """The size of packets on the way of the default route; 0 where there is none."""
        found = self._netlink.dump(_GET_ROUTE, _ROUTE.pack(socket.AF_INET, 0, 0, 0, 0, 0, 0, 0, 0))
        ways = [
            int.from_bytes(read_attributes(message.body[_ROUTE.size :]).get(_ROUTE_OUT, b""), "little")
            for message in found
            if (network := read_route(message.body)) is not None and network.prefixlen == 0
        ]
        return next((link.mtu for link in self.list() if link.index in ways), 0)

    def addresses(self) -> Sequence[IPv4Interface]:
        found = self._netlink.dump(_GET_ADDRESS, _ADDRESS.pack(socket.AF_INET, 0, 0, 0, 0))
        return [read_address(message.body) for message in found]


def read_link(body: bytes) -> Link:
    """An interface from RTM_NEWLINK."""
    _, _, index, flags, _ = _LINK.unpack_from(body)
    given = read_attributes(body[_LINK.size :])
    info = read_attributes(given.get(_IF_INFO, b""))
    return Link(
        index=index,
        name=_string(given.get(_IF_NAME, b"")),
        kind=_string(info.get(_INFO_KIND, b"")),
        master=int.from_bytes(given.get(_IF_MASTER, b""), "little"),
        alias=_string(given.get(_IF_ALIAS, b"")),
        up=bool(flags & _UP),
        mac=given.get(_IF_MAC, b"").hex(":"),
        mtu=int.from_bytes(given.get(_IF_MTU, b""), "little"),
    )


def read_route(body: bytes) -> IPv4Network | None:
    """Where a route of the main table leads, from RTM_NEWROUTE; None for those of other tables."""
    _, prefix, _, _, table, _, _, _, _ = _ROUTE.unpack_from(body)
    target = read_attributes(body[_ROUTE.size :]).get(_ROUTE_TARGET, b"\0\0\0\0")
    return IPv4Network((target, prefix)) if table == _MAIN_TABLE else None


def read_address(body: bytes) -> IPv4Interface:
    """An address from RTM_NEWADDR."""
    _, prefix, _, _, _ = _ADDRESS.unpack_from(body)
    given = read_attributes(body[_ADDRESS.size :])
    return ipaddress.IPv4Interface((given.get(_ADDRESS_LOCAL) or given[_ADDRESS_PEER], prefix))


def mac_of(address: IPv4Address) -> str:
    """The hardware address for an IP address: the same for the same one, so that no neighbour remembers a stale one."""
    return (b"\x02\xad" + address.packed).hex(":")


def _mac_bytes(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def _string(value: bytes) -> str:
    return value.rstrip(b"\0").decode(errors="replace")
