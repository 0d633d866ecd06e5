"""What is known of a container: its record, its run-time state, and how its monitor says it goes, taken together."""

from pathlib import Path
from typing import Final, Self

from airdock.containers.record import ContainerRecord, Life
from airdock.record import record
from airdock.runtime.freeze import is_frozen
from airdock.runtime.state import ContainerState, load_state

__all__ = ["EVERY_ADDRESS", "Known"]

EVERY_ADDRESS: Final = "0.0.0.0"  # noqa: S104 - shown, not bound
"""How a port is shown that is published on every address."""


@record
class Known:
    """`record` and `life` are None for what runs in the foreground only, `life` also for one that never started."""

    state: ContainerState
    record: ContainerRecord | None = None
    life: Life | None = None

    @classmethod
    def load(cls, folder: str | Path) -> Self | None:
        """What is known of the container in that folder; None where there is none."""
        state = load_state(folder)
        return None if state is None else cls(state=state, record=ContainerRecord.load(folder), life=Life.load(folder))

    @property
    def id(self) -> str:
        return self.state.id

    @property
    def name(self) -> str:
        return self.record.name if self.record else self.state.name

    @property
    def folder(self) -> Path:
        return Path(self.state.folder)

    @property
    def is_running(self) -> bool:
        """Whether it runs, is paused, or is about to start again."""
        return self.status in ("running", "paused", "restarting")

    @property
    def status(self) -> str:
        """ "created", "running", "paused", "restarting", "exited", or "dead" where its monitor was killed.

        The kernel is asked, not the files: they are the past.
        """
        if self.state.alive:
            return "paused" if is_frozen(self.state) else "running"
        if self.record is None:
            return self.state.current_status
        if self.life is None or self.life.status == "created":
            return "created"
        if self.life.status == "exited":
            return "exited"
        if not self.life.is_watched:
            return "dead"
        return "created" if self.life.status == "starting" else self.life.status

    @property
    def exit_code(self) -> int:
        """Of its last run; 137 where it was killed together with its monitor."""
        if self.status == "dead":
            return 137
        if self.life is not None:
            return self.life.exit_code
        return self.state.exit_code or 0

    @property
    def started(self) -> str:
        """When it last started, RFC 3339; empty where it never did."""
        if self.record is None:
            return self.state.created
        return self.life.started if self.life else ""

    @property
    def finished(self) -> str:
        """When it last ended, RFC 3339; empty where it never did."""
        if self.status in ("running", "paused"):
            return ""
        return self.life.finished if self.life else self.state.ended
