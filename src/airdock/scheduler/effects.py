"""What the tasks of a run that succeeded did to assets. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from airdock.dag.serialized import SerializedTask
from airdock.model.keys import TaskKey
from airdock.model.outcome import Succeeded
from airdock.model.states import TaskState
from airdock.scheduler.course import Course
from airdock.scheduler.events import Action
from airdock.store.records import AssetEvent, Transition

__all__ = ["find_events"]


def find_events(course: Course, actions: Iterable[Action]) -> list[AssetEvent]:
    """The events of the outlets of those that succeeded: as the task told them, else one for each asset."""
    found: list[AssetEvent] = []
    for action in actions:
        if isinstance(action, Transition) and action.target is TaskState.SUCCESS:
            task = course.view.task(action.key.task_id)
            ending = action.outcome.ending if action.outcome is not None else None
            told = ending.events if isinstance(ending, Succeeded) else ()
            found += [_event(each, action.key, action.at) for each in told or _untold(task)]
    return found


def _untold(task: SerializedTask) -> Iterator[Mapping[str, Any]]:
    """Where nobody ran who could tell, or who told of nothing. What an alias stands for only a task can say."""
    return (outlet["asset"] for outlet in task.outlets if "asset" in outlet)


def _event(told: Mapping[str, Any], source: TaskKey, at: datetime) -> AssetEvent:
    name, uri = str(told.get("name") or ""), str(told.get("uri") or "")
    return AssetEvent(
        name=name or uri,
        uri=uri or name,
        at=at,
        extra=dict(told.get("extra") or {}),
        alias=str(told.get("alias") or ""),
        source=source,
    )
