"""Rules of the kernel's packet filter over nfnetlink, as far as networks of containers need them.

A table that is made here belongs to the socket that made it: the kernel lets nobody else change it, and removes it
when the socket closes, however its process ended (Linux 5.12). Source: linux/netfilter/nf_tables.h.
"""

import socket
import struct
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network
from typing import Final

from airdock.errors import NetworkError
from airdock.networks.netlink import (
    ACK,
    CREATE,
    REQUEST,
    Message,
    Netlink,
    attribute,
    be32,
    nested,
    read_attributes,
    text,
)
from airdock.record import record

__all__ = ["ACCEPT", "DROP", "MASQUERADE", "Chain", "Filter", "Rule", "batch", "dropping_chains"]

_NETFILTER: Final = 12
_SUBSYSTEM: Final = 10
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_NEW_TABLE, _NEW_CHAIN, _NEW_RULE = (_SUBSYSTEM << 8 | number for number in (0, 3, 6))
_GET_CHAIN: Final = _SUBSYSTEM << 8 | 4
_FORWARD_HOOK: Final = struct.pack(">I", 2)
_APPEND: Final = 0x800
_OWNED: Final = 2
_REGISTER: Final = 1
_META_IN, _META_OUT = 6, 7
_EQUAL, _DIFFERENT = 0, 1
_NETWORK_HEADER, _SOURCE_OFFSET = 1, 12
_ESTABLISHED_OR_RELATED: Final = 2 | 4

ACCEPT, DROP, MASQUERADE = "accept", "drop", "masquerade"
_HOOKS: Final = {"forward": 2, "postrouting": 4}


@record
class Rule:
    """One rule: all that is given must hold for `verdict` to follow. An interface with "!" in front is any other."""

    verdict: str
    comes_in: str = ""
    goes_out: str = ""
    source: IPv4Network | None = None
    is_answer: bool = False

    def pack(self) -> bytes:
        """Its expressions, as the attribute NFTA_RULE_EXPRESSIONS."""
        found = [
            *(_interface(_META_IN, self.comes_in) if self.comes_in else ()),
            *(_interface(_META_OUT, self.goes_out) if self.goes_out else ()),
            *(_source(self.source) if self.source else ()),
            *(_answers() if self.is_answer else ()),
            _verdict(self.verdict),
        ]
        return nested(4, *(nested(1, one) for one in found))


@record
class Chain:
    """The rules at one hook, "forward" or "postrouting"; what none of them decides is accepted by us."""

    hook: str
    rules: Sequence[Rule]

    def pack(self, table: str) -> bytes:
        kind, priority = ("nat", 100) if self.hook == "postrouting" else ("filter", 0)
        return (
            text(1, table)
            + text(3, self.hook)
            + nested(4, be32(1, _HOOKS[self.hook]), be32(2, priority))
            + be32(5, 1)
            + text(7, kind)
        )


class Filter:
    """A table of our own in the network namespace in which this was made, for as long as it isn't closed.

    Raises NetworkError where the kernel has no nf_tables, or lacks a part of it.
    """

    def __init__(self, table: str) -> None:
        self._table = table
        try:
            self._netlink = Netlink(_NETFILTER)
        except OSError as error:
            raise _missing(error) from error

    def close(self) -> None:
        self._netlink.close()

    def set(self, chains: Sequence[Chain]) -> None:
        """Have these chains and no others, in one step."""
        try:
            self._netlink.ask_all(batch(self._table, chains))
        except OSError as error:
            raise _missing(error) from error


def _missing(error: OSError) -> NetworkError:
    return NetworkError(
        f"expected the kernel to have nf_tables with NAT, found: {error.strerror}",
        hint="sudo modprobe -a nf_tables nft_masq nft_chain_nat nft_ct; or --network host",
    )


def batch(table: str, chains: Sequence[Chain]) -> Iterable[Message]:
    """The messages that replace a table: it is made if need be, emptied and filled."""
    yield _bare(_BATCH_BEGIN)
    # Made, so that removing it can't fail; removed, so that nothing of before is left.
    named = text(1, table)
    owned = named + be32(2, _OWNED)
    yield _message(_NEW_TABLE, owned, CREATE)
    yield _message(_SUBSYSTEM << 8 | 2, named, 0)
    yield _message(_NEW_TABLE, owned, CREATE)
    for chain in chains:
        yield _message(_NEW_CHAIN, chain.pack(table), CREATE)
        for rule in chain.rules:
            yield _message(_NEW_RULE, named + text(2, chain.hook) + rule.pack(), CREATE | _APPEND)
    yield _bare(_BATCH_END)


def dropping_chains() -> list[str]:
    """Chains of others in this namespace that drop what none of their rules lets be forwarded, in words.

    A packet must pass every chain, so ours can't let through what one of them drops. Empty where it can't be seen.
    """
    try:
        with Netlink(_NETFILTER) as netlink:
            found = [read_attributes(message.body[4:]) for message in netlink.dump(_GET_CHAIN, bytes(4))]
    except OSError:
        return []
    return [
        f"chain {_string(chain[3])} of table {_string(chain[1])}"
        for chain in found
        if chain.get(5) == bytes(4) and read_attributes(chain.get(4, b"")).get(1) == _FORWARD_HOOK
    ]


def _string(value: bytes) -> str:
    return value.rstrip(b"\0").decode(errors="replace")


def _bare(kind: int) -> Message:
    return Message(kind=kind, flags=REQUEST, body=struct.pack(">BBH", 0, 0, _SUBSYSTEM))


def _message(kind: int, attributes: bytes, flags: int) -> Message:
    return Message(kind=kind, flags=REQUEST | ACK | flags, body=struct.pack(">BBH", socket.AF_INET, 0, 0) + attributes)


def _expression(name: str, *attributes: bytes) -> bytes:
    return text(1, name) + nested(2, *attributes)


def _compare(value: bytes, operation: int) -> bytes:
    return _expression("cmp", be32(1, _REGISTER), be32(2, operation), nested(3, attribute(1, value)))


def _interface(key: int, name: str) -> tuple[bytes, bytes]:
    operation, name = (_DIFFERENT, name[1:]) if name.startswith("!") else (_EQUAL, name)
    return _expression("meta", be32(2, key), be32(1, _REGISTER)), _compare(name.encode().ljust(16, b"\0"), operation)


def _mask(mask: bytes) -> bytes:
    width = be32(3, len(mask))
    zero = nested(5, attribute(1, bytes(len(mask))))
    return _expression("bitwise", be32(1, _REGISTER), be32(2, _REGISTER), width, nested(4, attribute(1, mask)), zero)


def _source(network: IPv4Network) -> tuple[bytes, bytes, bytes]:
    load = _expression("payload", be32(1, _REGISTER), be32(2, _NETWORK_HEADER), be32(3, _SOURCE_OFFSET), be32(4, 4))
    return load, _mask(network.netmask.packed), _compare(network.network_address.packed, _EQUAL)


def _answers() -> tuple[bytes, bytes, bytes]:
    """Packets of a conversation that was let through when it began."""
    state = struct.pack("=I", _ESTABLISHED_OR_RELATED)
    return _expression("ct", be32(2, 0), be32(1, _REGISTER)), _mask(state), _compare(bytes(4), _DIFFERENT)


def _verdict(verdict: str) -> bytes:
    if verdict == MASQUERADE:
        return _expression("masq")
    code = be32(1, 1 if verdict == ACCEPT else 0)
    return _expression("immediate", be32(1, 0), nested(2, nested(2, code)))
