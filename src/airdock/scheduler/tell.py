"""Tell people and programs what a turn of the loop changed."""

from collections.abc import Collection, Iterable
from datetime import datetime

from airdock.model.events import Waiting
from airdock.model.keys import TaskKey
from airdock.model.progress import Report, RunChanged, TaskChanged
from airdock.model.states import FINISHED, TaskState
from airdock.scheduler.course import Course
from airdock.scheduler.events import Action
from airdock.scheduler.turn import Turn
from airdock.store.records import RunTransition, Transition

__all__ = ["tell_held", "tell_turn"]


def tell_turn(report: Report, turn: Turn, now: datetime) -> None:
    """All that a turn changed of its run."""
    for change in turn.runs:
        _tell_run(report, change)
    _tell_tasks(report, turn.course, turn.actions, turn.claims)
    _tell_waiting(report, turn.course, turn.actions, now)
    _tell_released(report, turn.course, turn.claims, now)
    if turn.end is not None:
        _tell_run(report, turn.end)


def _tell_run(report: Report, change: RunTransition) -> None:
    """A run entered a state."""
    key = change.key
    report(RunChanged(dag_id=key.dag_id, run_id=key.run_id, state=change.target, at=change.at, reason=change.reason))


def _tell_tasks(report: Report, course: Course, actions: Iterable[Action], queued: Collection[Transition]) -> None:
    """Task instances entered states; what waits is told with what it waits for."""
    going_on = {step.key for step in queued}
    for action in (*actions, *queued):
        if isinstance(action, Transition):
            waits = action.target is TaskState.SCHEDULED and action.key not in going_on
            report(
                TaskChanged(
                    key=action.key,
                    state=action.target,
                    at=action.at,
                    try_number=action.to_try,
                    waiting_for=_why(course, action.key) if waits else "",
                    outcome=action.outcome,
                )
            )


def _tell_released(report: Report, course: Course, queued: Collection[Transition], at: datetime) -> None:
    """Images became ready, and these task instances wait for something else now."""
    going_on = {step.key for step in queued}
    for key in course.pop_released():
        member = course.view.member(key)
        if key not in going_on and member is not None and member.state is TaskState.SCHEDULED:
            report(
                TaskChanged(
                    key=key,
                    state=member.state,
                    at=at,
                    try_number=member.try_number,
                    waiting_for=_why(course, key),
                )
            )


def tell_held(report: Report, event: Waiting, at: datetime) -> None:
    """An executor can't begin a try yet."""
    key = event.key
    report(
        TaskChanged(
            key=key.task,
            state=TaskState.QUEUED,
            at=at,
            try_number=key.try_number,
            waiting_for=event.reason,
        )
    )


def _tell_waiting(report: Report, course: Course, actions: Iterable[Action], at: datetime) -> None:
    """A task that others wait for is done: what they still wait for."""
    done = {action.key.task_id for action in actions if isinstance(action, Transition) and action.target in FINISHED}
    settled = [task_id for task_id in done if course.view.is_settled(task_id)]
    for task_id in {below: None for each in settled for below in course.view.downstream(each)}:
        above = [each for each in course.view.task(task_id).upstream if not course.view.is_settled(each)]
        for key in list(course.view.waiting(task_id)) if above else ():
            report(TaskChanged(key=key, state=TaskState.NONE, at=at, waiting_for=", ".join(above)))


def _why(course: Course, key: TaskKey) -> str:
    is_made = course.view.answer(course.view.task(key.task_id).environment) is not None
    return course.ready.why(key.task_id) if is_made else "image"
