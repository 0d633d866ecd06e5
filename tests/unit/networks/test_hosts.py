"""Files of names."""

import pytest

from airdock.errors import NetworkError
from airdock.networks.hosts import nameservers_of, parse_extra_host, render_hosts, render_resolv


def test_hosts_have_loopback_then_names_then_what_was_added() -> None:
    text = render_hosts([("10.0.0.2", ("web", "www")), ("10.0.0.3", ())], extra=[("db", "192.0.2.7")])
    assert text.splitlines() == [
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "10.0.0.2\tweb www",
        "192.0.2.7\tdb",
    ]


def test_hosts_of_the_machine_are_kept_in_front() -> None:
    assert render_hosts([], base="127.0.0.1 here\n\n", extra=[("db", "::1")]) == "127.0.0.1 here\n::1\tdb\n"


def test_resolv_keeps_search_and_options_but_not_servers() -> None:
    text = "# made by hand\nnameserver 127.0.0.53\nnameserver 192.0.2.1 \nsearch example.com\noptions ndots:2\n"
    assert nameservers_of(text) == ["127.0.0.53", "192.0.2.1"]
    assert render_resolv(text, servers=["192.0.2.9"]) == ("nameserver 192.0.2.9\nsearch example.com\noptions ndots:2\n")
    assert "search lan" in render_resolv(text, servers=[], settings={"search": ["lan"]})


def test_search_and_options_that_are_asked_for_replace_the_machines() -> None:
    text = "domain corp\nsearch example.com\noptions ndots:2\n"
    asked = {"search": ["a.test", "b.test"], "options": ["ndots:1"]}
    assert render_resolv(text, servers=[], settings=asked) == "search a.test b.test\noptions ndots:1\n"
    assert render_resolv(text, servers=[], settings={"search": ["."]}) == "options ndots:2\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("db:10.0.0.7", ("db", "10.0.0.7")),
        ("db=10.0.0.7", ("db", "10.0.0.7")),
        ("db:::1", ("db", "::1")),
        ("db:[fd00::7]", ("db", "fd00::7")),
        ("me:host-gateway", ("me", "host-gateway")),
    ],
)
def test_one_more_host(text: str, expected: tuple[str, str]) -> None:
    assert parse_extra_host(text) == expected


@pytest.mark.parametrize("text", ["db", "db:", ":1.2.3.4", "a b:1.2.3.4", "db:1.2.3.4\n6.6.6.6 bank", "db:nowhere"])
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(NetworkError):
        parse_extra_host(text)
