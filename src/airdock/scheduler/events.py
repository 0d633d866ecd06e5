"""What can happen to a run, and what can be done about it, as frozen values."""

from datetime import datetime

from airdock.model.keys import TaskKey, TryKey
from airdock.model.outcome import Outcome
from airdock.record import record
from airdock.store.records import Answer, Expansion, RunTransition, Transition

__all__ = ["Action", "Answered", "Due", "Happening", "RunBegan", "Settled", "Stop", "TryEnded", "TryStarted", "Wake"]


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


Happening = RunBegan | TryStarted | TryEnded | Settled | Due | Answered


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
