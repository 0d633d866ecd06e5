"""The text of a container's /etc/hosts and /etc/resolv.conf: hosts(5), resolv.conf(5)."""

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from airdock.errors import NetworkError

__all__ = ["HOST_GATEWAY", "nameservers_of", "parse_extra_host", "read_text", "render_hosts", "render_resolv"]

HOST_GATEWAY: Final = "host-gateway"
"""Docker's word for the address at which a container reaches its machine."""

_LOCAL: Final = (("127.0.0.1", ("localhost",)), ("::1", ("localhost", "ip6-localhost", "ip6-loopback")))


def parse_extra_host(text: str) -> tuple[str, str]:
    """`NAME:ADDRESS` or `NAME=ADDRESS` of `--add-host` as (name, address). Raises NetworkError."""
    separator = "=" if "=" in text else ":"
    name, found, address = text.partition(separator)
    address = address.strip("[]")
    if not found or not name or any(character.isspace() for character in name):
        raise NetworkError(f"expected NAME:ADDRESS, found {text!r}", where="--add-host", hint="such as db:10.0.0.7")
    if address != HOST_GATEWAY:
        try:
            ipaddress.ip_address(address)
        except ValueError as error:
            raise NetworkError(
                f"expected an address or {HOST_GATEWAY} after {name}, found {address!r}", where="--add-host"
            ) from error
    return name, address


def render_hosts(
    entries: Iterable[tuple[str, Sequence[str]]], *, base: str | None = None, extra: Iterable[tuple[str, str]] = ()
) -> str:
    """`entries` are (address, names); `base` is a file to begin with, by default that of loopback."""
    lines = [] if base is None else [base.rstrip("\n")]
    first = _LOCAL if base is None else ()
    lines += [f"{address}\t{' '.join(names)}" for address, names in (*first, *entries) if names]
    lines += [f"{address}\t{name}" for name, address in extra]
    return "\n".join(lines) + "\n"


def read_text(path: str) -> str:
    """One of the machine's own such files; empty where it can't be read."""
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def nameservers_of(text: str) -> list[str]:
    """The servers that a resolv.conf names, in order."""
    words = (line.split() for line in text.splitlines())
    return [fields[1] for fields in words if len(fields) > 1 and fields[0] == "nameserver"]


def render_resolv(text: str, *, servers: Sequence[str], settings: Mapping[str, Sequence[str]] | None = None) -> str:
    """A resolv.conf with these servers and all else as in `text`; `settings` replace its `search` and `options`.

    Docker's "." for `search` leaves it empty.
    """
    given = {key: values for key, values in (settings or {}).items() if values}
    replaced = {"nameserver", *given, *(("domain",) if "search" in given else ())}  # the last of domain and search wins
    kept = [
        line
        for line in text.splitlines()
        if (fields := line.split()) and fields[0] not in replaced and line[:1] not in "#;"
    ]
    added = [f"{key} {' '.join(values)}" for key, values in given.items() if list(values) != ["."]]
    return "".join(f"{line}\n" for line in [*(f"nameserver {server}" for server in servers), *kept, *added])
