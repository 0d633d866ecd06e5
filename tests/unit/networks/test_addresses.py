"""Which networks and addresses are chosen."""

from ipaddress import IPv4Address, IPv4Network

import pytest

from airdock.errors import NetworkError
from airdock.networks.addresses import Addresses, choose_subnet, parse_gateway, parse_subnet


def test_a_subnet_clashes_with_no_route_and_a_default_route_takes_nothing() -> None:
    everything = IPv4Network("0.0.0.0/0")
    first = choose_subnet([everything])
    assert first == IPv4Network("10.208.0.0/22")
    assert choose_subnet([everything, first]) == IPv4Network("10.208.4.0/22")
    assert choose_subnet([IPv4Network("10.0.0.0/8")]).network_address not in IPv4Network("10.0.0.0/8")
    assert not choose_subnet([], late=True).overlaps(IPv4Network("10.208.0.0/12"))


def test_when_all_are_taken_it_says_so() -> None:
    halves = [IPv4Network("0.0.0.0/1"), IPv4Network("128.0.0.0/1")]
    with pytest.raises(NetworkError, match="all of them taken"):
        choose_subnet(halves)


def test_addresses_are_given_once_go_round_and_run_out() -> None:
    addresses = Addresses(IPv4Network("10.9.0.0/29"), IPv4Address("10.9.0.1"))
    given = [addresses.take() for _ in range(5)]
    assert [str(address) for address in given] == [f"10.9.0.{number}" for number in (2, 3, 4, 5, 6)]
    with pytest.raises(NetworkError, match="all 5 given out"):
        addresses.take()
    addresses.give_back(given[3])
    addresses.give_back(given[0])
    assert addresses.take() == given[0]  # the one that has rested longest is 2 after 6
    assert addresses.take() == given[3]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [("10.9.0.1", "an address for containers"), ("10.9.0.7", "for containers"), ("10.8.0.2", "in 10.9.0.0/29"),
     ("ten", "an address in"), ("10.9.0.4", "on another container")],
)  # fmt: skip
def test_an_address_that_is_asked_for_must_be_free(wanted: str, expected: str) -> None:
    addresses = Addresses(IPv4Network("10.9.0.0/29"), IPv4Address("10.9.0.1"))
    assert addresses.take("10.9.0.4") == IPv4Address("10.9.0.4")
    with pytest.raises(NetworkError, match=expected):
        addresses.take(wanted)


@pytest.mark.parametrize("text", ["10.0.0.1/24", "10.0.0.0/31", "fd00::/64", "x", "0.0.0.0/0"])
def test_what_is_no_subnet_is_refused(text: str) -> None:
    with pytest.raises(NetworkError):
        parse_subnet(text)


def test_the_gateway_is_the_first_address_or_one_in_the_subnet() -> None:
    subnet = parse_subnet("10.5.0.0/24")
    assert parse_gateway("", subnet) == IPv4Address("10.5.0.1")
    assert parse_gateway("10.5.0.254", subnet) == IPv4Address("10.5.0.254")
    for wrong in ("10.6.0.1", "10.5.0.0", "10.5.0.255", "gate"):
        with pytest.raises(NetworkError):
            parse_gateway(wrong, subnet)
