"""Networks as files."""

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from airdock.errors import NetworkError, UnknownNetworkError
from airdock.networks.base import Joined, Port, parse_mode
from airdock.networks.definitions import Definitions, Network


def create(definitions: Definitions, name: str, **options: str) -> Network:
    return definitions.create(name, labels={"a": "b"}, created="now", routes=[IPv4Network("192.0.2.0/24")], **options)


def test_a_network_is_found_by_name_and_id_and_is_gone_once_removed(tmp_path: Path) -> None:
    definitions = Definitions(tmp_path / "networks")
    assert definitions.list() == []
    made = create(definitions, "app")
    assert definitions.find("app") == definitions.find(made.id[:6]) == made
    assert create(definitions, "other").subnet != made.subnet
    assert [network.name for network in definitions.list()] == ["app", "other"]
    definitions.remove("app")
    with pytest.raises(UnknownNetworkError, match="there are host, none, private, other"):
        definitions.find("app")


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("app", {}, "a name that isn't taken"),
        ("host", {}, "isn't a mode of its own"),
        ("bridge", {}, "isn't a mode of its own"),
        ("container:x", {}, "isn't a mode of its own"),
        ("../x", {}, "expected a network to be"),
        ("x", {"subnet": "192.0.2.128/25"}, "clash with a route of this machine"),
        ("x", {"subnet": "10.5.0.0/16"}, "clash with a network"),
        ("x", {"gateway": "10.5.0.1"}, "expected --subnet"),
    ],
)
def test_what_cannot_be_made_is_refused(tmp_path: Path, name: str, options: dict[str, str], expected: str) -> None:
    definitions = Definitions(tmp_path)
    create(definitions, "app", subnet="10.5.1.0/24", gateway="10.5.1.9")
    assert definitions.find("app").gateway == IPv4Address("10.5.1.9")
    with pytest.raises(NetworkError, match=expected):
        create(definitions, name, **options)


def test_a_broken_file_is_an_error_with_its_place(tmp_path: Path) -> None:
    tmp_path.joinpath("app.json").write_text("{}")
    with pytest.raises(NetworkError) as caught:
        Definitions(tmp_path).find("app")
    assert caught.value.where.endswith("app.json")


@pytest.mark.parametrize(("text", "mode"), [("bridge", "private"), ("default", "private"), ("app", "app"),
                                            ("container:web", "container:web"), ("host", "host")])  # fmt: skip
def test_modes_have_one_spelling(text: str, mode: str) -> None:
    assert parse_mode(text) == mode


@pytest.mark.parametrize("text", ["", "a b", "container:", "ns:/proc/1/ns/net", "../x", "-x"])
def test_what_is_no_mode_is_refused(text: str) -> None:
    with pytest.raises(NetworkError, match="expected a network to be"):
        parse_mode(text)


def test_a_place_goes_through_json_and_into_a_configuration() -> None:
    joined = Joined(
        mode="app",
        namespace={"type": "network", "path": "/proc/7/fd/9"},
        addresses={"app": "10.0.0.2"},
        published=(Port(container_port=80, host_port=8080),),
    )
    assert Joined.from_dict(joined.to_dict()) == joined
    config = {"mounts": [], "linux": {"namespaces": [{"type": "user"}, {"type": "network"}]}}
    assert joined.apply(config)["linux"]["namespaces"] == [{"type": "user"}, joined.namespace]
    assert Joined(mode="host").apply(config)["linux"]["namespaces"] == [{"type": "user"}]
