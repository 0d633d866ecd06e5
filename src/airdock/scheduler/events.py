"""What can happen to a run, and what can be done about it, as frozen values."""

from datetime import datetime
from typing import Any

from airdock.model.keys import TaskKey, TryKey
from airdock.model.outcome import Outcome
from airdock.record import record
from airdock.store.records import Answer, Expansion, RunTransition, Transition

__all__ = [
    "Action",
    "Answered",
    "Due",
    "Happening",
    "PastSettled",
    "RunBegan",
    "RunTimedOut",
    "Settled",
    "Stop",
    "TriggerFired",
    "TryEnded",
    "TryStarted",
    "Wake",
]


@record
class RunBegan:
    """The run is taken up: for the first time, or again."""


@record
class TryStarted:
    """A try's container runs."""

    key: TryKey
    at: datetime


@record
class TryEnded:
    """A try is over."""

    key: TryKey
    outcome: Outcome


@record
class Settled:
    """A task instance reached a finished state."""

    key: TaskKey


@record
class Due:
    """The time has come that a retry or a rescheduled sensor waited for."""

    key: TaskKey


@record
class Answered:
    """An environment was made, or can't be."""

    answer: Answer


@record
class TriggerFired:
    """What a deferred task instance waits for came: `event` is JSON for its next method. With `error` it never will."""

    key: TaskKey
    event: Any = None
    error: str = ""


@record
class PastSettled:
    """The instance of the same task in the run before this one reached a finished state, or was cleared."""

    task_id: str


@record
class RunTimedOut:
    """The run went on for longer than its `dagrun_timeout_s`."""


Happening = RunBegan | TryStarted | TryEnded | Settled | Due | Answered | TriggerFired | PastSettled | RunTimedOut


@record
class Wake:
    """Let `Due` happen at this time."""

    key: TaskKey
    at: datetime


@record
class Stop:
    """Cancel a try; it ends later."""

    key: TryKey


Action = Transition | Expansion | RunTransition | Wake | Stop
