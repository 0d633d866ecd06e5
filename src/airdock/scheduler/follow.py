"""What becomes of those that wait for others, once one of these has ended. Pure."""

from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import datetime

from airdock.dag.serialized import SerializedTask
from airdock.model.keys import NOT_MAPPED, TaskKey
from airdock.model.states import FINISHED, TaskState
from airdock.scheduler.events import Action, Stop
from airdock.scheduler.expand import find_length
from airdock.scheduler.rules import Verdict, judge
from airdock.scheduler.transitions import fail_unprepared, move, settle
from airdock.scheduler.view import Member, View
from airdock.store.base import ACTIVE
from airdock.store.records import Expansion

__all__ = ["consider", "follow", "may_skip"]


def follow(view: View, key: TaskKey, now: datetime) -> list[Action]:
    """What becomes of those that look at this instance, which has ended."""
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
        actions += consider(view, task_id, now, key.map_index if is_paired else None)
    return actions


def _stop_others(view: View, now: datetime) -> Iterator[Action]:
    for key in view.unfinished():
        member = view.member(key)
        if member is None or member.state in FINISHED or view.task(key.task_id).is_teardown:
            continue
        if member.state in ACTIVE:
            yield Stop(key=key.attempt(member.try_number))
        else:
            yield move(key, member, TaskState.SKIPPED, now)


def consider(view: View, task_id: str, now: datetime, map_index: int | None = None) -> list[Action]:
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
    """As `consider`, where each instance looks at those of its own index. What isn't expanded yet is, once it can."""
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
            return settle(view, waiting, TaskState.SKIPPED, now) if may_skip(view, task) else []
        case Verdict.UPSTREAM_FAILED:
            return settle(view, waiting, TaskState.UPSTREAM_FAILED, now)


def may_skip(view: View, task: SerializedTask) -> bool:
    """Whether instances of the task may be skipped now: some wait for the run before even with that."""
    return not (task.wait_for_past_depends_before_skipping and task.depends_on_past) or view.past(task.task_id)


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
    actions = settle(view, out, TaskState.SKIPPED, now)
    going = [key for key in keys if key not in out] if out else keys
    if task.mode == "none":
        return actions + settle(view, going, TaskState.SUCCESS, now)
    answer = view.answer(task.environment)
    for key in going:
        member = view.member(key) or Member()
        try_number = member.try_number + 1
        actions.append(move(key, member, TaskState.SCHEDULED, now, to_try=try_number))
        if answer is not None and answer.error is not None:
            actions.append(fail_unprepared(key, try_number, answer, now))
    return actions


# Dynamic mapping


def _expand(view: View, task: SerializedTask, whole: TaskKey, now: datetime) -> list[Action]:
    if view.is_ruled_out(whole):
        return settle(view, [whole], TaskState.SKIPPED, now)
    length = _length(view, task)
    if length is None:
        return []
    if isinstance(length, TaskState):
        return settle(view, [whole], length, now) if length is not TaskState.SKIPPED or may_skip(view, task) else []
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
        return settle(view, waiting, length, now), []
    size = view.size(task.task_id)
    added = [replace(next(iter(waiting)), map_index=index) for index in range(size, length)]
    surplus = [key for key in waiting if key.map_index >= length]
    grown = Expansion(run=view.run, task_id=task.task_id, length=length, first=size, max_tries=task.retries)
    kept = [key for key in waiting if key.map_index < length]
    return [grown, *settle(view, surplus, TaskState.REMOVED, now)], [*kept, *added]


def _expand_group(view: View, task: SerializedTask, whole: TaskKey, verdict: Verdict, now: datetime) -> list[Action]:
    """The unexpanded instance of a task in a mapped group becomes as many as the group has, whatever they wait for."""
    length = _length(view, task)
    if length is None or (isinstance(length, TaskState) and verdict is Verdict.WAIT):
        return []
    if isinstance(length, TaskState):
        return settle(view, [whole], length, now) if length is not TaskState.SKIPPED or may_skip(view, task) else []
    if view.is_ruled_out(whole):
        return settle(view, [whole], TaskState.SKIPPED, now)
    keys = [replace(whole, map_index=index) for index in range(length)]
    expansion = Expansion(run=view.run, task_id=task.task_id, length=length)
    return [expansion, *(action for key in keys for action in _judge_one(view, task, key, now))]
