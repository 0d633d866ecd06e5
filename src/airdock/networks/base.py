"""What is asked of a network, and what a container gets of it.

The modes of a container's network, as in `--network`:

    host             the machine's own; nothing is kept apart
    none             a namespace with nothing but loopback
    private          a namespace with a way out and no way in; "bridge" is another word for it
    container:NAME   the namespace of another container
    NAME             a network made by `network create`: its containers find each other by name
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, Final, Self

from airdock.errors import NetworkError
from airdock.model.mount import Mount
from airdock.record import record

__all__ = ["BUILT_IN", "PRIVATE", "Joined", "Port", "names_of", "parse_mode"]

PRIVATE: Final = "private"
BUILT_IN: Final = ("host", "none", PRIVATE)
_OTHER_WORDS: Final = {"bridge": PRIVATE, "default": PRIVATE}
_NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}")


@record
class Port:
    """One port of a container that is reached through the machine.

    `host_port` 0 is any that is free, with `host_last` the first free one up to that; an empty `host_ip` is every
    address.
    """

    container_port: int
    host_port: int = 0
    host_last: int = 0
    host_ip: str = ""
    protocol: str = "tcp"

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        return cls(**{name: value[name] for name in cls.__dataclass_fields__ if name in value})


@record
class Joined:
    """A container's place in a network.

    `namespace` is the entry for `linux.namespaces` of an OCI configuration: None shares the machine's, no "path" is a
    fresh one, a "path" is to be joined. `user_namespace` is where a launcher must live to join it (empty: anywhere).
    `mounts` are the files of names; `addresses` has the container's address in each network, `published` the ports as
    they came out. `notes` are sentences for whoever asked.
    """

    mode: str
    namespace: Mapping[str, str] | None = None
    user_namespace: str = ""
    mounts: tuple[Mount, ...] = ()
    addresses: Mapping[str, str] = field(default_factory=dict)
    published: tuple[Port, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def namespace_path(self) -> str | None:
        """The namespace to be joined; None where there is none to join."""
        return None if self.namespace is None else self.namespace.get("path")

    def apply(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """An OCI configuration, as `runtime.spec.make_config` makes it for "host" or "none", with this place in it."""
        kept = [entry for entry in config["linux"]["namespaces"] if entry["type"] != "network"]
        namespaces = kept if self.namespace is None else [*kept, dict(self.namespace)]
        binds = [
            {
                "destination": mount.target,
                "type": "bind",
                "source": mount.source,
                "options": ["rbind", "ro" if mount.read_only else "rw", "nosuid", "nodev", "noexec"],
            }
            for mount in self.mounts
        ]
        return {
            **config,
            "linux": {**config["linux"], "namespaces": namespaces},
            "mounts": [*config["mounts"], *binds],
        }

    def to_dict(self) -> dict[str, Any]:
        return {
            **{name: getattr(self, name) for name in self.__dataclass_fields__},
            "mounts": [mount.to_dict() for mount in self.mounts],
            "published": [port.to_dict() for port in self.published],
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        known = {name: value[name] for name in cls.__dataclass_fields__ if name in value}
        return cls(
            **{
                **known,
                "mounts": tuple(Mount.from_dict(mount) for mount in known.get("mounts", ())),
                "published": tuple(Port.from_dict(port) for port in known.get("published", ())),
                "notes": tuple(known.get("notes", ())),
            }
        )


def parse_mode(text: str) -> str:
    """The mode that `--network TEXT` asks for, in one spelling. Raises NetworkError."""
    mode = _OTHER_WORDS.get(text, text)
    kind, colon, name = mode.partition(":")
    if mode in BUILT_IN or (colon and kind == "container" and name) or (not colon and _NAME.fullmatch(mode)):
        return mode
    raise NetworkError(
        f"expected a network to be host, none, private, container:NAME or the name of a network, found {text!r}",
        hint="airdock network ls",
    )


def names_of(hostname: str, name: str, aliases: Sequence[str], container_id: str) -> tuple[str, ...]:
    """What a container is called on its networks, each once."""
    return tuple(dict.fromkeys(word for word in (name, *aliases, hostname, container_id[:12]) if word))
