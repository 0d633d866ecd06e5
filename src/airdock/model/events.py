"""What whoever runs a try tells about it, at least once and in this order: started, waiting, finished."""

from datetime import datetime

from airdock.model.keys import TryKey
from airdock.model.outcome import Outcome
from airdock.record import record

__all__ = ["Event", "Finished", "Started", "Waiting"]


@record
class Started:
    """The container was asked for at `at` (UTC)."""

    key: TryKey
    at: datetime


@record
class Waiting:
    """The try can't start yet; `reason` is for people."""

    key: TryKey
    reason: str


@record
class Finished:
    """The try ended. It is told again until it is acknowledged."""

    key: TryKey
    outcome: Outcome


Event = Started | Waiting | Finished
