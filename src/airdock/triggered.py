"""Runs that running tasks ask for."""

import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, Protocol

from airdock.clock import Clock
from airdock.dag.serialized import SerializedDag
from airdock.errors import ConflictError
from airdock.model.keys import RunKey
from airdock.scheduler.timetables import RunPlan, name_run
from airdock.store.base import Store
from airdock.store.filters import RunFilter

__all__ = ["Create", "TriggeredRuns"]

_TYPE: Final = "operator_triggered"


class Create(Protocol):
    """Makes a run. ConflictError where there is one of that id or logical date."""

    def __call__(
        self,
        dag: SerializedDag,
        *,
        plan: RunPlan,
        conf: Mapping[str, Any],
        note: str,
    ) -> RunKey: ...


class TriggeredRuns:
    """Makes, or clears, the run that a task wants: `runner.task_api.TaskApi.trigger_run` says what it may want.

    `find` gives a DAG as it is now, and raises DagError where there is none. `made` is told of each run that waits.
    """

    def __init__(
        self,
        *,
        store: Store,
        find: Callable[[str], SerializedDag],
        create: Create,
        is_paused: Callable[[str], bool],
        clock: Clock,
        made: Callable[[], None] = lambda: None,
    ) -> None:
        self._store, self._find, self._create = store, find, create
        self._is_paused, self._clock, self._made = is_paused, clock, made

    def __call__(self, dag_id: str, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
        """The answer to the task. Raises DagError, and what making a run of the DAG raises."""
        dag = self._find(dag_id)
        if wanted.get("refuse_paused") and self._is_paused(dag_id):
            return {"paused": True}
        due = _moment(wanted.get("run_after"))
        run_after = due or self._clock.now()
        date = _moment(wanted["logical_date"]) if "logical_date" in wanted else None if due else run_after
        run_id = wanted.get("run_id") or self._name(date, run_after)
        interval = (date, date) if date else None
        plan = RunPlan(run_type=_TYPE, run_id=run_id, logical_date=date, interval=interval, run_after=run_after)
        try:
            key = self._create(dag, plan=plan, conf=dict(wanted.get("conf") or {}), note=wanted.get("note") or "")
        except ConflictError:
            found = self._there(dag_id, run_id, date)
            if found is None:
                raise
            return self._again(found, reset=bool(wanted.get("reset")))
        self._made()
        return {"run_id": key.run_id}

    def _name(self, date: datetime | None, run_after: datetime) -> str:
        """Runs without a date need something else to be told apart by."""
        return name_run(_TYPE, date or run_after, suffix="" if date else secrets.token_hex(4))

    def _there(self, dag_id: str, run_id: str, date: datetime | None) -> RunKey | None:
        """The run that is in the way: of this id, or of this date."""
        found = self._store.list_runs(dag_id=dag_id, run_id=run_id, limit=1)
        if not found and date is not None:
            found = self._store.find_runs(RunFilter(dag_id=dag_id, dates=[date], limit=1))
        return found[0].key if found else None

    def _again(self, key: RunKey, *, reset: bool) -> Mapping[str, Any]:
        if not reset:
            return {"run_id": key.run_id, "exists": True}
        dag = SerializedDag.from_dict(self._store.load_dag(self._store.load_run(key).dag_digest))
        retries = {task.task_id: task.retries for task in dag.tasks}
        rows = self._store.list_instances(key)
        self._store.clear(key, {row.key: retries.get(row.key.task_id, 0) for row in rows}, at=self._clock.now())
        self._made()
        return {"run_id": key.run_id}


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
