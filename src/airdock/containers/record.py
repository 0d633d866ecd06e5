"""What is remembered of a container that outlives the command that made it.

AIRDOCK_HOME/run/containers/
  <id>/
    container.json        what was asked for: ContainerRecord; changed by rename and update only
    life.json             how it goes: Life; written by its monitor
    state.json            the run-time half: runtime.state
    <id>-json.log[.N]     what it printed, the older files by number
    monitor.sock          where its monitor answers
    lock                  held by whoever starts, renames or removes it
AIRDOCK_HOME/run/names/
  <name>                  a link to the id of the container with that name
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from airdock.containers.health import Health, HealthCheck
from airdock.containers.log_write import LogOptions
from airdock.containers.restart import RestartPolicy
from airdock.files import save_json
from airdock.runtime.state import is_alive

__all__ = ["LIFE_FILE", "LOCK_FILE", "RECORD_FILE", "SOCKET_FILE", "ContainerRecord", "Life", "log_path"]

_Kept = TypeVar("_Kept")

RECORD_FILE: Final = "container.json"
LIFE_FILE: Final = "life.json"
SOCKET_FILE: Final = "monitor.sock"
LOCK_FILE: Final = "lock"


@dataclass(frozen=True, kw_only=True, slots=True)
class ContainerRecord:
    """One container as it was asked for.

    `config` is its OCI configuration; `layers` are the diff ids of its image's, lowest first. `network` has the
    arguments of `Networks.attach` beside the container's id and name. `entrypoint` and `cmd` are what `config` runs,
    told apart for `inspect`. `stop_signal` is a number.
    """

    id: str
    name: str
    image: str
    image_id: str
    image_digest: str
    layers: tuple[str, ...]
    config: Mapping[str, Any]
    created: str
    network: Mapping[str, Any] = field(default_factory=dict)
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    restart: RestartPolicy = field(default_factory=RestartPolicy)
    log: LogOptions = field(default_factory=LogOptions)
    health: HealthCheck | None = None
    stop_signal: int = 15
    stop_timeout_s: float = 10.0
    auto_remove: bool = False
    open_stdin: bool = False
    tty: bool = False

    def to_dict(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in self.__slots__}
        return values | {
            "restart": self.restart.to_dict(),
            "log": self.log.to_dict(),
            "health": self.health and self.health.to_dict(),
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        known = {name: value[name] for name in cls.__slots__ if name in value}
        for name in ("layers", "cmd", "exposed_ports", "volumes"):
            known[name] = tuple(known.get(name, ()))
        entrypoint, health = known.get("entrypoint"), known.get("health")
        return cls(
            **known
            | {
                "entrypoint": None if entrypoint is None else tuple(entrypoint),
                "restart": RestartPolicy.from_dict(known["restart"]),
                "log": LogOptions.from_dict(known["log"]),
                "health": health and HealthCheck.from_dict(health),
            }
        )

    @classmethod
    def load(cls, folder: str | Path) -> Self | None:
        """The record in a container's folder; None where there is none that can be read."""
        return _load(cls.from_dict, Path(folder, RECORD_FILE))

    def save(self, folder: str | Path) -> None:
        save_json(Path(folder, RECORD_FILE), self.to_dict(), mode=0o600)


@dataclass(frozen=True, kw_only=True, slots=True)
class Life:
    """How a container goes: `status` is "running", "restarting" or "exited", true while its monitor lives.

    `monitor` and `monitor_start` are the monitor's pid and its start in clock ticks since boot. `stopped` is whether
    somebody asked for its end. `network` is its place, as `Joined.to_dict` gives it.
    """

    status: str
    monitor: int = 0
    monitor_start: int = 0
    started: str = ""
    finished: str = ""
    exit_code: int = 0
    oom: bool = False
    error: str = ""
    restarts: int = 0
    stopped: bool = False
    health: Health | None = None
    network: Mapping[str, Any] | None = None

    @property
    def is_watched(self) -> bool:
        """Whether its monitor is there."""
        return is_alive(self.monitor, self.monitor_start)

    def to_dict(self) -> dict[str, Any]:
        return {
            **{name: getattr(self, name) for name in self.__slots__},
            "health": self.health and self.health.to_dict(),
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        known = {name: value[name] for name in cls.__slots__ if name in value}
        return cls(**known | {"health": known.get("health") and Health.from_dict(known["health"])})

    @classmethod
    def load(cls, folder: str | Path) -> Self | None:
        """What the monitor wrote last; None where none ever did."""
        return _load(cls.from_dict, Path(folder, LIFE_FILE))

    def save(self, folder: str | Path) -> None:
        save_json(Path(folder, LIFE_FILE), self.to_dict(), durable=False)


def log_path(folder: str | Path) -> Path:
    """Where a container's output is kept, in Docker's words `LogPath`."""
    return Path(folder, f"{Path(folder).name}-json.log")


def _load(make: Callable[[Mapping[str, Any]], _Kept], path: Path) -> _Kept | None:
    try:
        return make(json.loads(path.read_bytes()))
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError, KeyError):
        return None
