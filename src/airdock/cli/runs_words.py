"""How runs and what their tasks wait for are told in words."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airdock.cli.words import paint
from airdock.model.states import RunState, TaskState
from airdock.scheduler.owner import Owner

if TYPE_CHECKING:
    from airdock.scheduler.waits import Wait
    from airdock.store.records import Run

__all__ = ["is_stopped", "run_dict", "run_state", "took_s", "until_text"]

_SHOWN = {
    RunState.SUCCESS: TaskState.SUCCESS,
    RunState.FAILED: TaskState.FAILED,
    RunState.RUNNING: TaskState.RUNNING,
}


def is_stopped(run: "Run") -> bool:
    """Whether it goes on only by `airdock run --resume`: nobody works on it, or who did is dead."""
    return run.state is RunState.RUNNING and (not run.owner or Owner.parse(run.owner).is_dead())


def run_state(run: "Run") -> str:
    """The state in its colour; "stopped" where nobody works on it."""
    return "stopped" if is_stopped(run) else paint(run.state.value, _SHOWN.get(run.state, TaskState.NONE))


def took_s(run: "Run") -> float | None:
    """Seconds from beginning to end; None where it didn't end."""
    return (run.ended - run.started).total_seconds() if run.started and run.ended else None


def until_text(wait: "Wait") -> str:
    """What is waited for, and until when: "its next try at 12:00:05 UTC"."""
    if wait.until is None:
        return wait.text
    until = wait.until.astimezone(UTC)
    day = "" if until.date() == datetime.now(UTC).date() else f"{until:%Y-%m-%d} "
    return f"{wait.text} at {day}{until:%H:%M:%S} UTC"


def run_dict(run: "Run") -> dict[str, Any]:
    """A run for programs: seconds as numbers, times ISO 8601 in UTC."""
    return {
        "dag_id": run.key.dag_id,
        "run_id": run.key.run_id,
        "state": run.state.value,
        "stopped": is_stopped(run),
        "reason": run.reason,
        "conf": dict(run.conf),
        "logical_date": run.logical_date.isoformat() if run.logical_date else None,
        "created": run.created.isoformat(),
        "started": run.started.isoformat() if run.started else None,
        "ended": run.ended.isoformat() if run.ended else None,
        "seconds": took_s(run),
    }
