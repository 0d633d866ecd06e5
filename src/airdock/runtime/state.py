"""What is remembered of containers on disk, so that any process of the account can list, find and join them.

AIRDOCK_HOME/run/containers/
  <id>/
    state.json      who it is, and how far it came
    upper/ work/    what it wrote, while it is kept

A record is the truth about the past only: whether a container still runs is asked of the kernel, by pid and start time,
since pids are used again.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

from airdock.errors import UnknownContainerError
from airdock.files import save_json
from airdock.record import record

__all__ = [
    "FILE_NAME",
    "ContainerState",
    "find_container",
    "is_alive",
    "list_containers",
    "load_state",
    "process_start",
    "save_state",
]

FILE_NAME: Final = "state.json"
_START_TIME_FIELD: Final = 19  # of /proc/<pid>/stat, counted behind the name: proc_pid_stat(5)


@record
class ContainerState:
    """One container. `status` is "created", "running" or "exited"; `alive` corrects it for who died unheard.

    `pid` is its pid 1, `command_pid` the process of its command, both as the machine sees them; `started` their start
    in clock ticks since boot. `cgroups` are its folders by controller. `exit_code` is set once it has exited.
    """

    id: str
    folder: str
    name: str = ""
    image: str = ""
    image_digest: str = ""
    command: tuple[str, ...] = ()
    created: str = ""
    status: str = "created"
    pid: int = 0
    pid_start: int = 0
    command_pid: int = 0
    command_start: int = 0
    mapping: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    cgroups: Mapping[str, str] = field(default_factory=dict)
    mount_points: tuple[str, ...] = ()
    exit_code: int | None = None
    ended: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        known = {name: value[name] for name in cls.__dataclass_fields__ if name in value}
        for name in ("command", "mount_points"):
            known[name] = tuple(known.get(name, ()))
        return cls(**known)

    @property
    def alive(self) -> bool:
        """Whether it runs now."""
        return self.status == "running" and is_alive(self.pid, self.pid_start)

    @property
    def current_status(self) -> str:
        """ "created", "running", "exited", or "dead" where its launcher died before it could write down the end."""
        return "dead" if self.status == "running" and not self.alive else self.status

    def ended_with(self, exit_code: int) -> Self:
        return replace(self, status="exited", exit_code=exit_code, ended=datetime.now(UTC).isoformat())


def process_start(pid: int) -> int:
    """When a process started, in clock ticks since boot; 0 where there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return 0 if fields[0] in (b"Z", b"X") else int(fields[_START_TIME_FIELD])


def is_alive(pid: int, started: int) -> bool:
    """Whether the process with that pid is still the one that started then."""
    return pid > 0 and process_start(pid) == started != 0


def save_state(state: ContainerState) -> None:
    """Write a container's record; what is lost in a power failure is dead anyway, so it isn't flushed.

    It is for the account alone: variables hold passwords.
    """
    save_json(Path(state.folder, FILE_NAME), state.to_dict(), mode=0o600, durable=False)


def load_state(folder: str | Path) -> ContainerState | None:
    """The record in a container's folder; None where there is none that can be read."""
    try:
        return ContainerState.from_dict(json.loads(Path(folder, FILE_NAME).read_bytes()))
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError, KeyError):
        return None


def list_containers(root: str | Path) -> list[ContainerState]:
    """All containers of AIRDOCK_HOME/run/containers, the youngest first."""
    try:
        folders = [entry.path for entry in os.scandir(root)]
    except FileNotFoundError:
        return []
    states = [state for folder in folders if (state := load_state(folder)) is not None]
    return sorted(states, key=lambda state: state.created, reverse=True)


def find_container(root: str | Path, name: str) -> ContainerState:
    """The container with that name, id, or unique beginning of an id. Raises UnknownContainerError."""
    states = list_containers(root)
    exact = [state for state in states if name in {state.id, state.name}]
    found = exact or [state for state in states if name and state.id.startswith(name)]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(state.id[:12] for state in found)
        raise UnknownContainerError(
            f"{name!r} is the beginning of several containers: {ids}", hint="give more of the id"
        )
    names = ", ".join(_names(states)) or "none"
    raise UnknownContainerError(f"expected a container named {name!r}, found {names}", hint="airdock container ps -a")


def _names(states: Sequence[ContainerState]) -> list[str]:
    return [state.name or state.id[:12] for state in states[:8]]
