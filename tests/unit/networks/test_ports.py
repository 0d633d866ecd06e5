"""Ports as Docker writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airdock.errors import NetworkError
from airdock.networks.base import Port
from airdock.networks.ports import parse_exposed, parse_published, publish_exposed, render_port


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("80", [("", 0, 0, 80, "tcp")]),
        ("8080:80", [("", 8080, 0, 80, "tcp")]),
        (":80", [("", 0, 0, 80, "tcp")]),
        ("0:80", [("", 0, 0, 80, "tcp")]),
        ("127.0.0.1:8080:80", [("127.0.0.1", 8080, 0, 80, "tcp")]),
        ("127.0.0.1::80", [("127.0.0.1", 0, 0, 80, "tcp")]),
        ("[::1]:8080:80/TCP", [("::1", 8080, 0, 80, "tcp")]),
        ("8000-8001:80-81/udp", [("", 8000, 0, 80, "udp"), ("", 8001, 0, 81, "udp")]),
        ("8000-8010:80", [("", 8000, 8010, 80, "tcp")]),
        ("80-81", [("", 0, 0, 80, "tcp"), ("", 0, 0, 81, "tcp")]),
    ],
)
def test_what_is_published(text: str, expected: list[tuple[str, int, int, int, str]]) -> None:
    found = parse_published(text)
    assert [(p.host_ip, p.host_port, p.host_last, p.container_port, p.protocol) for p in found] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "[IP:][HOSTPORT:]CONTAINERPORT"),
        ("http", "ports as numbers"),
        ("80/sctp", "tcp or udp"),
        ("80:", "CONTAINERPORT"),
        ("1.2.3:80:80", "an IP address of this machine"),
        ("70000", "between 1 and 65535"),
        ("81-80", "the lower first"),
        ("8000-8001:80-82", "as many ports of the machine as of the container"),
        ("::1:80:80", "CONTAINERPORT"),
        ("0x50:80", "ports as numbers"),
        ("٣:80", "ports as numbers"),
    ],
)
def test_what_is_no_port_is_refused(text: str, expected: str) -> None:
    with pytest.raises(NetworkError) as caught:
        parse_published(text)
    assert expected in caught.value.message
    assert repr(text) in caught.value.message


@given(st.text(alphabet="0123456789:.-/[]tcpud ", max_size=30))
def test_any_text_is_ports_or_our_own_error(text: str) -> None:
    try:
        ports = parse_published(text)
    except NetworkError:
        return
    assert ports
    assert all(1 <= port.container_port <= 65535 and 0 <= port.host_port <= 65535 for port in ports)


def test_exposed_ports_are_published_unless_they_are_already() -> None:
    assert parse_exposed("7000-7001/udp") == ((7000, "udp"), (7001, "udp"))
    published = [Port(container_port=80, host_port=8080)]
    assert publish_exposed(["80", "80/udp", "443", "443/tcp"], published) == (
        Port(container_port=80, protocol="udp"),
        Port(container_port=443),
    )


def test_ports_are_shown_as_docker_shows_them() -> None:
    assert render_port(Port(container_port=80, host_port=8080)) == "0.0.0.0:8080->80/tcp"
    assert render_port(Port(container_port=53, host_port=53, host_ip="::1", protocol="udp")) == "[::1]:53->53/udp"
