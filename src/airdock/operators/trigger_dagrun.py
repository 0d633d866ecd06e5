"""A task that starts a run of another DAG."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from airdock.dag.exceptions import AirflowException, AirflowSkipException
from airdock.dag.operator import BaseOperator
from airdock.operators.external_triggers import DagStateTrigger
from airdock.operators.moments import now, parse_moment

__all__ = ["DagIsPaused", "TriggerDagRunOperator"]

_NOT_GIVEN: Final[Any] = object()


class DagIsPaused(AirflowException):
    """The DAG whose run was to be started is paused."""


class TriggerDagRunOperator(BaseOperator):
    """Starts a run of `trigger_dag_id`, and with `wait_for_completion` waits until it has ended.

    A run that is there already fails the task; with `reset_dag_run` it is cleared, and with `skip_when_already_exists`
    the task is skipped. `poke_interval` is in seconds.
    """

    template_fields: Sequence[str] = (
        "trigger_dag_id",
        "trigger_run_id",
        "logical_date",
        "conf",
        "wait_for_completion",
        "skip_when_already_exists",
    )
    ui_color = "#ffefeb"

    def __init__(
        self,
        *,
        trigger_dag_id: str,
        trigger_run_id: str | None = None,
        conf: Any = None,
        logical_date: str | datetime | None = _NOT_GIVEN,
        run_after: str | datetime | None = _NOT_GIVEN,
        reset_dag_run: bool = False,
        wait_for_completion: bool = False,
        poke_interval: float = 60,
        allowed_states: Sequence[str] | None = None,
        failed_states: Sequence[str] | None = None,
        skip_when_already_exists: bool = False,
        fail_when_dag_is_paused: bool = False,
        note: str | None = None,
        deferrable: bool = False,
        openlineage_inject_parent_info: bool = True,
        task_id: str,
        **arguments: Any,
    ) -> None:
        super().__init__(task_id=task_id, **arguments)
        self.trigger_dag_id = trigger_dag_id
        self.trigger_run_id = trigger_run_id
        self.conf = conf
        self._dated = logical_date is not _NOT_GIVEN
        self.logical_date = logical_date if self._dated else None
        self.run_after = None if run_after is _NOT_GIVEN else run_after
        self.reset_dag_run = reset_dag_run
        self.wait_for_completion = wait_for_completion
        self.poke_interval = poke_interval
        self.allowed_states = [str(each) for each in allowed_states or ("success",)]
        self.failed_states = [str(each) for each in (("failed",) if failed_states is None else failed_states)]
        self.skip_when_already_exists = skip_when_already_exists
        self.fail_when_dag_is_paused = fail_when_dag_is_paused
        self.note = note
        self.deferrable = deferrable

    def execute(self, context: Any) -> None:
        ti = context["ti"]
        due = None if self.run_after is None else parse_moment(self.run_after)
        date = self._date(due)
        made = ti.trigger_dag_run(
            dag_id=self.trigger_dag_id, run_id=self.trigger_run_id, conf=self._conf(), logical_date=date,
            run_after=due, reset=self.reset_dag_run, note=self.note, refuse_paused=self.fail_when_dag_is_paused,
        )  # fmt: skip
        if made.get("paused"):
            raise DagIsPaused(f"Dag {self.trigger_dag_id} is paused")
        run_id = made["run_id"]
        if made.get("exists"):
            said = f"run {run_id!r} of DAG {self.trigger_dag_id!r} is there already"
            raise (AirflowSkipException if self.skip_when_already_exists else AirflowException)(said)
        print(f"Triggered run {run_id} of DAG {self.trigger_dag_id}")  # noqa: T201  a task's prints are its log
        ti.xcom_push(key="trigger_run_id", value=run_id)
        if self.wait_for_completion:
            self._await_end(ti, run_id)

    def execute_complete(self, context: Any, event: Any = None) -> None:
        """Called when the run has ended that was waited for."""
        data = event[1] if isinstance(event, list | tuple) else event
        for run_id in data["run_ids"]:
            self._judge(run_id, data.get(run_id))

    def _await_end(self, ti: Any, run_id: str) -> None:
        if self.deferrable:
            states = [*self.allowed_states, *self.failed_states]
            trigger = DagStateTrigger(self.trigger_dag_id, states, [run_id], poll_interval=self.poke_interval)
            self.defer(trigger=trigger, method_name="execute_complete")
        from time import sleep

        while not self._judge(run_id, ti.get_dagrun_state(self.trigger_dag_id, run_id)):
            sleep(self.poke_interval)

    def _judge(self, run_id: str, state: str | None) -> bool:
        """Whether the run has ended well; AirflowException where it has ended badly."""
        if state in self.failed_states:
            raise AirflowException(f"{self.trigger_dag_id} failed with failed state {state} (run {run_id})")
        return state in self.allowed_states

    def _date(self, due: datetime | None) -> datetime | None:
        if self._dated:
            return None if self.logical_date is None else parse_moment(self.logical_date)
        return now() if due is None else None

    def _conf(self) -> dict[str, Any]:
        import json

        conf = json.loads(self.conf) if isinstance(self.conf, str) and self.conf else self.conf
        try:
            json.dumps(conf)
        except TypeError as error:
            raise ValueError(f"expected conf to be JSON: {error}") from error
        return dict(conf or {})
