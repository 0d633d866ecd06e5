"""The network flags of `container run` and `create`, in Docker's words."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from airdock.cli.names import complete_networks
from airdock.networks.base import parse_mode
from airdock.networks.hosts import parse_extra_host
from airdock.networks.ports import parse_exposed, parse_published

__all__ = ["network_options", "take_network"]

_Command = TypeVar("_Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--network",
        "--net",
        default="host",
        show_default=True,
        metavar="NETWORK",
        callback=lambda ctx, param, value: parse_mode(value),
        shell_complete=complete_networks,
        help="host, none, private, container:NAME, or a network's name.",
    ),
    click.option(
        "-p",
        "--publish",
        "ports",
        multiple=True,
        metavar="[IP:][HOST:]PORT[/udp]",
        callback=lambda ctx, param, value: tuple(port for text in value for port in parse_published(text)),
        help="Let a port of it be reached through this machine.",
    ),
    click.option("-P", "--publish-all", is_flag=True, help="Publish every exposed port, at any that is free."),
    click.option(
        "--expose",
        multiple=True,
        metavar="PORT[/udp]",
        callback=lambda ctx, param, value: [text for text in value if parse_exposed(text)],
        help="One more port that -P publishes.",
    ),
    click.option(
        "--network-alias", "network_aliases", multiple=True, metavar="NAME", help="One more name on its network."
    ),
    click.option("--ip", default="", metavar="ADDRESS", help="Its address on its network."),
    click.option(
        "--add-host",
        "extra_hosts",
        multiple=True,
        metavar="NAME:ADDRESS",
        callback=lambda ctx, param, value: tuple(text for text in value if parse_extra_host(text)),
        help="One more line of /etc/hosts; host-gateway is this machine.",
    ),
    click.option("--dns", multiple=True, metavar="ADDRESS", help="A name server instead of this machine's."),
    click.option("--dns-search", multiple=True, metavar="DOMAIN", help="Where short names are looked for; . for none."),
    click.option("--dns-option", "--dns-opt", "dns_options", multiple=True, metavar="OPTION", help="Such as ndots:1."),
)


_NAMES = (
    "network",
    "ports",
    "publish_all",
    "expose",
    "network_aliases",
    "ip",
    "extra_hosts",
    "dns",
    "dns_search",
    "dns_options",
)


def network_options(command: _Command) -> _Command:
    """Give a command these flags."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def take_network(options: dict[str, Any]) -> Mapping[str, Any]:
    """The fields of a `RunRequest` that these flags are, taken out of a command's options."""
    return {name: options.pop(name) for name in _NAMES}
