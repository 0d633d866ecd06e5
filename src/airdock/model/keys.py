"""What names a run, a task instance, and one try of it."""

from collections.abc import Mapping
from typing import Any, Self

from airdock.record import record

__all__ = ["NOT_MAPPED", "RunKey", "TaskKey", "TryKey", "WatchKey"]

NOT_MAPPED = -1
"""The map index of a task instance that isn't mapped, as in Airflow."""


@record
class RunKey:
    """One DAG run."""

    dag_id: str
    run_id: str


@record
class TaskKey:
    """One task instance of a DAG run; mapped instances count `map_index` from 0."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = NOT_MAPPED

    @property
    def run(self) -> RunKey:
        return RunKey(dag_id=self.dag_id, run_id=self.run_id)

    @property
    def label(self) -> str:
        """The task as people write it: `task`, or `task[3]` where it is mapped."""
        return self.task_id if self.map_index == NOT_MAPPED else f"{self.task_id}[{self.map_index}]"

    def attempt(self, try_number: int) -> "TryKey":
        """The key of one try of this task instance; tries count from 1."""
        return TryKey(
            dag_id=self.dag_id,
            run_id=self.run_id,
            task_id=self.task_id,
            map_index=self.map_index,
            try_number=try_number,
        )


@record
class TryKey:
    """One try of one task instance. Executors know work only by this key."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = NOT_MAPPED
    try_number: int = 1

    @property
    def task(self) -> TaskKey:
        return TaskKey(dag_id=self.dag_id, run_id=self.run_id, task_id=self.task_id, map_index=self.map_index)

    def to_dict(self) -> dict[str, Any]:
        return {
            "dag_id": self.dag_id,
            "run_id": self.run_id,
            "task_id": self.task_id,
            "map_index": self.map_index,
            "try_number": self.try_number,
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        return cls(
            dag_id=value["dag_id"],
            run_id=value["run_id"],
            task_id=value["task_id"],
            map_index=value["map_index"],
            try_number=value["try_number"],
        )


@record
class WatchKey:
    """One trigger that watches an asset: by the asset's name and address, and a digest of the trigger's arguments."""

    name: str
    uri: str
    trigger: str
    digest: str

    @property
    def label(self) -> str:
        """The asset and its trigger as people know them."""
        return f"{self.trigger.rpartition('.')[2]} of asset {self.name!r}"
