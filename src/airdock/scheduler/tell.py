"""Tell people and programs what a turn of the loop changed."""

from collections.abc import Collection, Iterable
from datetime import datetime

from airdock.model.keys import TaskKey
from airdock.model.progress import Report, RunChanged, TaskChanged
from airdock.model.states import TaskState
from airdock.scheduler.course import Course
from airdock.scheduler.events import Action
from airdock.store.records import RunTransition, Transition

__all__ = ["tell_released", "tell_run", "tell_tasks"]


def tell_run(report: Report, change: RunTransition) -> None:
    """A run entered a state."""
    key = change.key
    report(RunChanged(dag_id=key.dag_id, run_id=key.run_id, state=change.target, at=change.at, reason=change.reason))


def tell_tasks(report: Report, course: Course, actions: Iterable[Action], queued: Collection[Transition]) -> None:
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


def tell_released(report: Report, course: Course, queued: Collection[Transition], at: datetime) -> None:
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


def _why(course: Course, key: TaskKey) -> str:
    is_made = course.view.answer(course.view.task(key.task_id).environment) is not None
    return course.ready.why(key.task_id) if is_made else "image"
