"""From how a task instance stands to the transition that is wanted of it. Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from airdock.model.keys import TaskKey
from airdock.model.outcome import Failed, Outcome
from airdock.model.states import TaskState
from airdock.scheduler.events import Action
from airdock.scheduler.view import Member, View
from airdock.store.base import ACTIVE
from airdock.store.records import Answer, Transition

__all__ = ["fail_unprepared", "move", "settle"]

_KEEPING = frozenset({TaskState.SCHEDULED, *ACTIVE})


def move(
    key: TaskKey,
    member: Member,
    target: TaskState,
    at: datetime,
    *,
    to_try: int | None = None,
    until: datetime | None = None,
    outcome: Outcome | None = None,
    next: Mapping[str, Any] | None = None,
) -> Transition:
    """Into another state, in the same try unless `to_try` is given; `next` stays while a try goes on.

    A label of the outcome replaces the one that there is.
    """
    return Transition(
        key=key,
        source=member.state,
        target=target,
        try_number=member.try_number,
        to_try=member.try_number if to_try is None else to_try,
        at=at,
        until=until,
        outcome=outcome,
        next=member.next if next is None and target in _KEEPING and to_try is None else next,
        label=getattr(outcome.ending, "label", "") if outcome is not None else "",
    )


def settle(view: View, keys: Iterable[TaskKey], state: TaskState, now: datetime) -> list[Action]:
    """All of them into this state."""
    return [move(key, view.member(key) or Member(), state, now) for key in keys]


def fail_unprepared(key: TaskKey, try_number: int, answer: Answer, now: datetime) -> Transition:
    """What was scheduled fails because its environment can't be made."""
    ending = Failed(reason=_say(answer.error or {}), retryable=False)
    return Transition(
        key=key,
        source=TaskState.SCHEDULED,
        target=TaskState.FAILED,
        try_number=try_number,
        to_try=try_number,
        at=now,
        outcome=Outcome(ending=ending),
    )


def _say(error: Mapping[str, str]) -> str:
    """What `AirdockError.to_dict` gave, as one reason: message, place and advice."""
    message = error.get("message") or "its environment could not be made"
    place = f" (in {error['where']})" if error.get("where") else ""
    advice = f"; {error['hint']}" if error.get("hint") else ""
    return f"{message}{place}{advice}"
