"""Bytes of netlink, held against what a kernel (6.18, x86_64) sent and took."""

import errno
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest

from airdock.networks.links import mac_of, read_address, read_link, read_route
from airdock.networks.netlink import (
    Message,
    Netlink,
    attribute,
    be32,
    nested,
    number,
    read_attributes,
    read_messages,
    text,
)
from airdock.networks.nftables import ACCEPT, DROP, MASQUERADE, Chain, Rule, batch

LINK = bytes.fromhex(
    "00000100020000000310000000000000090003006e6574310000000008000d00e80300000800040078050000"
    "0a00010002ad0ad0000100000a000200ffffffffffff000014001200"
    "0b00010062726964676500000400020000"
)
ADDRESS = bytes.fromhex(
    "0216800002000000080001000ad00001080002000ad00001080004000ad003ff090003006e65743100000000"
    "080008008000000014000600ffffffffffffffff392f1a00392f1a00"
)
ROUTE = bytes.fromhex("02160000fe02fd011000000008000f00fe000000080001000ad00000080007000ad000010800040002000000")
LOCAL_ROUTE = bytes.fromhex("02200000ff02fe020000000008000f00ff000000080001000ad00001080007000ad000010800040002000000")
REFUSAL = bytes.fromhex(
    "3c0000000200000308000000d152bceda1ffffff3c00000010000506080000000000000018000100"
    "556e6b6e6f776e20646576696365207479706500"
)
"""To a link of an unknown kind: -EOPNOTSUPP, with a sentence."""
MASQUERADE_RULE = bytes.fromhex(
    "020000000c000100616972646f636b0010000200706f7374726f7574696e67001801048024000180090001006d657461000000001400"
    "0280080002000000000708000100000000013800018008000100636d70002c0002800800010000000001080002000000000018000380"
    "1400010075706c696e6b00000000000000000000340001800c0001007061796c6f616400240002800800010000000001080002000000"
    "0001080003000000000c0800040000000004440001800c00010062697477697365003400028008000100000000010800020000000001"
    "08000300000000040c00048008000100fffffc000c00058008000100000000002c00018008000100636d700020000280080001000000"
    "000108000200000000000c000380080001000ad0000014000180090001006d6173710000000004000280"
)


def test_an_interface_is_read_from_what_the_kernel_says() -> None:
    link = read_link(LINK)
    assert (link.index, link.name, link.kind, link.up, link.mtu) == (2, "net1", "bridge", True, 1400)
    assert link.mac == mac_of(IPv4Address("10.208.0.1")) == "02:ad:0a:d0:00:01"


def test_addresses_and_routes_are_read_and_those_of_other_tables_left_out() -> None:
    assert read_address(ADDRESS) == IPv4Interface("10.208.0.1/22")
    assert read_route(ROUTE) == IPv4Network("10.208.0.0/22")
    assert read_route(LOCAL_ROUTE) is None


def test_a_message_comes_back_as_it_was() -> None:
    messages = [Message(kind=16, flags=5, serial=7, body=b"abcde"), Message(kind=3, body=b"")]
    found = list(read_messages(b"".join(message.pack() for message in messages)))
    assert [(one.kind, one.flags, one.serial, one.body) for one in found] == [(16, 5, 7, b"abcde"), (3, 0, 0, b"")]


def test_attributes_are_padded_nested_and_in_the_order_of_bytes_that_they_need() -> None:
    data = text(3, "net1") + number(4, 1400) + be32(5, 1) + nested(18, text(1, "veth"), attribute(2, b""))
    found = read_attributes(data)
    assert len(data) % 4 == 0
    assert found[3] == b"net1\0"
    assert (int.from_bytes(found[4], "little"), int.from_bytes(found[5], "big")) == (1400, 1)
    assert read_attributes(found[18]) == {1: b"veth\0", 2: b""}


@pytest.mark.parametrize("cut", [1, 3, 5, 17, 30])
def test_what_is_cut_short_is_left_out(cut: int) -> None:
    read_attributes(LINK[16:-cut])
    assert list(read_messages(REFUSAL[:-cut])) == []


def test_a_rule_is_the_bytes_that_the_kernel_took() -> None:
    rule = Rule(verdict=MASQUERADE, goes_out="uplink", source=IPv4Network("10.208.0.0/22"))
    messages = list(batch("airdock", [Chain(hook="postrouting", rules=[rule])]))
    assert messages[-2].body == MASQUERADE_RULE


def test_a_table_is_replaced_in_one_batch_that_begins_and_ends() -> None:
    rules = [Rule(verdict=ACCEPT, comes_in="net1", goes_out="!net2", is_answer=True), Rule(verdict=DROP)]
    kinds = [message.kind for message in batch("airdock", [Chain(hook="forward", rules=rules)])]
    table, gone, chain, rule = (10 << 8 | number for number in (0, 2, 3, 6))
    assert kinds == [0x10, table, gone, table, chain, rule, rule, 0x11]


def test_a_refusal_is_raised_with_the_kernels_own_words() -> None:
    with Netlink(0) as netlink, pytest.raises(OSError, match=r".") as caught:
        netlink.ask(17, b"\0" * 16 + text(3, "no-such-link"))  # RTM_DELLINK
    assert caught.value.errno in {errno.ENODEV, errno.EPERM}
