"""Tasks that wait for tasks and runs of other DAGs, or say that others wait for them."""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from airdock.dag.exceptions import AirflowException, AirflowSkipException
from airdock.dag.sensor import BaseSensorOperator
from airdock.errors import DagError
from airdock.operators.empty import EmptyOperator
from airdock.operators.external_triggers import WorkflowTrigger, count_ended
from airdock.operators.moments import moment_of_run

__all__ = ["ExternalTaskFailedError", "ExternalTaskMarker", "ExternalTaskSensor"]


class ExternalTaskFailedError(AirflowException):
    """What was waited for has failed."""


class ExternalTaskSensor(BaseSensorOperator):
    """Waits until tasks, a task group or the whole run of another DAG have ended well, at the same logical date.

    `execution_delta` is how much earlier that date is, `execution_date_fn` gives the dates. `allowed_states` end the
    wait, `skipped_states` skip the task, `failed_states` fail it.
    """

    template_fields: Sequence[str] = (
        "external_dag_id",
        "external_task_id",
        "external_task_ids",
        "external_task_group_id",
    )
    ui_color = "#4db7db"

    def __init__(
        self,
        *,
        external_dag_id: str,
        external_task_id: str | None = None,
        external_task_ids: Collection[str] | None = None,
        external_task_group_id: str | None = None,
        allowed_states: Iterable[str] | None = None,
        skipped_states: Iterable[str] | None = None,
        failed_states: Iterable[str] | None = None,
        execution_delta: timedelta | None = None,
        execution_date_fn: Callable[..., Any] | None = None,
        check_existence: bool = False,
        poll_interval: float | None = None,
        deferrable: bool = False,
        task_id: str,
        **arguments: Any,
    ) -> None:
        super().__init__(task_id=task_id, **arguments)
        where = f"{self.where} (task {task_id!r})"
        if sum(each is not None for each in (external_task_id, external_task_ids, external_task_group_id)) > 1:
            raise DagError(
                "expected one of external_task_id, external_task_ids and external_task_group_id", where=where
            )
        if execution_delta is not None and execution_date_fn is not None:
            raise DagError("expected one of execution_delta and execution_date_fn, found both", where=where)
        self.external_dag_id = external_dag_id
        self.external_task_id = external_task_id
        self.external_task_ids = [external_task_id] if external_task_id is not None else external_task_ids
        self.external_task_group_id = external_task_group_id
        self.skipped_states = [str(each) for each in skipped_states or ()]
        self.failed_states = [str(each) for each in failed_states or ()]
        self.allowed_states = [str(each) for each in (("success",) if allowed_states is None else allowed_states)]
        self.execution_delta = execution_delta
        self.execution_date_fn = execution_date_fn
        self.check_existence = check_existence
        self.poll_interval = self.poke_interval if poll_interval is None else poll_interval
        self.deferrable = deferrable

    def dates(self, context: Any) -> list[datetime]:
        """The logical dates of the runs that are waited for."""
        date = moment_of_run(context)
        if self.execution_delta is not None:
            return [date - self.execution_delta]
        if self.execution_date_fn is None:
            return [date]
        found = self.execution_date_fn(date, **context.keywords_for(self.execution_date_fn, (date,), {}))
        return list(found) if isinstance(found, list | tuple) else [found]

    def poke(self, context: Any) -> bool:
        dates = self.dates(context)
        print(f"Poking for {self._shown()} on {', '.join(map(str, dates))}")  # noqa: T201  a task's log
        if self.failed_states and self._count(context, self.failed_states, dates):
            raise self._failed()
        if self.skipped_states and self._count(context, self.skipped_states, dates):
            raise AirflowSkipException(f"{self._shown()} is in one of {', '.join(self.skipped_states)}; skipping")
        return self._count(context, self.allowed_states, dates) >= len(dates)

    def execute(self, context: Any) -> Any:
        if not self.deferrable:
            return super().execute(context)
        trigger = WorkflowTrigger(
            self.external_dag_id, logical_dates=self.dates(context), external_task_ids=self.external_task_ids,
            external_task_group_id=self.external_task_group_id, failed_states=self.failed_states,
            skipped_states=self.skipped_states, allowed_states=self.allowed_states, poke_interval=self.poll_interval,
            soft_fail=self.soft_fail,
        )  # fmt: skip
        return self.defer(trigger=trigger, method_name="execute_complete", timeout=self.timeout)

    def execute_complete(self, context: Any, event: Any = None) -> None:
        """Called when the wait is over."""
        status = (event or {}).get("status")
        if status == "failed":
            raise self._failed()
        if status == "skipped":
            raise AirflowSkipException(f"{self._shown()} was skipped; skipping")
        if status != "success":
            raise AirflowException(f"expected the trigger to say success, failed or skipped, found {event!r}")

    def _count(self, context: Any, states: Collection[str], dates: Sequence[datetime]) -> float:
        return count_ended(
            context["ti"], self.external_dag_id, states, task_ids=self.external_task_ids,
            group_id=self.external_task_group_id, run_ids=None, dates=dates,
        )  # fmt: skip

    def _failed(self) -> AirflowException:
        text = f"{self._shown()} has failed"
        return AirflowSkipException(text) if self.soft_fail else ExternalTaskFailedError(text)

    def _shown(self) -> str:
        inner = self.external_task_group_id or ", ".join(self.external_task_ids or ())
        return f"{self.external_dag_id}.{inner}" if inner else self.external_dag_id


class ExternalTaskMarker(EmptyOperator):
    """Says that a task of another DAG waits for this one, so that clearing this may clear that."""

    template_fields: Sequence[str] = ("external_dag_id", "external_task_id", "logical_date")
    ui_color = "#4db7db"

    def __init__(
        self,
        *,
        external_dag_id: str,
        external_task_id: str,
        logical_date: str | datetime | None = "{{ logical_date.isoformat() }}",
        recursion_depth: int = 10,
        task_id: str,
        **arguments: Any,
    ) -> None:
        super().__init__(task_id=task_id, **arguments)
        if recursion_depth <= 0:
            raise DagError(f"expected recursion_depth of 1 or more, found {recursion_depth}", where=self.where)
        self.external_dag_id = external_dag_id
        self.external_task_id = external_task_id
        self.logical_date = logical_date
        self.recursion_depth = recursion_depth
