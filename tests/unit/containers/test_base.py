import pytest

from airdock.containers.base import RunRequest, is_plain, network_of


@pytest.mark.parametrize("mode", ["host", "none"])
def test_what_asks_nothing_of_networks_is_plain(mode: str) -> None:
    assert is_plain(network_of(RunRequest(network=mode), "here"))


@pytest.mark.parametrize(
    "request_",
    [
        RunRequest(network="private"),
        RunRequest(network="container:web"),
        RunRequest(dns=["192.0.2.1"]),
        RunRequest(dns_search=["."]),
        RunRequest(network="none", dns_options=["ndots:1"]),
        RunRequest(network="none", extra_hosts=["db:192.0.2.1"]),
    ],
)
def test_what_networks_have_to_see_to(request_: RunRequest) -> None:
    assert not is_plain(network_of(request_, "here"))
