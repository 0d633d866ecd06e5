"""Triggers that wait for runs and tasks of other DAGs. `task_instance` answers how these are."""

from collections.abc import AsyncIterator, Collection, Sequence
from datetime import datetime
from typing import Any, Final

from airdock.dag.trigger import BaseTrigger, TriggerEvent

__all__ = ["DagStateTrigger", "WorkflowTrigger", "count_ended"]

_PATH: Final = "airflow.providers.standard.triggers.external_task"


class DagStateTrigger(BaseTrigger):
    """Fires when all of the runs are in one of the states, with the state of each."""

    def __init__(
        self,
        dag_id: str,
        states: Sequence[str],
        run_ids: Sequence[str] | None = None,
        execution_dates: Sequence[datetime] | None = None,
        poll_interval: float = 5.0,
    ) -> None:
        super().__init__()
        self.dag_id = dag_id
        self.states = [str(each) for each in states]
        self.run_ids = list(run_ids or ())
        self.execution_dates = execution_dates
        self.poll_interval = poll_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        kwargs = {"dag_id": self.dag_id, "states": self.states, "run_ids": self.run_ids,
                  "execution_dates": self.execution_dates, "poll_interval": self.poll_interval}  # fmt: skip
        return f"{_PATH}.DagStateTrigger", kwargs

    async def run(self) -> AsyncIterator[TriggerEvent]:
        import asyncio  # only the triggerer needs it, and has it

        while True:
            states = {each: self.task_instance.get_dagrun_state(self.dag_id, each) for each in self.run_ids}
            if all(state in self.states for state in states.values()):
                yield TriggerEvent([f"{_PATH}.DagStateTrigger", {**self.serialize()[1], **states}])
                return
            await asyncio.sleep(self.poll_interval)


class WorkflowTrigger(BaseTrigger):
    """Fires when the runs, tasks or task group of another DAG are in one of the states asked for."""

    def __init__(
        self,
        external_dag_id: str,
        run_ids: Sequence[str] | None = None,
        execution_dates: Sequence[datetime] | None = None,
        logical_dates: Sequence[datetime] | None = None,
        external_task_ids: Collection[str] | None = None,
        external_task_group_id: str | None = None,
        failed_states: Collection[str] | None = None,
        skipped_states: Collection[str] | None = None,
        allowed_states: Collection[str] | None = None,
        poke_interval: float = 2.0,
        soft_fail: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        self.external_dag_id = external_dag_id
        self.run_ids = run_ids
        self.logical_dates = logical_dates or execution_dates
        self.external_task_ids = external_task_ids
        self.external_task_group_id = external_task_group_id
        self.failed_states = failed_states
        self.skipped_states = skipped_states
        self.allowed_states = allowed_states
        self.poke_interval = poke_interval
        self.soft_fail = soft_fail

    def serialize(self) -> tuple[str, dict[str, Any]]:
        names = ("external_dag_id", "run_ids", "logical_dates", "external_task_ids", "external_task_group_id",
                 "failed_states", "skipped_states", "allowed_states", "poke_interval", "soft_fail")  # fmt: skip
        return f"{_PATH}.WorkflowTrigger", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        import asyncio  # only the triggerer needs it, and has it

        wanted = len(self.run_ids or self.logical_dates or ())
        while True:
            if self.failed_states and self._count(self.failed_states):
                yield TriggerEvent({"status": "failed"})
                return
            if self.skipped_states and self._count(self.skipped_states):
                yield TriggerEvent({"status": "skipped"})
                return
            if wanted and self._count(self.allowed_states or ("success",)) >= wanted:
                yield TriggerEvent({"status": "success"})
                return
            await asyncio.sleep(self.poke_interval)

    def _count(self, states: Collection[str]) -> float:
        return count_ended(
            self.task_instance, self.external_dag_id, states, task_ids=self.external_task_ids,
            group_id=self.external_task_group_id, run_ids=self.run_ids, dates=self.logical_dates,
        )  # fmt: skip


def count_ended(
    ti: Any,
    dag_id: str,
    states: Collection[str],
    *,
    task_ids: Collection[str] | None,
    group_id: str | None,
    run_ids: Sequence[str] | None,
    dates: Sequence[datetime] | None,
) -> float:
    """In how many of the runs all that is waited for is in one of the states; with several tasks also parts of one."""
    where = {"run_ids": run_ids, "logical_dates": dates}
    if task_ids:
        found: int = ti.get_ti_count(dag_id=dag_id, task_ids=list(task_ids), states=list(states), **where)
        return found / len(task_ids)
    if group_id:
        runs = ti.get_task_states(dag_id=dag_id, task_group_id=group_id, **where)
        return sum(bool(run) and all(state in states for state in run.values()) for run in runs.values())
    count: int = ti.get_dr_count(dag_id=dag_id, states=list(states), **where)
    return count
