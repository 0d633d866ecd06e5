"""The loop's side of triggers: which deferred tries wait for which, kept in step with what was decided."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from airdock.model.keys import TryKey
from airdock.model.states import TaskState
from airdock.scheduler.course import Course
from airdock.scheduler.events import Action
from airdock.store.records import Transition

__all__ = ["Triggering", "Waiters"]


class Triggering(Protocol):
    """Runs triggers and tells once of each: `triggers.base.Triggering` says more."""

    def subscribe(self, fired: Callable[[TryKey, Any, str], None]) -> None: ...

    def add(self, key: TryKey, trigger: Mapping[str, Any], *, loader: Mapping[str, Any]) -> None: ...

    def remove(self, key: TryKey, *, killed: bool = False) -> None: ...


class Waiters:
    """`open` gives what runs triggers, started, and is asked with the first that there is; `fired` is told of each."""

    def __init__(self, open: Callable[[], Triggering] | None, fired: Callable[[TryKey, Any, str], None]) -> None:
        self._open, self._fired = open, fired
        self._triggering: Triggering | None = None

    @property
    def is_there(self) -> bool:
        """Whether anybody runs triggers."""
        return self._open is not None

    def take_up(self, course: Course) -> None:
        """Add what the run's deferred tries wait for."""
        for key, trigger in course.deferred():
            self._add(course, key, trigger)

    def follow(self, course: Course, actions: Iterable[Action]) -> None:
        """Add and remove what was decided, once it is stored."""
        for action in actions:
            if not isinstance(action, Transition):
                continue
            if action.target is TaskState.DEFERRED and action.trigger is not None:
                self._add(course, action.key.attempt(action.to_try), action.trigger)
            elif action.source is TaskState.DEFERRED and self._triggering is not None:
                self._triggering.remove(action.key.attempt(action.try_number))

    def forget(self, course: Course) -> None:
        """The run is worked on here no longer."""
        if self._triggering is not None:
            for key, _ in course.deferred():
                self._triggering.remove(key)

    def _add(self, course: Course, key: TryKey, trigger: Mapping[str, Any]) -> None:
        assert self._open is not None
        if self._triggering is None:
            self._triggering = self._open()
            self._triggering.subscribe(self._fired)
        self._triggering.add(key, trigger, loader=course.view.task(key.task_id).payload)
