"""The networks of one home: made, listed, removed, and joined by containers.

AIRDOCK_HOME/networks/NAME.json            a network that was made by `network create`
AIRDOCK_HOME/run/networks/                 the router's: see `router`
AIRDOCK_HOME/run/containers/ID/hosts       the files of names of a container that is attached
AIRDOCK_HOME/run/containers/ID/resolv.conf
"""

import contextlib
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from airdock.errors import NetworkError
from airdock.model.mount import Mount
from airdock.networks.attachments import HOSTS, RESOLV, write_in_place
from airdock.networks.base import PRIVATE, Joined, Port, names_of, parse_mode
from airdock.networks.client import Line, RouterClient
from airdock.networks.definitions import Definitions, Network
from airdock.networks.hosts import (
    HOST_GATEWAY,
    nameservers_of,
    parse_extra_host,
    read_text,
    render_hosts,
    render_resolv,
)
from airdock.networks.links import Links
from airdock.networks.listeners import open_listeners
from airdock.networks.neighbour import join_container
from airdock.runtime.state import find_container

__all__ = ["Networks"]


class Networks:
    """`folder` keeps the definitions, `run` is the home's folder of what runs. Any thread may use it.

    A container holds its place on a network for as long as the process that attached it (or a fork of that) lives, or
    until `detach`. `uplink` is how containers get out ("auto", "nat", "pasta", "slirp4netns"); `publish_on` is the
    address at which ports are published that name none, every one where it is empty.
    """

    def __init__(self, *, folder: Path, run: Path, uplink: str = "auto", publish_on: str = "") -> None:
        self.settings = {
            "folder": str(folder.absolute()),
            "run": str(run.absolute()),
            "uplink": uplink,
            "publish_on": publish_on,
        }
        """The arguments for one like this, as JSON."""
        self._definitions = Definitions(folder)
        self._router = RouterClient(run / "networks", uplink=uplink)
        self._containers = run / "containers"
        self._publish_on = publish_on
        self._lock = threading.Lock()
        self._held: dict[str, tuple[Line, Joined]] = {}

    # containers

    def attach(
        self,
        *,
        container_id: str,
        mode: str = "host",
        hostname: str = "",
        name: str = "",
        aliases: Sequence[str] = (),
        ports: Sequence[Port] = (),
        dns: Sequence[str] = (),
        dns_search: Sequence[str] = (),
        dns_options: Sequence[str] = (),
        extra_hosts: Sequence[str] = (),
        ip: str = "",
    ) -> Joined:
        """Give a container its place before it starts; the same again when it has one.

        `extra_hosts` are NAME:ADDRESS; `dns_search` and `dns_options` are lines of resolv.conf.
        Raises NetworkError, UnknownNetworkError, UnknownContainerError, IsolationError; then nothing is left of it.
        """
        mode = parse_mode(mode)
        extra = [parse_extra_host(text) for text in extra_hosts]
        lookup = {"servers": list(dns), "settings": {"search": list(dns_search), "options": list(dns_options)}}
        if mode in ("host", "none") or mode.startswith("container:"):
            notes = ("published ports are left out: the container has no network of its own",) if ports else ()
            if mode.startswith("container:"):
                return join_container(self._containers, mode, notes=notes)
            return self._attach_plainly(container_id, mode, hostname=hostname, extra=extra, lookup=lookup, notes=notes)
        with self._lock:
            if container_id in self._held:
                return self._held[container_id][1]
        words = names_of(hostname, name, aliases, container_id)
        network = None if mode == PRIVATE else self._definitions.find(mode)
        if ip and network is None:
            raise NetworkError("expected a named network where an address is asked for, found private", where="--ip")
        wanted = {"network": network and network.to_dict(), "ip": ip, "names": words}
        message = {
            "op": "attach",
            "id": container_id,
            "name": name or container_id[:12],
            "own": names_of(hostname, "", (), container_id),
            "extra": extra,
            "lookup": lookup,
            "folder": str(self._folder(container_id).absolute()),
            "networks": [wanted],
        }
        line, joined = self._attach(message, mode, ports)
        with self._lock:
            self._held[container_id] = (line, joined)
        return joined

    def detach(self, container_id: str) -> None:
        """Take a container off its networks, whoever attached it. Harmless when it is on none."""
        with self._lock:
            held = self._held.pop(container_id, None)
        message = {"op": "detach", "id": container_id}
        if held is None:
            self._router.ask(message)
            return
        with contextlib.suppress(ConnectionError, BrokenPipeError):  # the router was killed: nothing is left there
            held[0].ask(message)  # closing alone would do, but its ports shall be free when this comes back
        held[0].close()

    def connect(self, name: str, container_id: str, *, aliases: Sequence[str] = (), ip: str = "") -> str:
        """Put a running container on one more network; gives its address there."""
        network = self._definitions.find(name)
        known = self._attached().get(container_id)
        names = names_of("", known["name"] if known else "", aliases, container_id)
        message = {"op": "connect", "id": container_id, "network": network.to_dict(), "names": names, "ip": ip}
        addresses = self._ask_running(message)
        return str(addresses[network.name])

    def disconnect(self, name: str, container_id: str) -> None:
        """Take a running container off a network."""
        network = name if name == PRIVATE else self._definitions.find(name).name
        self._ask_running({"op": "disconnect", "id": container_id, "network": network})

    def running(self, name: str) -> str:
        """The id of the running container of that name or beginning of an id. Raises UnknownContainerError."""
        return find_container(self._containers, name).id

    def close(self) -> None:
        """Let go of every container that was attached here."""
        with self._lock:
            held, self._held = self._held, {}
        for line, _ in held.values():
            line.close()

    # networks

    def list(self) -> Sequence[Network]:
        """The networks that were made, by name."""
        return self._definitions.list()

    def find(self, name: str) -> Network:
        """The network of that name or id. Raises UnknownNetworkError."""
        return self._definitions.find(name)

    def create(
        self,
        name: str,
        *,
        subnet: str = "",
        gateway: str = "",
        internal: bool = False,
        labels: Mapping[str, str] | None = None,
        now: datetime,
    ) -> Network:
        """Make a network; where no subnet is given, one that clashes with no route of this machine."""
        with Links() as links:
            routes = links.routes()
        return self._definitions.create(
            name,
            subnet=subnet,
            gateway=gateway,
            internal=internal,
            labels=labels or {},
            created=now.isoformat(),
            routes=routes,
        )

    def remove(self, name: str) -> Network:
        """Remove a network that no running container is on. Raises NetworkError, UnknownNetworkError."""
        users = self.users(name)
        if users:
            raise NetworkError(
                f"expected no container on network {name}, found {', '.join(user['name'] for user in users)}",
                hint=f"airdock network disconnect {name} CONTAINER, or stop it",
            )
        return self._definitions.remove(name)

    def prune(self) -> Sequence[Network]:
        """Remove every network that no running container is on; gives those removed."""
        used = {network for container in self._attached().values() for network in container["addresses"]}
        return [self._definitions.remove(network.name) for network in self.list() if network.name not in used]

    def users(self, name: str) -> Sequence[dict[str, Any]]:
        """The running containers on a network: id, name, addresses, names and ports of each."""
        return [container for container in self._attached().values() if name in container["addresses"]]

    def status(self) -> dict[str, Any]:
        """What the router says that it has; empty where none runs."""
        return dict(self._router.ask({"op": "list"}) or {})

    def _attached(self) -> dict[str, dict[str, Any]]:
        return {container["id"]: container for container in self.status().get("containers", ())}

    def _ask_running(self, message: Mapping[str, Any]) -> Any:
        line = self._router.connect()
        if line is None:
            raise NetworkError(
                f"expected container {message['id'][:12]} to run on a network of its own, found none that does",
                hint="start it, or create it with --network",
            )
        try:
            return line.ask(message)
        finally:
            line.close()

    def _attach(self, message: Mapping[str, Any], mode: str, ports: Sequence[Port]) -> tuple[Line, Joined]:
        self._folder(message["id"]).mkdir(parents=True, exist_ok=True)
        listeners = open_listeners(ports, default_ip=self._publish_on)
        try:
            published = tuple(port for port, _ in listeners)
            asked = {**message, "ports": [port.to_dict() for port in published]}
            taken = [str(network.subnet) for network in self.list()]
            line, answer = self._router.attach(asked, [sock.fileno() for _, sock in listeners], taken=taken)
        finally:
            for _, sock in listeners:
                sock.close()
        return line, Joined(
            mode=mode,
            namespace={"type": "network", "path": answer["namespace"]},
            user_namespace=answer["user_namespace"],
            mounts=self._mounts(message["id"], HOSTS, RESOLV),
            addresses=answer["addresses"],
            published=published,
            notes=tuple(answer["notes"]),
        )

    def _attach_plainly(
        self,
        container_id: str,
        mode: str,
        *,
        hostname: str,
        extra: Sequence[tuple[str, str]],
        lookup: Mapping[str, Any],
        notes: tuple[str, ...],
    ) -> Joined:
        """The modes that need no router; files of names of their own only where something was asked for."""
        is_host = mode == "host"
        contents = {}
        if extra:
            base = read_text("/etc/hosts") if is_host else None
            own = [] if is_host else [("127.0.0.1", names_of(hostname, "", (), container_id))]
            pairs = [(name, "127.0.0.1" if address == HOST_GATEWAY else address) for name, address in extra]
            contents[HOSTS] = render_hosts(own, base=base or None, extra=pairs)
        if lookup["servers"] or any(lookup["settings"].values()):
            own_text = read_text("/etc/resolv.conf")
            servers = lookup["servers"] or nameservers_of(own_text)
            contents[RESOLV] = render_resolv(own_text, servers=servers, settings=lookup["settings"])
        for name, content in contents.items():
            self._folder(container_id).mkdir(parents=True, exist_ok=True)
            write_in_place(self._folder(container_id) / name, content)
        return Joined(
            mode=mode,
            namespace=None if is_host else {"type": "network"},
            mounts=self._mounts(container_id, *contents),
            notes=notes,
        )

    def _mounts(self, container_id: str, *names: str) -> tuple[Mount, ...]:
        folder = self._folder(container_id).absolute()
        return tuple(Mount(source=str(folder / name), target=f"/etc/{name}", read_only=False) for name in names)

    def _folder(self, container_id: str) -> Path:
        return self._containers / container_id
