"""What follows from what happened (Airflow 3.3's semantics). Pure: looks up a view, returns actions.

An event costs look-ups in proportion to the out-degree of its task, never to the size of the run; only the beginning
of a run, and stopping it, look at every instance.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, assert_never

from airdock.dag.serialized import SerializedTask
from airdock.model.keys import NOT_MAPPED, TaskKey, TryKey
from airdock.model.outcome import AwaitingInput, Deferred, Failed, Lost, Outcome, Rescheduled, Skipped, Succeeded
from airdock.model.states import FINISHED, RunState, TaskState
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
from airdock.scheduler.expand import find_length
from airdock.scheduler.retries import is_retried, retry_delay
from airdock.scheduler.rules import Verdict, judge
from airdock.scheduler.view import Member, View
from airdock.store.base import ACTIVE
from airdock.store.records import Answer, Expansion, RunTransition, Transition

__all__ = ["conclude", "decide"]

_KEEPING = frozenset({TaskState.SCHEDULED, *ACTIVE})
_GOING_ON = ACTIVE | {TaskState.RESTARTING}


def decide(view: View, event: Happening, now: datetime) -> list[Action]:
    """The actions that follow from one event. What a try tells late, or twice, has none."""
    match event:
        case RunBegan():
            return [action for task_id in view.tasks() for action in _consider(view, task_id, now)]
        case TryStarted(key=key, at=at):
            member = _current(view, key)
            return (
                [_move(key.task, member, TaskState.RUNNING, at)] if member and member.state is TaskState.QUEUED else []
            )
        case TryEnded(key=key, outcome=outcome):
            member = _current(view, key)
            return _end(view, key, member, outcome, now) if member else []
        case Settled(key=key):
            return _follow(view, key, now)
        case Due(key=key):
            return _wake(view, key, now)
        case Answered(answer=answer):
            return _refuse(view, answer, now)
        case TriggerFired(key=key, event=told, error=error):
            return _resume(view, key, {"error": error} if error else {"event": told}, now)
        case PastSettled(task_id=task_id):
            return _consider(view, task_id, now)
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


# A try started or ended


def _current(view: View, key: TryKey) -> Member | None:
    """The instance, if this is its try that goes on."""
    member = view.member(key.task)
    return member if member and member.try_number == key.try_number and member.state in _GOING_ON else None


def _end(view: View, key: TryKey, member: Member, outcome: Outcome, now: datetime) -> list[Action]:
    match outcome.ending:
        case _ if member.state is TaskState.RESTARTING:
            return [_move(key.task, member, TaskState.NONE, now, outcome=outcome)]
        case Succeeded(skip=skip, label=label):
            done = replace(_move(key.task, member, TaskState.SUCCESS, now, outcome=outcome), label=label)
            return [done, *(action for place in skip for action in _rule_out(view, place, now))]
        case Skipped():
            return [_move(key.task, member, TaskState.SKIPPED, now, outcome=outcome)]
        case _ if view.fail_fast and view.standing().failures:
            return [_move(key.task, member, TaskState.FAILED, now, outcome=outcome)]
        case Failed() as ending:
            return _fail(view, key, member, outcome, ending, now)
        case Rescheduled(at=at):
            state = TaskState.UP_FOR_RESCHEDULE
            return [_move(key.task, member, state, now, outcome=outcome, until=at), Wake(key=key.task, at=at)]
        case Lost():
            return _again(view, key, member, outcome, now)
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
    return _move(key.task, member, TaskState.FAILED, now, outcome=refused)


def _fail(view: View, key: TryKey, member: Member, outcome: Outcome, ending: Failed, now: datetime) -> list[Action]:
    task = view.task(key.task_id)
    if not ending.retryable or not is_retried(task, try_number=key.try_number, max_tries=member.max_tries):
        return [_move(key.task, member, TaskState.FAILED, now, outcome=outcome)]
    delay = retry_delay(task, key, max_tries=member.max_tries, logical_date=view.logical_date)
    until = now + (delay if ending.delay_s is None else timedelta(seconds=ending.delay_s))
    return [
        _move(key.task, member, TaskState.UP_FOR_RETRY, now, outcome=outcome, until=until),
        Wake(key=key.task, at=until),
    ]


def _again(view: View, key: TryKey, member: Member, outcome: Outcome, now: datetime) -> list[Action]:
    """A lost try: the next is a try more than the task has anyway."""
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
    waits = _move(key.task, member, TaskState.DEFERRED, now, outcome=outcome, until=until, next=goes_on)
    waits = replace(waits, trigger=trigger)
    return [waits] if until is None else [waits, Wake(key=key.task, at=until)]


def _wake(view: View, key: TaskKey, now: datetime) -> list[Action]:
    member = view.member(key)
    if member is None:
        return []
    match member.state:
        case TaskState.NONE:
            return _consider(view, key.task_id, now)
        case TaskState.UP_FOR_RETRY:
            return [_move(key, member, TaskState.SCHEDULED, now, to_try=member.try_number + 1)]
        case TaskState.UP_FOR_RESCHEDULE:
            return [_move(key, member, TaskState.SCHEDULED, now)]
        case TaskState.DEFERRED if member.until is not None and member.until <= now:
            return _resume(view, key, {"error": "its trigger didn't fire in time", "timed_out": True}, now)
        case _:
            return []


def _resume(view: View, key: TaskKey, told: Mapping[str, Any], now: datetime) -> list[Action]:
    """A deferred try goes on with what it waited for, or is told that this never comes."""
    member = view.member(key)
    if member is None or member.state is not TaskState.DEFERRED:
        return []
    return [_move(key, member, TaskState.SCHEDULED, now, next={**(member.next or {}), **told})]


def _rule_out(view: View, place: tuple[str, int], now: datetime) -> Iterator[Action]:
    """A task decided to skip these. `view.is_ruled_out` says it to those that come later, or again."""
    task_id, index = place
    key = TaskKey(dag_id=view.run.dag_id, run_id=view.run.run_id, task_id=task_id, map_index=index)
    keys = {key, *(view.waiting(task_id) if index == NOT_MAPPED else ())}
    for each in sorted(keys, key=lambda each: each.map_index):
        member = view.member(each)
        if member and member.state in (TaskState.NONE, TaskState.SCHEDULED) and _may_skip(view, view.task(task_id)):
            yield _move(each, member, TaskState.SKIPPED, now)


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
        actions.append(_move(key, member, TaskState.SKIPPED, now))
    return [*actions, _end_run(view, RunState.FAILED, now, "timed out")]


# An environment can't be made


def _refuse(view: View, answer: Answer, now: datetime) -> list[Action]:
    if answer.error is None:
        return []
    return [
        _fail_unprepared(key, member.try_number, answer, now)
        for key in view.in_need(answer.environment)
        if (member := view.member(key)) is not None
    ]


def _fail_unprepared(key: TaskKey, try_number: int, answer: Answer, now: datetime) -> Transition:
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


# A task instance reached its end: what about those after it?


def _follow(view: View, key: TaskKey, now: datetime) -> list[Action]:
    member = view.member(key)
    group = view.task(key.task_id).map_group
    below = view.downstream(key.task_id)
    actions: list[Action] = []
    has_failed = member is not None and member.state is TaskState.FAILED
    if view.fail_fast and has_failed and not view.task(key.task_id).is_teardown:
        actions += _stop_others(view, now)
        below = [task_id for task_id in below if view.task(task_id).is_teardown]
    for task_id in below:
        is_paired = group and view.task(task_id).map_group == group and key.map_index != NOT_MAPPED
        actions += _consider(view, task_id, now, key.map_index if is_paired else None)
    return actions


def _stop_others(view: View, now: datetime) -> Iterator[Action]:
    for key in view.unfinished():
        member = view.member(key)
        if member is None or member.state in FINISHED or view.task(key.task_id).is_teardown:
            continue
        if member.state in ACTIVE:
            yield Stop(key=key.attempt(member.try_number))
        else:
            yield _move(key, member, TaskState.SKIPPED, now)


def _consider(view: View, task_id: str, now: datetime, map_index: int | None = None) -> list[Action]:
    """What becomes of the instances of a task that wait for others; in a mapped group perhaps only of one of them."""
    waiting = view.waiting(task_id)
    if not waiting:
        return []
    task = view.task(task_id)
    if task.map_group:
        return _consider_group(view, task, waiting, now, map_index)
    first = next(iter(waiting))
    return _judge(view, task, waiting, judge(task, view.upstream(first), view.scope(first)), now)


def _consider_group(
    view: View, task: SerializedTask, waiting: Collection[TaskKey], now: datetime, map_index: int | None
) -> list[Action]:
    """As `_consider`, where each instance looks at those of its own index. What isn't expanded yet is, once it can."""
    first = next(iter(waiting))
    if first.map_index == NOT_MAPPED:
        verdict = judge(task, view.upstream(first), view.scope(first))
        if verdict in (Verdict.SKIP, Verdict.UPSTREAM_FAILED):
            return _judge(view, task, waiting, verdict, now)
        return _expand_group(view, task, first, verdict, now)
    if not view.is_measured(task.task_id):
        actions, going = _revise(view, task, waiting, now)
        return [*actions, *(action for key in going for action in _judge_one(view, task, key, now))]
    one = None if map_index is None else replace(first, map_index=map_index)
    keys = list(waiting) if one is None else [key for key in (one,) if key in waiting]
    return [action for key in keys for action in _judge_one(view, task, key, now)]


def _judge_one(view: View, task: SerializedTask, key: TaskKey, now: datetime) -> list[Action]:
    return _judge(view, task, [key], judge(task, view.upstream(key), view.scope(key)), now)


def _judge(
    view: View, task: SerializedTask, waiting: Collection[TaskKey], verdict: Verdict, now: datetime
) -> list[Action]:
    match verdict:
        case Verdict.WAIT:
            return []
        case Verdict.RUN:
            return _run(view, task, waiting, now)
        case Verdict.SKIP:
            return _settle(view, waiting, TaskState.SKIPPED, now) if _may_skip(view, task) else []
        case Verdict.UPSTREAM_FAILED:
            return _settle(view, waiting, TaskState.UPSTREAM_FAILED, now)


def _may_skip(view: View, task: SerializedTask) -> bool:
    return not (task.wait_for_past_depends_before_skipping and task.depends_on_past) or view.past(task.task_id)


def _settle(view: View, keys: Iterable[TaskKey], state: TaskState, now: datetime) -> list[Action]:
    return [_move(key, view.member(key) or Member(), state, now) for key in keys]


def _run(view: View, task: SerializedTask, waiting: Collection[TaskKey], now: datetime) -> list[Action]:
    if (task.depends_on_past or task.wait_for_downstream) and not view.past(task.task_id):
        return []
    whole = next(iter(waiting))
    if not task.is_mapped:
        return _begin(view, task, waiting, now)
    if whole.map_index == NOT_MAPPED:
        return _expand(view, task, whole, now)
    return _measure(view, task, waiting, now)


def _begin(view: View, task: SerializedTask, keys: Collection[TaskKey], now: datetime) -> list[Action]:
    out = [key for key in keys if view.is_ruled_out(key)]
    actions = _settle(view, out, TaskState.SKIPPED, now)
    going = [key for key in keys if key not in out] if out else keys
    if task.mode == "none":
        return actions + _settle(view, going, TaskState.SUCCESS, now)
    answer = view.answer(task.environment)
    for key in going:
        member = view.member(key) or Member()
        try_number = member.try_number + 1
        actions.append(_move(key, member, TaskState.SCHEDULED, now, to_try=try_number))
        if answer is not None and answer.error is not None:
            actions.append(_fail_unprepared(key, try_number, answer, now))
    return actions


# Dynamic mapping


def _expand(view: View, task: SerializedTask, whole: TaskKey, now: datetime) -> list[Action]:
    if view.is_ruled_out(whole):
        return _settle(view, [whole], TaskState.SKIPPED, now)
    length = _length(view, task)
    if length is None:
        return []
    if isinstance(length, TaskState):
        return _settle(view, [whole], length, now) if length is not TaskState.SKIPPED or _may_skip(view, task) else []
    keys = [replace(whole, map_index=index) for index in range(length)]
    return [Expansion(run=view.run, task_id=task.task_id, length=length), *_begin(view, task, keys, now)]


def _length(view: View, task: SerializedTask) -> int | TaskState | None:
    """As `find_length`; what there is none of is skipped."""
    length = find_length(view, task)
    return TaskState.SKIPPED if length == 0 else length


def _measure(view: View, task: SerializedTask, waiting: Collection[TaskKey], now: datetime) -> list[Action]:
    """A task that was expanded in an earlier go of the run begins, with as many instances as there have to be now."""
    if view.is_measured(task.task_id):
        return _begin(view, task, waiting, now)
    actions, going = _revise(view, task, waiting, now)
    return [*actions, *_begin(view, task, going, now)]


def _revise(
    view: View, task: SerializedTask, waiting: Collection[TaskKey], now: datetime
) -> tuple[list[Action], list[TaskKey]]:
    """What makes the instances as many as there have to be now, and those that wait then. Surplus ones are removed."""
    length = find_length(view, task)
    if length is None:
        return [], []
    if isinstance(length, TaskState):
        return _settle(view, waiting, length, now), []
    size = view.size(task.task_id)
    added = [replace(next(iter(waiting)), map_index=index) for index in range(size, length)]
    surplus = [key for key in waiting if key.map_index >= length]
    grown = Expansion(run=view.run, task_id=task.task_id, length=length, first=size, max_tries=task.retries)
    kept = [key for key in waiting if key.map_index < length]
    return [grown, *_settle(view, surplus, TaskState.REMOVED, now)], [*kept, *added]


def _expand_group(view: View, task: SerializedTask, whole: TaskKey, verdict: Verdict, now: datetime) -> list[Action]:
    """The unexpanded instance of a task in a mapped group becomes as many as the group has, whatever they wait for."""
    length = _length(view, task)
    if length is None or (isinstance(length, TaskState) and verdict is Verdict.WAIT):
        return []
    if isinstance(length, TaskState):
        return _settle(view, [whole], length, now) if length is not TaskState.SKIPPED or _may_skip(view, task) else []
    if view.is_ruled_out(whole):
        return _settle(view, [whole], TaskState.SKIPPED, now)
    keys = [replace(whole, map_index=index) for index in range(length)]
    expansion = Expansion(run=view.run, task_id=task.task_id, length=length)
    return [expansion, *(action for key in keys for action in _judge_one(view, task, key, now))]


def _move(
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
    """`next` stays while a try goes on."""
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
    )
