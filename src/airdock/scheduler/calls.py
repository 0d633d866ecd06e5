"""Which callbacks have to be called that no task's process calls. Pure.

A task that imports its DAG file calls its own: as it begins, and once it has told how it ended. What is left are those
of DAGs, those of tasks in images of their own, and those of tasks whose process ended before it could tell anything.

What was stopped calls nobody itself: a try that was cancelled isn't told of, one that was out of time is.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from airdock.dag.serialized import SerializedTask
from airdock.model.outcome import Failed, Skipped
from airdock.model.states import FINISHED, RunState, TaskState
from airdock.scheduler.course import Course
from airdock.scheduler.describe import describe_call, describe_end, describe_instance
from airdock.scheduler.events import Action
from airdock.store.records import CallbackRow, RunTransition, Transition

__all__ = ["find_calls"]

_OF_TASK: Final = {
    TaskState.SUCCESS: "on_success_callback",
    TaskState.FAILED: "on_failure_callback",
    TaskState.UP_FOR_RETRY: "on_retry_callback",
    TaskState.SKIPPED: "on_skipped_callback",
}
_EXECUTE: Final = "on_execute_callback"
_OF_RUN: Final = {RunState.SUCCESS: "on_success_callback", RunState.FAILED: "on_failure_callback"}
_DEADLOCK: Final = "what can't happen any more"


def find_calls(course: Course, actions: Iterable[Action], end: RunTransition | None) -> Iterator[CallbackRow]:
    """Those that follow from what was decided of a run."""
    for action in actions:
        if isinstance(action, Transition):
            found = (_of_beginning(course, action), _of_task(course, action))
            yield from (CallbackRow(call=call, created=action.at) for call in found if call is not None)
    if end is not None and (name := _OF_RUN.get(end.target)) in course.dag.callbacks:
        yield CallbackRow(call=_of_run(course, end, str(name)), created=end.at)


def _of_beginning(course: Course, step: Transition) -> dict[str, Any] | None:
    """The call for the beginning of a task that is done without a try; others are called in it, or in a first step."""
    task = course.view.task(step.key.task_id)
    if _EXECUTE not in task.callbacks or not _is_alone(task, step):
        return None
    instance = describe_instance(course.view.member(step.key))
    return describe_call(course.dag, course.run, _EXECUTE, key=step.key.attempt(step.try_number), instance=instance)


def _is_alone(task: SerializedTask, step: Transition) -> bool:
    """Whether the task is done without a try."""
    return task.mode == "none" and step.target is TaskState.SUCCESS


def _of_task(course: Course, step: Transition) -> dict[str, Any] | None:
    """The call for the end of a try; None where there is none, or the try's own process has made it."""
    name = _OF_TASK.get(step.target)
    task = course.view.task(step.key.task_id)
    if name not in task.callbacks or (step.outcome is None and not _is_alone(task, step)):
        return None
    if task.mode == "sdk" and step.outcome is not None and step.outcome.times.user_ended is not None:
        return None
    ending = step.outcome.ending if step.outcome is not None else None
    said = ending.reason if isinstance(ending, Failed | Skipped) else ""
    return describe_call(
        course.dag,
        course.run,
        str(name),
        key=step.key.attempt(step.try_number),
        instance=describe_end(course.view.member(step.key)),
        reason=said,
        error=said if isinstance(ending, Failed) else "",
    )


def _of_run(course: Course, end: RunTransition, name: str) -> dict[str, Any]:
    call = describe_call(course.dag, course.run, name, reason=_reason(end))
    run = {**call["run"], "state": str(end.target), "end_date": end.at.isoformat()}
    return {**call, "run": run, "last": _last(course, end.target)}


def _last(course: Course, state: RunState) -> dict[str, Any] | None:
    """The instance that ended last of those that ended as the run did, else of all that ended; None for none."""
    alike = TaskState.SUCCESS if state is RunState.SUCCESS else TaskState.FAILED
    found = course.view.members(alike) or course.view.members(*FINISHED)
    if not found:
        return None
    key, member = max(found, key=lambda each: each[1].ended.timestamp() if each[1].ended is not None else 0.0)
    place = {"task_id": key.task_id, "map_index": key.map_index, "try_number": member.try_number}
    return {**place, **describe_end(member)}


def _reason(end: RunTransition) -> str:
    """Airflow's word for why a run ended."""
    if end.target is RunState.SUCCESS:
        return "success"
    if end.reason == "timed out":
        return "timed_out"
    return "all_tasks_deadlocked" if end.reason.endswith(_DEADLOCK) else "task_failure"
