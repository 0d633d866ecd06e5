"""What a running task may ask for, whoever answers."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from airdock.model.keys import RunKey, TryKey

__all__ = ["TaskApi"]


class TaskApi(Protocol):
    """Answers for one try at a time, named by its key; calls come from several threads at once.

    Values are what JSON can carry. An AirdockError is told to the task as the answer; nothing else may be raised.
    """

    def xcom_get(
        self,
        key: TryKey,
        *,
        task_id: str,
        xcom_key: str,
        map_index: int | None,
        run: RunKey | None = None,
        prior: bool = False,
    ) -> Any:
        """What a task put there, None where nothing is. `map_index` None is the list of all.

        `run` is the try's own where it isn't given; with `prior` it is the newest up to its logical date in which there
        is a value.
        """
        ...

    def xcom_count(
        self, key: TryKey, *, task_id: str, xcom_key: str, run: RunKey | None = None, prior: bool = False
    ) -> int | None:
        """How many instances of a mapped task put a value there; None where the task isn't mapped."""
        ...

    def xcom_part(
        self,
        key: TryKey,
        *,
        task_id: str,
        xcom_key: str,
        start: int,
        stop: int,
        run: RunKey | None = None,
        prior: bool = False,
    ) -> list[Any]:
        """The values of a mapped task by map index, from place `start` to before `stop` of those that there are."""
        ...

    def xcom_put(self, key: TryKey, *, xcom_key: str, value: Any, is_mapped_over: bool = False) -> None:
        """Keep a value of this try's task instance; putting it again replaces it.

        RunnerError for one that others are mapped over, if it is longer than may be.
        """
        ...

    def images(self, run: RunKey) -> Mapping[str, str]:
        """The image digest of every task of the run, as far as it is known."""
        ...

    def variable(self, name: str) -> str | None:
        """An Airflow Variable, None where there is none."""
        ...

    def set_variable(self, name: str, value: str, *, description: str | None = None) -> None:
        """Keep an Airflow Variable, over the one there may be."""
        ...

    def delete_variable(self, name: str) -> None:
        """Forget an Airflow Variable; nothing happens where there is none."""
        ...

    def connection(self, id: str) -> Mapping[str, Any] | None:
        """An Airflow Connection's fields, None where there is none."""
        ...

    def run_state(self, run: RunKey) -> str | None:
        """The state of a run, None where there is none."""
        ...

    def runs(
        self,
        dag_id: str,
        *,
        logical_dates: Collection[datetime] | None = None,
        run_ids: Collection[str] | None = None,
        states: Collection[str] | None = None,
    ) -> list[str]:
        """The ids of a DAG's runs, the newest first; None is any."""
        ...

    def task_states(
        self, run: RunKey, *, task_ids: Collection[str] | None = None, group: str | None = None
    ) -> list[tuple[str, int, str]]:
        """Task id, map index and state of a run's task instances; of these tasks, or of a group's."""
        ...

    def previous_run(self, key: TryKey, *, state: str | None = None) -> Mapping[str, Any] | None:
        """The newest run of the DAG with an earlier logical date, as a start message has it; of a state, if given."""
        ...

    def following(self, key: TryKey) -> str | None:
        """When the interval after that of its run ends, by the DAG's schedule (ISO); None where nothing follows."""
        ...

    def trigger_run(self, key: TryKey, *, dag_id: str, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
        """Make a run of a DAG: {"run_id"}, with "exists" where it was there, or {"paused": true} and none is made.

        `wanted` has "run_id", "conf", "logical_date", "run_after" (ISO times), "note", "reset" (clear a run that is
        there) and "refuse_paused"; all may be missing.
        """
        ...

    def asset_events(self, wanted: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """The events of an asset ("name", "uri") or an "alias", the oldest first unless "ascending" is false.

        "after" and "before" (ISO times) bound them, "limit" is how many at most.
        """
        ...

    def check_assets(self, key: TryKey, assets: Sequence[tuple[str, str]]) -> None:
        """InactiveAssetError where one of these, each a name and an address, isn't active."""
        ...

    def state_get(self, key: TryKey, name: str, *, asset: Mapping[str, str] | None = None) -> Mapping[str, Any] | None:
        """{"value"} that a task instance keeps over its tries, or that is kept with an asset; None where none is."""
        ...

    def state_set(
        self, key: TryKey, name: str, value: Any, *, keep_s: float | None = None, asset: Mapping[str, str] | None = None
    ) -> None:
        """Keep a value for so many seconds; None is as long as the task instance, or the asset, is there."""
        ...

    def state_delete(self, key: TryKey, name: str | None, *, asset: Mapping[str, str] | None = None) -> None:
        """Forget a value, or with None all of them."""
        ...
