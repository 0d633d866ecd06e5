"""When files of names are written."""

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from airdock.networks.addresses import Addresses
from airdock.networks.attachments import Attachment
from airdock.networks.definitions import Network
from airdock.networks.naming import Naming
from airdock.networks.segments import Endpoint, Segment, Segments, chains
from airdock.networks.uplink import UPLINK

NETWORK = Network(name="app", id="1", subnet=IPv4Network("10.0.0.0/24"), gateway=IPv4Address("10.0.0.1"))


def attach(folder: Path, attached: dict[str, Attachment], segment: Segment, name: str) -> Attachment:
    folder.joinpath(name).mkdir()
    address = segment.addresses.take()
    endpoint = Endpoint(network=NETWORK, address=address, inside="eth0", outside=f"port-{name}", names=(name,))
    made = Attachment(
        id=name, name=name, namespace=-1, folder=str(folder / name), own=(name,), extra=(), endpoints={"app": endpoint}
    )
    attached[name] = made
    segment.endpoints[name] = endpoint
    return made


def test_a_newcomer_knows_at_once_and_the_others_when_writing_has_rested(tmp_path: Path) -> None:
    addresses = Addresses(NETWORK.subnet, NETWORK.gateway)
    segment = Segment(network=NETWORK, bridge="net1", index=1, addresses=addresses)
    attached: dict[str, Attachment] = {}
    now = [0.0]

    def clock() -> float:
        now[0] += 1.0  # everything takes a second
        return now[0]

    naming = Naming(attached, cast("Segments", SimpleNamespace(all={"app": segment})), gateway="", clock=clock)
    for name in ("one", "two", "three"):
        naming.write(attach(tmp_path, attached, segment, name))
        naming.changed(["app"], beside=name)
    hosts = {name: (tmp_path / name / "hosts").read_text() for name in attached}
    assert "10.0.0.3\ttwo" in hosts["one"]  # the first change was written at once
    assert "three" not in hosts["one"]  # the next waits
    assert "10.0.0.2\tone" in hosts["three"]
    wait_s = naming.wait_s()
    assert wait_s is not None
    assert wait_s > 0
    naming.refresh()
    assert "10.0.0.4\tthree" in (tmp_path / "one" / "hosts").read_text()
    assert naming.wait_s() is None
    segment.endpoints.pop("three")
    attached.pop("three")
    naming.changed(["app"])
    naming.refresh()
    assert "three" not in (tmp_path / "one" / "hosts").read_text()


def test_rules_let_nothing_in_but_answers_and_nothing_out_of_an_internal_network() -> None:
    closed = Network(
        name="shut", id="2", subnet=IPv4Network("10.0.1.0/24"), gateway=IPv4Address("10.0.1.1"), internal=True
    )
    forward, nat = chains([("net1", NETWORK), ("net2", closed)])
    words = [(rule.verdict, rule.comes_in, rule.goes_out, rule.is_answer) for rule in forward.rules]
    assert words == [
        ("accept", "net1", "net1", False),
        ("accept", "", "net1", True),
        ("drop", "", "net1", False),
        ("accept", "net2", "net2", False),
        ("drop", "net2", "", False),
        ("drop", "", "net2", False),
    ]
    assert [(rule.goes_out, rule.source) for rule in nat.rules] == [(UPLINK, NETWORK.subnet)]
