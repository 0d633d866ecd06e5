"""The keywords that every task takes (Airflow's and Airdock's), with their defaults, and the checks of their values."""

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypedDict

from airdock.dag.trigger_rule import TriggerRule
from airdock.dag.weights import find_strategy
from airdock.errors import DagError

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["TASK_DEFAULTS", "TaskArguments", "check_task_arguments", "seconds"]


class TaskArguments(TypedDict, total=False):
    """What `BaseOperator`, `@task` and `.partial` take beside what is their own."""

    # what the task needs; none of them is the host image
    image: str | None
    dockerfile: str | None
    requirements: "list[str] | tuple[str, ...] | str | None"
    python: str | None
    memory: str | int | None
    cpus: float | None
    # Airflow's
    owner: str
    email: Any
    email_on_retry: bool
    email_on_failure: bool
    retries: int | None
    retry_delay: timedelta | float
    retry_exponential_backoff: bool | float
    max_retry_delay: timedelta | float | None
    retry_policy: Any
    start_date: "datetime | None"
    end_date: "datetime | None"
    depends_on_past: bool
    ignore_first_depends_on_past: bool
    wait_for_past_depends_before_skipping: bool
    wait_for_downstream: bool
    params: Mapping[str, Any] | None
    priority_weight: int
    weight_rule: Any
    queue: str
    pool: str
    pool_slots: int
    sla: Any
    execution_timeout: timedelta | float | None
    on_execute_callback: Any
    on_failure_callback: Any
    on_success_callback: Any
    on_retry_callback: Any
    on_skipped_callback: Any
    pre_execute: Any
    post_execute: Any
    trigger_rule: str
    resources: dict[str, Any] | None
    run_as_user: str | None
    map_index_template: str | None
    max_active_tis_per_dag: int | None
    max_active_tis_per_dagrun: int | None
    executor: str | None
    executor_config: dict[str, Any] | None
    do_xcom_push: bool
    multiple_outputs: bool
    inlets: Any
    outlets: Any
    task_group: Any
    doc: str | None
    doc_md: str | None
    doc_json: str | None
    doc_yaml: str | None
    doc_rst: str | None
    task_display_name: str | None
    logger_name: str | None
    allow_nested_operators: bool
    render_template_as_native_obj: bool | None
    start_from_trigger: bool
    start_trigger_args: Any


_GIVEN: Final[dict[str, Any]] = {
    "owner": "airflow",
    "email_on_retry": True,
    "email_on_failure": True,
    "retries": 0,
    "retry_delay": timedelta(seconds=300),
    "retry_exponential_backoff": 0.0,
    "depends_on_past": False,
    "ignore_first_depends_on_past": False,
    "wait_for_past_depends_before_skipping": False,
    "wait_for_downstream": False,
    "priority_weight": 1,
    "weight_rule": "downstream",
    "queue": "default",
    "pool": "default_pool",
    "pool_slots": 1,
    "trigger_rule": TriggerRule.ALL_SUCCESS,
    "do_xcom_push": True,
    "multiple_outputs": False,
    "allow_nested_operators": True,
    "start_from_trigger": False,
}

TASK_DEFAULTS: Final[Mapping[str, Any]] = {name: _GIVEN.get(name) for name in TaskArguments.__annotations__}
"""Every keyword with the value it has where a task says nothing."""


def check_task_arguments(values: dict[str, Any], where: str) -> None:
    """Check the values and bring them into one form in place: numbers where None means Airflow's default, durations."""
    for name in ("retries", "retry_delay", "priority_weight", "pool", "pool_slots", "queue", "trigger_rule"):
        if values[name] is None:
            values[name] = TASK_DEFAULTS[name]
    for name in ("retries", "pool_slots", "priority_weight"):
        values[name] = _whole(name, values[name], where)
    if values["retries"] < 0:
        raise DagError(f"expected retries of 0 or more, found {values['retries']}", where=where)
    if values["pool_slots"] < 1:
        raise DagError(f"expected pool_slots of 1 or more, found {values['pool_slots']}", where=where)
    values["trigger_rule"] = _trigger_rule(values["trigger_rule"], where)
    find_strategy(values["weight_rule"], where)
    for name in ("retry_delay", "max_retry_delay", "execution_timeout"):
        if values[name] is not None:
            values[name] = timedelta(seconds=seconds(name, values[name], where))
    backoff = values["retry_exponential_backoff"]
    values["retry_exponential_backoff"] = 2.0 if backoff is True else float(backoff or 0)


def seconds(name: str, value: Any, where: str) -> float:
    """A duration in seconds, written as a timedelta or as a number of seconds."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise DagError(f"expected {name} to be a timedelta or a number of seconds, found {value!r}", where=where)
    return float(value)


def _whole(name: str, value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise DagError(f"expected {name} to be a whole number, found {type(value).__name__} {value!r}", where=where)
    try:
        return int(value)
    except ValueError as error:
        raise DagError(f"expected {name} to be a whole number, found {value!r}", where=where) from error


def _trigger_rule(value: Any, where: str) -> TriggerRule:
    try:
        return TriggerRule(value)
    except ValueError as error:
        raise DagError(
            f"expected trigger_rule to be one of {', '.join(TriggerRule)}, found {value!r}", where=where
        ) from error
