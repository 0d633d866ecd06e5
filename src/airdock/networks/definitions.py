"""The named networks of a home: what they were made as.

AIRDOCK_HOME/networks/
  .lock           held while networks are made or removed
  NAME.json       one network
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any, Self

from airdock.errors import NetworkError, UnknownNetworkError
from airdock.files import save_json
from airdock.networks.addresses import choose_subnet, parse_gateway, parse_subnet
from airdock.networks.base import BUILT_IN, PRIVATE, parse_mode
from airdock.record import record

__all__ = ["Definitions", "Network"]


@record
class Network:
    """A network of containers. `internal` has no way out; `isolated` keeps its containers from each other."""

    name: str
    id: str
    subnet: IPv4Network
    gateway: IPv4Address
    internal: bool = False
    isolated: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    created: str = ""

    def to_dict(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**values, "subnet": str(self.subnet), "gateway": str(self.gateway), "labels": dict(self.labels)}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        known = {name: value[name] for name in cls.__dataclass_fields__ if name in value}
        return cls(
            **{**known, "subnet": IPv4Network(value["subnet"]), "gateway": IPv4Address(value["gateway"])},
        )


class Definitions:
    """Networks as files in `folder`. Making and removing takes a lock, so that several processes may do it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def list(self) -> "list[Network]":
        """All of them, by name. A file that can't be read is an error, not a network less."""
        try:
            paths = sorted(self._folder.glob("*.json"))
        except FileNotFoundError:
            return []
        return [network for path in paths if (network := self._load(path)) is not None]

    def find(self, name: str) -> Network:
        """The network of that name, or whose id begins so. Raises UnknownNetworkError."""
        if "/" not in name and (network := self._load(self._folder / f"{name}.json")) is not None:
            return network
        known = self.list()
        found = [network for network in known if len(name) >= 4 and network.id.startswith(name)]
        if len(found) == 1:
            return found[0]
        names = ", ".join([*BUILT_IN, *(network.name for network in known)])
        raise UnknownNetworkError(
            f"expected a network, found none named {name!r}; there are {names}",
            hint=f"airdock network create {name}",
        )

    def create(
        self,
        name: str,
        *,
        subnet: str = "",
        gateway: str = "",
        internal: bool = False,
        labels: Mapping[str, str],
        created: str,
        routes: Sequence[IPv4Network],
    ) -> Network:
        """Make a network; `routes` are the machine's, with which it must not clash. Raises NetworkError."""
        if parse_mode(name) != name or name in BUILT_IN or ":" in name:
            raise NetworkError(f"expected a name that isn't a mode of its own, found {name!r}")
        with self._locked():
            known = self.list()
            if any(network.name == name for network in known):
                raise NetworkError(
                    f"expected a name that isn't taken, found a network {name}", hint=f"airdock network rm {name}"
                )
            others = [network.subnet for network in known]
            chosen = self._checked(subnet, others, routes) if subnet else choose_subnet([*others, *routes])
            if gateway and not subnet:
                raise NetworkError("expected --subnet where --gateway is given, found none")
            network = Network(
                name=name,
                id=os.urandom(32).hex(),
                subnet=chosen,
                gateway=parse_gateway(gateway, chosen),
                internal=internal,
                labels=labels,
                created=created,
            )
            save_json(self._folder / f"{name}.json", network.to_dict())
        return network

    def remove(self, name: str) -> Network:
        """Forget a network. Raises UnknownNetworkError."""
        if name in BUILT_IN:
            raise NetworkError(f"expected a network that was made, found {name}, which is always there")
        with self._locked():
            network = self.find(name)
            self._folder.joinpath(f"{network.name}.json").unlink(missing_ok=True)
        return network

    def private(self, taken: Sequence[IPv4Network]) -> Network:
        """The network of the mode "private", which has no file: its addresses are chosen when it is first used."""
        subnet = choose_subnet([*taken, *(network.subnet for network in self.list())])
        return Network(name=PRIVATE, id=PRIVATE, subnet=subnet, gateway=subnet[1], isolated=True)

    def _checked(self, text: str, others: Sequence[IPv4Network], routes: Sequence[IPv4Network]) -> IPv4Network:
        subnet = parse_subnet(text)
        for what, networks in (("a network", others), ("a route of this machine", routes)):
            clash = next((network for network in networks if network.prefixlen and network.overlaps(subnet)), None)
            if clash:
                raise NetworkError(
                    f"expected a subnet that is free, found {subnet} to clash with {what}: {clash}",
                    where="--subnet",
                    hint="leave --subnet out, and a free one is chosen",
                )
        return subnet

    def _load(self, path: Path) -> Network | None:
        try:
            return Network.from_dict(json.loads(path.read_bytes()))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise NetworkError(f"expected a network, found a file that isn't one: {error}", where=str(path)) from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._folder / ".lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
