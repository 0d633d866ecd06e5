"""What is asked of a container, and what an image adds to it."""

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any, Final

from airdock.model.mount import Mount
from airdock.model.usage import Resources
from airdock.record import record
from airdock.runtime.confinement import Confinement

if TYPE_CHECKING:
    from airdock.containers.mount_words import MountRequest
    from airdock.networks.base import Port
    from airdock.oci.config import ImageConfig

__all__ = [
    "DEFAULT_PATH",
    "HOST_LABEL",
    "MOUNTS_ANNOTATION",
    "TRANSIENT",
    "Placed",
    "RunRequest",
    "command_of",
    "environment_of",
    "is_plain",
    "network_of",
    "publish_all",
]

DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""What PATH is where an image says nothing, as with Docker."""


HOST_LABEL: Final = "airdock.host"
"""The label of an image that needs folders of this machine; its value is JSON with `binds`, a list of their paths."""

TRANSIENT: Final = {"airdock.transient": "yes"}
"""The annotation of a container that nobody wants without the process that asked for it."""

MOUNTS_ANNOTATION: Final = "airdock.mounts"
"""Of a container's configuration: what was mounted for its user, as JSON in the shape of Docker's `Mounts`."""


@record
class RunRequest:
    """One container to be run.

    `argv` replaces the image's CMD, `entrypoint` its ENTRYPOINT (and drops its CMD, as Docker does); None keeps them.
    `env` is laid over the image's. `user` and `workdir` are the image's where empty. `network` is a mode of
    `networks.base`; `ports`, `network_aliases`, `extra_hosts` (NAME:ADDRESS), `dns`, `dns_search`, `dns_options` and
    `ip` go with it, and `publish_all` for the ports that the image and `expose` name.
    """

    argv: Sequence[str] | None = None
    entrypoint: Sequence[str] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    mounts: Sequence[Mount] = ()
    volumes: "Sequence[MountRequest]" = ()
    volumes_from: Sequence[str] = ()
    """Containers whose mounts it gets too, each NAME[:ro|rw]."""
    remove_volumes: bool = False
    """Its volumes without a name go when it is removed."""
    tmpfs: Sequence[str] = ()
    user: str = ""
    workdir: str = ""
    network: str = "host"
    ports: "Sequence[Port]" = ()
    network_aliases: Sequence[str] = ()
    publish_all: bool = False
    expose: Sequence[str] = ()
    extra_hosts: Sequence[str] = ()
    dns: Sequence[str] = ()
    dns_search: Sequence[str] = ()
    dns_options: Sequence[str] = ()
    ip: str = ""
    resources: Resources = Resources()
    name: str = ""
    hostname: str = ""
    terminal: bool = False
    read_only_root: bool = False
    confinement: Confinement = field(default_factory=Confinement)
    image_name: str = ""
    """What the image was asked for as, to be shown by `container ps`."""
    transient: bool = False
    """Nothing of it is wanted once the process that asked for it is gone, not even its record."""


def command_of(config: "ImageConfig", request: RunRequest) -> tuple[str, ...]:
    """What is executed: ENTRYPOINT then CMD, each as replaced by the request.

    Source: Docker's rules for ENTRYPOINT and CMD; replacing the entrypoint drops the image's own CMD.
    """
    if request.entrypoint is not None:
        return (*request.entrypoint, *(request.argv or ()))
    return (*(config.entrypoint or ()), *(request.argv if request.argv is not None else config.cmd or ()))


def environment_of(config: "ImageConfig", request: RunRequest) -> dict[str, str]:
    """The variables that the command sees: a PATH at least, the image's, the request's over them."""
    own = dict(entry.split("=", 1) for entry in config.env if "=" in entry)
    return {"PATH": DEFAULT_PATH, **own, **request.env}


def publish_all(config: "ImageConfig", request: RunRequest) -> RunRequest:
    """The request with every exposed port among its `ports`, where it asks for that."""
    if not request.publish_all:
        return request
    from airdock.networks.ports import publish_exposed  # most containers publish nothing

    more = publish_exposed([*config.exposed_ports, *request.expose], request.ports)
    return replace(request, ports=[*request.ports, *more], publish_all=False)


def network_of(request: RunRequest, hostname: str) -> dict[str, Any]:
    """What is asked of `Networks.attach`, but for who asks."""
    return {
        "mode": request.network,
        "hostname": hostname,
        "aliases": request.network_aliases,
        "ports": request.ports,
        "dns": request.dns,
        "dns_search": request.dns_search,
        "dns_options": request.dns_options,
        "extra_hosts": request.extra_hosts,
        "ip": request.ip,
    }


def is_plain(network: Mapping[str, object]) -> bool:
    """Whether a container with these arguments of `Networks.attach` needs nothing of them."""
    named = any(network.get(name) for name in ("ports", "extra_hosts", "dns", "dns_search", "dns_options"))
    return network.get("mode", "host") in ("host", "none") and not named


@record
class Placed:
    """What requests for mounts came to: binds, tmpfs in the words of `--tmpfs`, and annotations that remember them."""

    mounts: Sequence[Mount] = ()
    tmpfs: Sequence[str] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
