"""Which addresses networks and their containers get. Pure.

Networks lie behind a router of our own (`router`), so their addresses are nobody else's business. They only must not
be those of places that containers want to reach: whatever this machine has routes to.
"""

import ipaddress
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network
from typing import Final

from airdock.errors import NetworkError

__all__ = ["NETWORK_PREFIX", "UPLINK_PREFIX", "Addresses", "choose_subnet", "parse_gateway", "parse_subnet"]

NETWORK_PREFIX: Final = 22
"""1,021 containers: a bridge of the kernel has room for 1,024 (linux/net/bridge/br_private.h, BR_PORT_BITS)."""

UPLINK_PREFIX: Final = 24
"""slirp4netns takes nothing smaller than /25."""

_POOLS: Final = tuple(map(IPv4Network, ("10.208.0.0/12", "172.20.0.0/14", "192.168.128.0/17", "100.96.0.0/12")))
_ANYWHERE: Final = IPv4Network("0.0.0.0/0")
_LEAST_PREFIX, _MOST_PREFIX = 8, 30


def choose_subnet(taken: Iterable[IPv4Network], prefix: int = NETWORK_PREFIX, *, late: bool = False) -> IPv4Network:
    """The first private network of that size that clashes with none of those taken; a default route takes nothing.

    `late` is for those chosen when they are used: they begin elsewhere, not to clash with what is chosen beforehand.
    Raises NetworkError when all are taken.
    """
    used = [network for network in taken if network != _ANYWHERE]
    for pool in (*_POOLS[1:], _POOLS[0]) if late else _POOLS:
        rest = [network for network in used if network.overlaps(pool)]
        for candidate in pool.subnets(new_prefix=prefix):
            if not any(candidate.overlaps(network) for network in rest):
                return candidate
    raise NetworkError(
        "expected a free private network, found all of them taken by routes of this machine and by networks",
        hint="airdock network prune, or airdock network create NAME --subnet …",
    )


def parse_subnet(text: str) -> IPv4Network:
    """The network of `--subnet`. Raises NetworkError."""
    try:
        network = IPv4Network(text)
    except ValueError as error:
        raise NetworkError(
            f"expected a network such as 10.5.0.0/24, found {text!r}: {error}", where="--subnet"
        ) from error
    if not _LEAST_PREFIX <= network.prefixlen <= _MOST_PREFIX:
        raise NetworkError(f"expected a network between /8 and /30, found {text}", where="--subnet")
    return network


def parse_gateway(text: str, subnet: IPv4Network) -> IPv4Address:
    """The address of `--gateway`, the first of the network where none is given. Raises NetworkError."""
    if not text:
        return subnet[1]
    try:
        gateway = IPv4Address(text)
    except ValueError as error:
        raise NetworkError(f"expected an address such as {subnet[1]}, found {text!r}", where="--gateway") from error
    if gateway not in subnet or gateway in (subnet.network_address, subnet.broadcast_address):
        raise NetworkError(f"expected an address in {subnet}, found {gateway}", where="--gateway")
    return gateway


class Addresses:
    """The addresses of one network that are given out. They go round, so that one just given back rests a while."""

    def __init__(self, subnet: IPv4Network, gateway: IPv4Address) -> None:
        self._subnet = subnet
        self._reserved = {subnet.network_address, gateway, subnet.broadcast_address}
        self._given: set[IPv4Address] = set()
        self._next = 1

    def take(self, wanted: str = "") -> IPv4Address:
        """An address that is free, or the one wanted. Raises NetworkError."""
        if wanted:
            return self._take_this(wanted)
        count = self._subnet.num_addresses
        for step in range(count):
            address = self._subnet[(self._next + step) % count]
            if address not in self._reserved and address not in self._given:
                self._next = (self._next + step + 1) % count
                self._given.add(address)
                return address
        raise NetworkError(f"expected a free address in {self._subnet}, found all {len(self._given)} given out")

    def give_back(self, address: IPv4Address) -> None:
        """Harmless for one that wasn't given out."""
        self._given.discard(address)

    def _take_this(self, wanted: str) -> IPv4Address:
        try:
            address = ipaddress.IPv4Address(wanted)
        except ValueError as error:
            raise NetworkError(f"expected an address in {self._subnet}, found {wanted!r}", where="--ip") from error
        if address not in self._subnet or address in self._reserved:
            raise NetworkError(f"expected an address for containers in {self._subnet}, found {address}", where="--ip")
        if address in self._given:
            raise NetworkError(f"expected an address that is free, found {address} on another container", where="--ip")
        self._given.add(address)
        return address
