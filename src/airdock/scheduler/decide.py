"""What follows from what happened (Airflow 3.3's semantics). Pure: looks up a view, returns actions.

An event costs look-ups in proportion to the out-degree of its task, never to the size of the run; only the beginning
of a run, and stopping it, look at every instance.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, assert_never

from airdock.model.keys import NOT_MAPPED, TaskKey, TryKey
from airdock.model.outcome import AwaitingInput, Deferred, Failed, Lost, Outcome, Rescheduled, Skipped, Succeeded
from airdock.model.states import RunState, TaskState
from airdock.scheduler.events import (
    Action,
    Answered,
    Due,
    Happening,
    PastSettled,
    RunBegan,
    RunTimedOut,
    Settled,
    Stop,
    TriggerFired,
    TryEnded,
    TryStarted,
    Wake,
)
from airdock.scheduler.follow import consider, follow, may_skip
from airdock.scheduler.retries import is_retried, retry_delay
from airdock.scheduler.transitions import fail_unprepared, move, settle
from airdock.scheduler.view import Member, View
from airdock.store.base import ACTIVE
from airdock.store.records import Answer, RunTransition, Transition

__all__ = ["conclude", "decide"]

_GOING_ON = ACTIVE | {TaskState.RESTARTING}


def decide(view: View, event: Happening, now: datetime) -> list[Action]:
    """The actions that follow from one event. What a try tells late, or twice, has none."""
    match event:
        case RunBegan():
            return [action for task_id in view.tasks() for action in _begin(view, task_id, now)]
        case TryStarted(key=key, at=at):
            member = _current(view, key)
            return (
                [move(key.task, member, TaskState.RUNNING, at)] if member and member.state is TaskState.QUEUED else []
            )
        case TryEnded(key=key, outcome=outcome):
            member = _current(view, key)
            return _end(view, key, member, outcome, now) if member else []
        case Settled(key=key):
            return follow(view, key, now)
        case Due(key=key):
            return _wake(view, key, now)
        case Answered(answer=answer):
            return _refuse(view, answer, now)
        case TriggerFired(key=key, event=told, error=error):
            return _resume(view, key, {"error": error} if error else {"event": told}, now)
        case PastSettled(task_id=task_id):
            return consider(view, task_id, now)
        case RunTimedOut():
            return _time_out(view, now)
        case _:
            assert_never(event)


def conclude(view: View, now: datetime) -> RunTransition | None:
    """The end of the run, if it has come."""
    standing = view.standing()
    if standing.unfinished and (standing.unfinished > standing.waiting or standing.waits_for_past):
        return None
    if standing.doom:
        return _end_run(view, RunState.FAILED, now, standing.doom)
    failed = ", ".join(standing.failures)
    if standing.unfinished:
        reason = f"{standing.unfinished} task instances wait for what can't happen any more"
        return _end_run(view, RunState.FAILED, now, reason)
    if standing.bad_leaves or (view.fail_fast and failed):  # there the leaves after a failure are only skipped
        return _end_run(view, RunState.FAILED, now, f"failed: {failed}" if failed else "failed")
    return _end_run(view, RunState.SUCCESS, now, "")


def _end_run(view: View, state: RunState, now: datetime, reason: str) -> RunTransition:
    return RunTransition(key=view.run, source=RunState.RUNNING, target=state, at=now, reason=reason)


def _begin(view: View, task_id: str, now: datetime) -> list[Action]:
    """What becomes of a task as the run begins: it is taken out where the run's date is outside of its own dates."""
    if view.is_outside(task_id):
        return settle(view, view.waiting(task_id), TaskState.REMOVED, now)
    return consider(view, task_id, now)


# A try started or ended


def _current(view: View, key: TryKey) -> Member | None:
    """The instance, if this is its try that goes on."""
    member = view.member(key.task)
    return member if member and member.try_number == key.try_number and member.state in _GOING_ON else None


def _end(view: View, key: TryKey, member: Member, outcome: Outcome, now: datetime) -> list[Action]:
    match outcome.ending:
        case _ if member.state is TaskState.RESTARTING:
            return [move(key.task, member, TaskState.NONE, now, outcome=outcome)]
        case Succeeded(skip=skip):
            done = move(key.task, member, TaskState.SUCCESS, now, outcome=outcome)
            return [done, *(action for place in skip for action in _rule_out(view, place, now))]
        case Skipped():
            return [move(key.task, member, TaskState.SKIPPED, now, outcome=outcome)]
        case _ if view.fail_fast and view.standing().failures:
            return [move(key.task, member, TaskState.FAILED, now, outcome=outcome)]
        case Failed() as ending:
            return _fail(view, key, member, outcome, ending, now)
        case Rescheduled(at=at):
            state = TaskState.UP_FOR_RESCHEDULE
            return [move(key.task, member, state, now, outcome=outcome, until=at), Wake(key=key.task, at=at)]
        case Lost(delay_s=delay_s):
            return _again(key, member, outcome, now, delay_s)
        case Deferred() as ending if view.can_defer:
            return _defer(key, member, outcome, ending, now)
        case Deferred(trigger=trigger):
            reason = f"it waits for the trigger {trigger}, and triggers don't run here yet: use deferrable=False"
            return [_refuse_wait(key, member, outcome, reason, now)]
        case AwaitingInput():
            reason = "it waits for a person's answer, which can't be given here yet"
            return [_refuse_wait(key, member, outcome, reason, now)]
        case _:
            assert_never(outcome.ending)


def _refuse_wait(key: TryKey, member: Member, outcome: Outcome, reason: str, now: datetime) -> Transition:
    refused = replace(outcome, ending=Failed(reason=reason, retryable=False))
    return move(key.task, member, TaskState.FAILED, now, outcome=refused)


def _fail(view: View, key: TryKey, member: Member, outcome: Outcome, ending: Failed, now: datetime) -> list[Action]:
    task = view.task(key.task_id)
    if not ending.retryable or not is_retried(task, try_number=key.try_number, max_tries=member.max_tries):
        return [move(key.task, member, TaskState.FAILED, now, outcome=outcome)]
    delay = retry_delay(task, key, max_tries=member.max_tries, logical_date=view.logical_date)
    until = now + (delay if ending.delay_s is None else timedelta(seconds=ending.delay_s))
    return [
        move(key.task, member, TaskState.UP_FOR_RETRY, now, outcome=outcome, until=until),
        Wake(key=key.task, at=until),
    ]


def _again(key: TryKey, member: Member, outcome: Outcome, now: datetime, delay_s: float) -> list[Action]:
    """A lost try: the next is a try more than the task has anyway."""
    if delay_s:
        until = now + timedelta(seconds=delay_s)
        waits = move(key.task, member, TaskState.UP_FOR_RETRY, now, outcome=outcome, until=until, next=member.next)
        return [replace(waits, max_tries=member.max_tries + 1), Wake(key=key.task, at=until)]
    return [
        Transition(
            key=key.task,
            source=member.state,
            target=TaskState.SCHEDULED,
            try_number=key.try_number,
            to_try=key.try_number + 1,
            max_tries=member.max_tries + 1,
            at=now,
            outcome=outcome,
            next=member.next,
        )
    ]


def _defer(key: TryKey, member: Member, outcome: Outcome, ending: Deferred, now: datetime) -> list[Action]:
    until = None if ending.timeout_s is None else now + timedelta(seconds=ending.timeout_s)
    trigger = {"classpath": ending.trigger, "kwargs": ending.kwargs}
    goes_on = {"method": ending.method, "kwargs": ending.method_kwargs}
    waits = move(key.task, member, TaskState.DEFERRED, now, outcome=outcome, until=until, next=goes_on)
    waits = replace(waits, trigger=trigger)
    return [waits] if until is None else [waits, Wake(key=key.task, at=until)]


def _wake(view: View, key: TaskKey, now: datetime) -> list[Action]:
    member = view.member(key)
    if member is None:
        return []
    match member.state:
        case TaskState.NONE:
            return consider(view, key.task_id, now)
        case TaskState.UP_FOR_RETRY:  # one that was lost goes on where it would have gone on
            return [move(key, member, TaskState.SCHEDULED, now, to_try=member.try_number + 1, next=member.next)]
        case TaskState.UP_FOR_RESCHEDULE:
            return [move(key, member, TaskState.SCHEDULED, now)]
        case TaskState.DEFERRED if member.until is not None and member.until <= now:
            return _resume(view, key, {"error": "its trigger didn't fire in time", "timed_out": True}, now)
        case _:
            return []


def _resume(view: View, key: TaskKey, told: Mapping[str, Any], now: datetime) -> list[Action]:
    """A deferred try goes on with what it waited for, or is told that this never comes."""
    member = view.member(key)
    if member is None or member.state is not TaskState.DEFERRED:
        return []
    return [move(key, member, TaskState.SCHEDULED, now, next={**(member.next or {}), **told})]


def _rule_out(view: View, place: tuple[str, int], now: datetime) -> Iterator[Action]:
    """A task decided to skip these. `view.is_ruled_out` says it to those that come later, or again."""
    task_id, index = place
    key = TaskKey(dag_id=view.run.dag_id, run_id=view.run.run_id, task_id=task_id, map_index=index)
    keys = {key, *(view.waiting(task_id) if index == NOT_MAPPED else ())}
    for each in sorted(keys, key=lambda each: each.map_index):
        member = view.member(each)
        if member and member.state in (TaskState.NONE, TaskState.SCHEDULED) and may_skip(view, view.task(task_id)):
            yield move(each, member, TaskState.SKIPPED, now)


# The run as a whole


def _time_out(view: View, now: datetime) -> list[Action]:
    """What isn't finished is skipped, and the run fails."""
    actions: list[Action] = []
    for key in view.unfinished():
        member = view.member(key)
        if member is None:
            continue
        if member.state in ACTIVE:
            actions.append(Stop(key=key.attempt(member.try_number)))
        actions.append(move(key, member, TaskState.SKIPPED, now))
    return [*actions, _end_run(view, RunState.FAILED, now, "timed out")]


# An environment can't be made


def _refuse(view: View, answer: Answer, now: datetime) -> list[Action]:
    if answer.error is None:
        return []
    return [
        fail_unprepared(key, member.try_number, answer, now)
        for key in view.in_need(answer.environment)
        if (member := view.member(key)) is not None
    ]
