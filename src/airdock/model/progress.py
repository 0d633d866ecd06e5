"""What is told while images are built and tasks run; whoever shows it decides how."""

from collections.abc import Callable
from datetime import datetime

from airdock.model.keys import TaskKey
from airdock.model.outcome import Outcome
from airdock.model.states import RunState, TaskState
from airdock.record import record

__all__ = [
    "BuildFinished",
    "BuildOutput",
    "BuildStarted",
    "BuildStep",
    "Note",
    "Progress",
    "Report",
    "RunChanged",
    "TaskChanged",
]


@record
class BuildStarted:
    """An image is being made. `build` names it for the events that follow; `steps` may grow later."""

    build: str
    label: str


@record
class BuildStep:
    """A step began (`seconds` is None) or ended. `number` counts from 1 of `total`."""

    build: str
    number: int
    total: int
    text: str
    cached: bool = False
    seconds: float | None = None


@record
class BuildOutput:
    """One line that a step printed. `step` is the step's number, 0 for what belongs to none."""

    build: str
    line: str
    step: int = 0


@record
class BuildFinished:
    """An image is there (`digest`), was there already (`reused`), or could not be made (`error`)."""

    build: str
    label: str
    digest: str = ""
    reused: bool = False
    seconds: float = 0.0
    error: str = ""


@record
class TaskChanged:
    """A task instance entered a state. `waiting_for` is said while it waits; `outcome` when a try ended.

    `environment` is what its environment is called; empty where that was told before.
    """

    key: TaskKey
    state: TaskState
    at: datetime
    try_number: int = 0
    waiting_for: str = ""
    outcome: Outcome | None = None
    environment: str = ""


@record
class RunChanged:
    """A run entered a state."""

    dag_id: str
    run_id: str
    state: RunState
    at: datetime
    reason: str = ""


@record
class Note:
    """A line that belongs to no build and no task, such as what a DAG file printed while it was loaded."""

    line: str


Progress = BuildStarted | BuildStep | BuildOutput | BuildFinished | TaskChanged | RunChanged | Note

Report = Callable[[Progress], None]
"""Takes one `Progress` at a time, from any thread, and must come back at once."""
