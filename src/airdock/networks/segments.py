"""The networks that are in use, as the router has them: a bridge each, and a pair of interfaces for each container.

Everything here happens in the router's own namespace, so names of interfaces and rules clash with nobody's.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from airdock.errors import NetworkError
from airdock.networks.addresses import Addresses
from airdock.networks.definitions import Network
from airdock.networks.links import Links, mac_of
from airdock.networks.namespaces import within
from airdock.networks.nftables import ACCEPT, DROP, MASQUERADE, Chain, Filter, Rule
from airdock.networks.uplink import UPLINK
from airdock.record import record
from airdock.runtime.syscalls import Syscalls

__all__ = ["Endpoint", "Segment", "Segments", "chains"]


@record
class Endpoint:
    """A container on a network: `names` are those by which the others find it, `outside` is the bridge's port."""

    network: Network
    address: IPv4Address
    inside: str
    outside: str
    names: tuple[str, ...]


@dataclass(kw_only=True, slots=True)
class Segment:
    """A network in use. `endpoints` by container."""

    network: Network
    bridge: str
    index: int
    addresses: Addresses
    endpoints: dict[str, Endpoint] = field(default_factory=dict)


class Segments:
    """All networks of a router. `home` is its namespace, `mtu` the size of packets on every one of them."""

    def __init__(self, calls: Syscalls, *, home: int, mtu: int) -> None:
        self._calls = calls
        self._home = home
        self._mtu = mtu
        self._links = Links()
        self._filter: Filter | None = None
        self._serial = 0
        self._dead: list[str] = []
        self.all: dict[str, Segment] = {}

    def subnets(self) -> list[IPv4Network]:
        return [segment.network.subnet for segment in self.all.values()]

    def join(
        self, network: Network, *, container: str, namespace: int, inside: str, ip: str, names: Sequence[str]
    ) -> Endpoint:
        """Put a container on a network, as interface `inside` of its namespace. Raises NetworkError, OSError."""
        segment = self.all.get(network.name) or self._open(network)
        try:
            address = segment.addresses.take(ip)
            self._serial += 1
            endpoint = Endpoint(
                network=network, address=address, inside=inside, outside=f"port{self._serial}", names=tuple(names)
            )
            try:
                self._wire(segment, endpoint, namespace)
            except BaseException:
                segment.addresses.give_back(address)
                self._links.delete(endpoint.outside)
                raise
        except BaseException:
            self._close_empty(segment)
            raise
        segment.endpoints[container] = endpoint
        return endpoint

    def leave(self, container: str, name: str) -> None:
        """Take a container off a network; the last one closes it. Harmless when it isn't there."""
        segment = self.all.get(name)
        endpoint = segment.endpoints.pop(container, None) if segment else None
        if segment is None or endpoint is None:
            return
        self._dead.append(endpoint.outside)
        segment.addresses.give_back(endpoint.address)
        self._close_empty(segment)

    @property
    def is_unswept(self) -> bool:
        """Whether interfaces of containers that left are still there."""
        return bool(self._dead)

    def sweep(self) -> None:
        """Remove interfaces of containers that left: together, as the kernel takes as long for many as for one."""
        dead, self._dead = self._dead, []
        if dead:
            self._links.delete_all(dead)

    def _open(self, network: Network) -> Segment:
        clash = next((known for known in self.all.values() if known.network.subnet.overlaps(network.subnet)), None)
        if clash:
            raise NetworkError(
                f"expected {network.subnet} of network {network.name} to be free, found it clash with "
                f"{clash.network.name} ({clash.network.subnet}), which is in use",
                hint=f"airdock network rm {network.name} and create it again, or wait for {clash.network.name}",
            )
        self._serial += 1
        bridge = f"net{self._serial}"
        self._links.add_bridge(bridge, mac=mac_of(network.gateway), mtu=self._mtu)
        segment = Segment(
            network=network,
            bridge=bridge,
            index=self._links.index(bridge),
            addresses=Addresses(network.subnet, network.gateway),
        )
        self.all[network.name] = segment
        try:
            self._links.add_address(segment.index, IPv4Interface((network.gateway, network.subnet.prefixlen)))
            self._set_rules()
        except BaseException:
            self._close_empty(segment)
            raise
        return segment

    def _close_empty(self, segment: Segment) -> None:
        if segment.endpoints:
            return
        del self.all[segment.network.name]
        self._links.delete(segment.bridge)
        self._set_rules()

    def _wire(self, segment: Segment, endpoint: Endpoint, namespace: int) -> None:
        mac = mac_of(endpoint.address)
        try:
            self._links.add_veth(
                endpoint.outside,
                peer=endpoint.inside,
                peer_netns=namespace,
                peer_mac=mac,
                master=segment.index,
                mtu=self._mtu,
            )
        except OSError as error:
            if error.errno == 54:  # EXFULL
                raise NetworkError(
                    f"expected room on network {segment.network.name}, found {len(segment.endpoints)} containers on "
                    "it: the kernel's bridges take 1,023",
                    hint="airdock network create another",
                ) from error
            raise
        if segment.network.isolated:
            self._links.isolate(self._links.index(endpoint.outside))
        with within(self._calls, namespace, self._home), Links() as links:
            index = links.index(endpoint.inside)
            links.add_address(index, IPv4Interface((endpoint.address, segment.network.subnet.prefixlen)))
            links.bring_up(index)
            if not segment.network.internal and all(route.prefixlen for route in links.routes()):
                links.add_default_route(segment.network.gateway)

    def _set_rules(self) -> None:
        if self._filter is None:
            self._filter = Filter("airdock")
        self._filter.set(chains((segment.bridge, segment.network) for segment in self.all.values()))


def chains(bridges: Iterable[tuple[str, Network]]) -> list[Chain]:
    """The rules between networks: none reaches another, nothing comes in but answers; an internal one is closed."""
    forward, nat = [], []
    for bridge, network in bridges:
        forward.append(Rule(verdict=ACCEPT, comes_in=bridge, goes_out=bridge))
        if network.internal:
            forward.append(Rule(verdict=DROP, comes_in=bridge))
        else:
            forward.append(Rule(verdict=ACCEPT, goes_out=bridge, is_answer=True))
            nat.append(Rule(verdict=MASQUERADE, goes_out=UPLINK, source=network.subnet))
        forward.append(Rule(verdict=DROP, goes_out=bridge))
    return [Chain(hook="forward", rules=forward), Chain(hook="postrouting", rules=nat)]
