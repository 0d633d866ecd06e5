"""What stands between the supervisor and a kind of isolation: how a try is started, watched, ended and removed."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Protocol

from airdock.model.events import Event
from airdock.model.usage import Usage
from airdock.model.workload import Workload
from airdock.record import record

__all__ = ["INSIDE", "RUNNER_NAME", "WORKSPACE", "Emit", "Ended", "Launch", "Running", "Starter"]

INSIDE: Final = "/run/airdock"
"""Where a container sees the folder of its try."""
RUNNER_NAME: Final = "runner.pyz"
WORKSPACE: Final = "/workspace"


Emit = Callable[[Event], None]
"""Takes one event, from any thread, and comes back at once."""


@record
class Launch:
    """A try to be started. `folder` on this machine holds the channel's socket and the runner.

    `stdout` and `stderr` are descriptors that stay the caller's. `id` is unique among the tries of this machine.
    """

    id: str
    workload: Workload
    folder: Path
    stdout: int
    stderr: int


@record
class Ended:
    """How what was started came to its end. `exit_code` is 128 + n where `signal` n ended it."""

    exit_code: int
    signal: int | None
    usage: Usage | None
    oom: bool = False
    memory_limit_bytes: int | None = None


class Running(Protocol):
    """Something that was started. `fileno` is readable once it has ended."""

    def fileno(self) -> int: ...

    def signal(self, number: int) -> None:
        """Send a signal; nothing happens if it has ended."""
        ...

    def end(self) -> Ended:
        """How it ended; blocks until it has. May be called once only."""
        ...

    def remove(self) -> None:
        """Drop all that it left; ends it first where it still runs. Idempotent."""
        ...


class Starter(Protocol):
    """Starts tries in one kind of isolation ("container" or "process"). Called from several threads at once."""

    isolation: str

    def start(self, launch: Launch) -> Running:
        """Start the try; comes back once its program runs. An AirdockError where it can't."""
        ...

    def paths(self, workload: Workload) -> Mapping[str, str]:
        """Where the task finds things: "workspace"."""
        ...

    def clear(self, folder: Path) -> None:
        """End and remove what a dead owner left of the try with this folder; the folder itself stays.

        Comes back once all processes of the try are gone.
        """
        ...
