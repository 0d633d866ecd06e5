"""How runs of the example DAGs that need nothing outside have to end, as the files mean it.

Every task succeeds but for those that a row names. What depends on the day or minute of the run is a function of it.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

__all__ = ["CANNOT_RUN", "ENDINGS", "OUTSIDE", "SERVED", "Ending"]

_MONDAY: Final = 0
_SATURDAY: Final = 5


@dataclass(frozen=True, kw_only=True)
class Ending:
    """One run: `tasks` is how many instances it has, `skipped`, `failed` and `upstream_failed` ids of them.

    `mapped` is how many instances each mapped task has. Of the `choices` of a run that draws lots, one row each, one
    alternative succeeds and the others are skipped. `conf` is what whoever makes the run has to give.
    """

    file: str
    dag_id: str
    tasks: int
    run: str = "success"
    skipped: Callable[[datetime], Collection[str]] = lambda _now: ()
    failed: Collection[str] = ()
    upstream_failed: Collection[str] = ()
    mapped: Mapping[str, int] = field(default_factory=dict)
    choices: Collection[Collection[Collection[str]]] = ()
    conf: Mapping[str, str] = field(default_factory=dict)

    def state(self, task_id: str, now: datetime, succeeded: Collection[str]) -> str:
        """What an instance of this task has to end in, in a run of which these succeeded."""
        for alternatives in self.choices:
            if any(task_id in each for each in alternatives):
                chosen = next((each for each in alternatives if set(each) & set(succeeded)), ())
                return "success" if task_id in chosen else "skipped"
        if task_id in self.failed:
            return "failed"
        if task_id in self.upstream_failed:
            return "upstream_failed"
        return "skipped" if task_id in self.skipped(now) else "success"


def _plain(file: str, tasks: int, *, dag_id: str = "", mapped: Mapping[str, int] | None = None) -> Ending:
    """A run in which everything succeeds."""
    return Ending(file=file, dag_id=dag_id or file, tasks=tasks, mapped=mapped or {})


def _skips(file: str, tasks: int, *skipped: str, dag_id: str = "") -> Ending:
    """A run in which always the same tasks are skipped."""
    return Ending(file=file, dag_id=dag_id or file, tasks=tasks, skipped=lambda _now: skipped)


def _weekday_branch(now: datetime) -> Collection[str]:
    if now.weekday() == _MONDAY:
        return {"branch_false", "make_weekend_choice", "branch_weekend", "branch_mid_week"}
    return {"branch_true", "branch_mid_week" if now.weekday() >= _SATURDAY else "branch_weekend"}


def _in_the_evening(now: datetime) -> Collection[str]:
    """From 15:00 to midnight: the upper end lies before the lower, so it means the next day's."""
    return {"date_outside_range" if now.hour >= 15 else "date_in_range"}


def _even_minutes(now: datetime) -> Collection[str]:
    return {"empty_task_1" if now.minute % 2 else "empty_task_2"}


def _soft_failures(now: datetime) -> Collection[str]:
    """What times out with soft_fail. An hour from now is a time of day: after 23:00 it has passed already."""
    late = {"timeout_after_second_date_in_the_future", "timeout_after_second_date_in_the_future_async"}
    return {
        "Sensor_fails_after_3_seconds",
        "failure_timeout_sensor_python",
        *(late if now.hour < 23 else ()),
        *(["week_day_sensor_failing_on_timeout"] if now.weekday() != _MONDAY else []),
    }


_DECORATED: Final = ("asset1_producer", "asset2_producer", "consumes_asset_decorator")
_ALIASED: Final = (
    "s3_bucket_producer",
    "s3_bucket_consumer",
    "alias_example_alias_producer",
    "alias_example_alias_consumer",
)
_ASSET_DAGS: Final = (
    "asset_produces_1",
    "asset_produces_2",
    "asset_consumes_1",
    "asset_consumes_1_and_2",
    "asset_consumes_1_never_scheduled",
    "asset_consumes_unknown_never_scheduled",
    "consume_1_and_2_with_asset_expressions",
    "consume_1_or_2_with_asset_expressions",
    "consume_1_or_both_2_and_3_with_asset_expressions",
    "conditional_asset_and_time_based_timetable",
)
_EXTRAS: Final = ("by_yield", "by_context", "from_classic_operator")
_GREETINGS: Final = {f"generate_{language}_greeting": 3 for language in ("english", "german", "french")}
_NESTED: Final = ("false_1", "branch_2", "true_2", "false_2", "join_2", "false_3")
# chain() joins lists of one length in pairs: what is short-circuited is task_4, and task_6 behind it.
_CUT: Final = ("false_1", "false_2", "task_4", "task_6")

_LETTERS: Final = "abcd"
_LOTS: Final = (
    [(f"branch_{letter}", f"follow_{letter}") for letter in _LETTERS],
    [(f"ext_py_{letter}",) for letter in _LETTERS],
    [(f"venv_{letter}",) for letter in _LETTERS],
)

ENDINGS: Final = (
    _plain("example_simplest_dag", 1),
    _plain("example_display_name", 2),
    _plain("example_complex", 37),
    _plain("tutorial", 3),
    _plain("tutorial_dag", 3),
    _plain("tutorial_taskflow_api", 3),
    _plain("tutorial_taskflow_templates", 1),
    Ending(file="example_failed_dag", dag_id="example_failed_dag", tasks=1, run="failed", failed={"fail_task"}),
    _skips("example_bash_operator", 9, "this_will_skip", "run_this_last"),
    _skips("example_bash_decorator", 13, "this_will_skip", "sleep_in"),
    _plain("example_measurement_correction_decorator", 4),
    _plain("example_measurement_correction_operator", 4),
    _plain("example_branch_labels", 7),
    Ending(
        file="example_branch_python_dop_operator_3",
        dag_id="example_branch_dop_operator_v3",
        tasks=3,
        skipped=_even_minutes,
    ),
    _skips("example_nested_branch_dag", 9, *_NESTED),
    _skips("example_skip_dag", 8, "skip_operator_1", "all_success", "final_1", "skip_operator_2"),
    _skips("example_branch_datetime_operator", 3, "date_in_range"),
    Ending(
        file="example_branch_datetime_operator",
        dag_id="example_branch_datetime_operator_2",
        tasks=3,
        skipped=_in_the_evening,
    ),
    _skips("example_branch_datetime_operator", 3, "date_in_range", dag_id="example_branch_datetime_operator_3"),
    Ending(
        file="example_branch_day_of_week_operator",
        dag_id="example_weekday_branch_operator",
        tasks=6,
        skipped=_weekday_branch,
    ),
    _skips("example_short_circuit_operator", 14, *_CUT),
    _skips("example_short_circuit_decorator", 14, *_CUT),
    _plain("example_latest_only", 2, dag_id="latest_only"),
    _plain("example_latest_only_with_trigger", 5, dag_id="latest_only_with_trigger"),
    _plain("example_sensor_decorator", 2),
    _plain("example_time_delta_sensor_async", 2),
    Ending(file="example_sensors", dag_id="example_sensors", tasks=16, skipped=_soft_failures),
    _plain("example_external_task_child_deferrable", 1, dag_id="child_dag"),
    _plain("example_dynamic_task_mapping", 4, mapped={"add_one": 3}),
    _plain(
        "example_dynamic_task_mapping",
        7,
        dag_id="example_task_mapping_second_order",
        mapped={"times_2": 3, "add_10": 3},
    ),
    _plain(
        "example_dynamic_task_mapping",
        6,
        dag_id="example_task_group_mapping",
        mapped={"op.add_1": 3, "op.mul_2": 3},
    ),
    _plain("example_dynamic_task_mapping_with_no_taskflow_operators", 4, mapped={"add_one": 3}),
    _plain("example_task_state_store", 1),
    _plain("example_task_state_store_async", 1),
    _plain("example_task_state_store_mapped", 4, mapped={"process_table": 3}),
    *(_plain("example_assets", 1, dag_id=each) for each in _ASSET_DAGS),
    *(_plain("example_asset_allow_teams", 1, dag_id=f"team_{each}") for each in ("analytics_producer", "ml_consumer")),
    _plain("example_asset_with_watchers", 1),
    *(_plain("example_asset_decorator", 1, dag_id=each) for each in _DECORATED),
    *(_plain("example_asset_alias", 1, dag_id=f"asset_{each}") for each in _ALIASED),
    *(_plain("example_outlet_event_extra", 1, dag_id=f"asset_with_extra_{each}") for each in _EXTRAS),
    _plain("example_inlet_event_extra", 1, dag_id="read_asset_event"),
    _plain("example_asset_state_store", 1, dag_id="example_asset_state_store_producer"),
    _plain("example_asset_state_store", 1, dag_id="example_asset_state_store_consumer"),
    _plain("example_task_group", 9),
    _plain("example_task_group_decorator", 17),
    _plain("example_setup_teardown", 6),
    _plain("example_setup_teardown_taskflow", 9),
    _plain("example_params_trigger_ui", 12, mapped=_GREETINGS),
    Ending(
        file="example_params_ui_tutorial",
        dag_id="example_params_ui_tutorial",
        tasks=1,
        conf={"required_field": "ten letters or more"},
    ),
    Ending(
        file="example_passing_params_via_test_command",  # made to be tested with a param that a plain run hasn't
        dag_id="example_passing_params_via_test_command",
        tasks=3,
        run="failed",
        failed={"also_run_this"},
    ),
    _plain("example_xcom", 6),
    _plain("example_xcomargs", 2, dag_id="example_xcom_args"),
    _plain("example_xcomargs", 4, dag_id="example_xcom_args_with_operators"),
    _plain("example_trigger_target_dag", 2),
    _plain("example_custom_weight", 4),
    _plain("example_workday_timetable", 1),
    *(_plain("example_asset_alias_with_no_taskflow", 1, dag_id=f"asset_{each}_with_no_taskflow") for each in _ALIASED),
    _plain("tutorial_taskflow_api_virtualenv", 3),
    _plain("example_python_operator", 14),
    _plain("example_python_decorator", 14),
    Ending(file="example_branch_operator", dag_id="example_branch_operator", tasks=23, choices=_LOTS),
    Ending(
        file="example_branch_operator_decorator",
        dag_id="example_branch_python_operator_decorator",
        tasks=23,
        choices=_LOTS,
    ),
)
"""In the order of the reference's tables of what runs on one machine, and of what needs a package index only."""

SERVED: Final = (
    _plain("example_trigger_controller_dag", 1),
    _plain("example_trigger_target_dag", 2),
    _plain("example_external_task_parent_deferrable", 4, dag_id="example_external_task"),
    _plain("example_external_task_child_deferrable", 1, dag_id="child_dag"),
    _plain("example_external_task_marker_dag", 1, dag_id="example_external_task_marker_parent"),
    Ending(
        file="example_external_task_marker_dag",  # its second task waits for a group that no DAG has
        dag_id="example_external_task_marker_child",
        tasks=3,
        run="failed",
        failed={"child_task2"},
        upstream_failed={"child_task3"},
    ),
)
"""Runs that wait for each other, or start each other: their files are served together."""

CANNOT_RUN: Final[Mapping[str, str]] = {}
"""DAG → why its run doesn't end so yet. One that does has to leave this table."""

OUTSIDE: Final[Mapping[str, str]] = {
    "example_asset_partition": "loads only: partitions of assets aren't kept yet",
    "example_dag_decorator": "asks a site on the internet",
    "example_hitl_operator": "loads only: nobody can answer yet",
    "example_kubernetes_executor": "has no DAG where Kubernetes' client isn't installed",
    "example_local_kubernetes_executor": "has no DAG where Kubernetes' client isn't installed",
    "example_retry_policy": "asks a host on the internet that isn't there, six times, minutes apart",
    "tutorial_objectstorage": "needs S3",
}
"""File → what of the world outside its runs need, or what Airdock lacks for them."""
