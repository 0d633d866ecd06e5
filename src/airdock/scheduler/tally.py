"""Counts of instances by the task that looks at them, and inside of mapped groups by its index too. Pure."""

from collections.abc import Iterable

from airdock.model.keys import NOT_MAPPED, TaskKey
from airdock.scheduler.rules import Counts

__all__ = ["Tally"]


class Tally:
    """For each task the counts of instances that concern all of its own, and of those that concern one index.

    What stays unexpanded in a mapped group concerns all.
    """

    def __init__(self, task_ids: Iterable[str]) -> None:
        self._all = {task_id: Counts() for task_id in task_ids}
        self._at: dict[str, dict[int, Counts]] = {}

    def all(self, task_id: str) -> Counts:
        """Of the instances that concern all instances of the task; to be changed in place."""
        return self._all[task_id]

    def at(self, task_id: str, map_index: int) -> Counts:
        """Of those that concern the instance with this index; to be changed in place."""
        if map_index == NOT_MAPPED:
            return self._all[task_id]
        return self._at.setdefault(task_id, {}).setdefault(map_index, Counts())

    def total(self, key: TaskKey) -> Counts:
        """Of all that concern the instance. Not to be changed."""
        found = self._at.get(key.task_id, {}).get(key.map_index)
        return self._all[key.task_id] if found is None else self._all[key.task_id] + found
