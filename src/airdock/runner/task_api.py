"""What a running task may ask for, whoever answers."""

from collections.abc import Mapping
from typing import Any, Protocol

from airdock.model.keys import RunKey, TryKey

__all__ = ["TaskApi"]


class TaskApi(Protocol):
    """Answers for one try at a time, named by its key; calls come from several threads at once.

    Values are what JSON can carry. An AirdockError is told to the task as the answer; nothing else may be raised.
    """

    def xcom_get(self, key: TryKey, *, task_id: str, xcom_key: str, map_index: int | None) -> Any:
        """What a task of the same run put there, None where nothing is. `map_index` None is the list of all."""
        ...

    def xcom_put(self, key: TryKey, *, xcom_key: str, value: Any) -> None:
        """Keep a value of this try's task instance; putting it again replaces it."""
        ...

    def images(self, run: RunKey) -> Mapping[str, str]:
        """The image digest of every task of the run, as far as it is known."""
        ...

    def variable(self, name: str) -> str | None:
        """An Airflow Variable, None where there is none."""
        ...

    def connection(self, id: str) -> Mapping[str, Any] | None:
        """An Airflow Connection's fields, None where there is none."""
        ...
