"""The ports of `-p` and EXPOSE: `[ip:][hostport[-last]:]containerport[-last][/protocol]`, as Docker writes them. Pure.

A range on both sides is so many pairs and must be of equal length; a range of the machine for one port of the
container is a choice: the first that is free.
"""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import Final

from airdock.errors import NetworkError
from airdock.networks.base import Port

__all__ = ["parse_exposed", "parse_published", "publish_exposed", "render_port"]

_PROTOCOLS: Final = ("tcp", "udp")
_MOST: Final = 65_535
_SPEC: Final = re.compile(
    r"(?:(?P<ip>\[[^\]]*\]|[^:\[\]]*):(?=[^:]*:))?(?:(?P<host>[^:]*):)?(?P<container>[^:/]+)(?:/(?P<protocol>[^/]*))?"
)


def parse_published(text: str) -> tuple[Port, ...]:
    """The ports of one `-p`. Raises NetworkError."""
    match = _SPEC.fullmatch(text)
    if match is None:
        raise _wrong(text, "[IP:][HOSTPORT:]CONTAINERPORT[/tcp|udp]")
    first, last = _range(match["container"], text, least=1)
    protocol = _protocol(match["protocol"], text)
    ip = _address(match["ip"] or "", text)
    host_first, host_last = _range(match["host"], text, least=0) if match["host"] else (0, 0)
    if host_first == 0:
        return tuple(Port(container_port=port, host_ip=ip, protocol=protocol) for port in range(first, last + 1))
    if first == last:
        choice = host_last if host_last > host_first else 0
        return (Port(container_port=first, host_port=host_first, host_last=choice, host_ip=ip, protocol=protocol),)
    if last - first != host_last - host_first:
        raise _wrong(text, "as many ports of the machine as of the container")
    return tuple(
        Port(container_port=first + step, host_port=host_first + step, host_ip=ip, protocol=protocol)
        for step in range(last - first + 1)
    )


def parse_exposed(text: str) -> tuple[tuple[int, str], ...]:
    """The (port, protocol) pairs of one EXPOSE or `--expose`. Raises NetworkError."""
    ports, _, protocol = text.partition("/")
    first, last = _range(ports, text, least=1)
    kind = _protocol(protocol or None, text)
    return tuple((port, kind) for port in range(first, last + 1))


def publish_exposed(exposed: Iterable[str], published: Sequence[Port]) -> tuple[Port, ...]:
    """What `-P` adds: each exposed port that isn't published yet, at any port of the machine that is free."""
    known = {(port.container_port, port.protocol) for port in published}
    wanted = dict.fromkeys(pair for text in exposed for pair in parse_exposed(text))
    return tuple(Port(container_port=port, protocol=kind) for port, kind in wanted if (port, kind) not in known)


def render_port(port: Port) -> str:
    """A published port as `ps` shows it: `0.0.0.0:8080->80/tcp`."""
    ip = port.host_ip or "0.0.0.0"  # noqa: S104 how every address is written
    return f"{f'[{ip}]' if ':' in ip else ip}:{port.host_port}->{port.container_port}/{port.protocol}"


def _range(text: str, whole: str, *, least: int) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    if not (first.isascii() and first.isdigit() and (not dash or (last.isascii() and last.isdigit()))):
        raise _wrong(whole, "ports as numbers")
    low, high = int(first), int(last) if dash else int(first)
    if not least <= low <= high <= _MOST:
        raise _wrong(whole, f"ports between {least} and {_MOST}, the lower first")
    return low, high


def _protocol(text: str | None, whole: str) -> str:
    protocol = "tcp" if text is None else text.lower()
    if protocol not in _PROTOCOLS:
        raise _wrong(whole, "tcp or udp after the slash")
    return protocol


def _address(text: str, whole: str) -> str:
    try:
        return str(ipaddress.ip_address(text.strip("[]"))) if text else ""
    except ValueError as error:
        raise _wrong(whole, "an IP address of this machine in front") from error


def _wrong(text: str, expected: str) -> NetworkError:
    return NetworkError(f"expected {expected}, found {text!r}", hint="such as 8080:80, 127.0.0.1:8080:80 or 53:53/udp")
