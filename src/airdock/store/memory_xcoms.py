"""The XComs of one run in this process's memory."""

from collections import defaultdict

from airdock.model.keys import TaskKey
from airdock.store.records import XCom

__all__ = ["MemoryXComs"]


class MemoryXComs:
    """By task, name and map index, so that neither a look-up nor a retry goes over those of other tasks."""

    def __init__(self) -> None:
        self._tasks: defaultdict[str, dict[str, dict[int, XCom]]] = defaultdict(dict)

    def put(self, xcom: XCom) -> None:
        self._tasks[xcom.key.task_id].setdefault(xcom.name, {})[xcom.key.map_index] = xcom

    def find(self, task_id: str, name: str, map_index: int | None) -> list[XCom]:
        """By map index."""
        found = self._tasks[task_id].get(name, {}) if task_id in self._tasks else {}
        if map_index is not None:
            return [found[map_index]] if map_index in found else []
        return [xcom for _, xcom in sorted(found.items())]

    def forget(self, key: TaskKey) -> None:
        """Those of one instance."""
        for found in self._tasks[key.task_id].values() if key.task_id in self._tasks else ():
            found.pop(key.map_index, None)
