"""What is left of a DAG file once it is loaded: plain JSON that scheduler, supervisor and runner share."""

from collections.abc import Mapping
from dataclasses import field, fields
from typing import Any, Self

from airdock.model.environment import Environment
from airdock.model.usage import Resources
from airdock.record import record

__all__ = ["FORMAT_VERSION", "SerializedDag", "SerializedTask"]

FORMAT_VERSION = 2

_DAY_S = 86_400.0


@record
class SerializedTask:
    """One task, with every default resolved.

    `upstream` are the direct upstream tasks. `retry_exponential_backoff` is the multiplier (0 is none).
    `priority_weight` is already summed up by the task's weight rule; `later_weights` are those of the second try and
    each later one where they differ, the last of which goes on. `mode` says who runs it: "sdk" and "bare" start
    the runner with `payload`, "command" runs `argv` (an empty one runs the image's own command) with `env`, "none"
    has nothing to run. `expand` maps each keyword of a mapped task to `{"length": n}` or, where the length is known
    only when an upstream task has ended, to an expression over what tasks push: `{"xcom": task_id, "key": key}`,
    `{"zip": [expression, …], "longest": bool}`, `{"concat": [expression, …]}` or `{"map": expression}`; the number of
    instances is the product. The keyword "**" stands for a list of dicts that name the keywords themselves.

    `group` is the id of its task group, `map_group` that of the mapped group it is in, and "" is none. `setups` are the
    setups that a teardown belongs to. `callbacks` names those that are set. `inlets` and `outlets` are assets as in
    `SerializedDag.asset_condition`. `start_trigger` lets the task begin deferred. Times are ISO 8601 in UTC.
    """

    task_id: str
    operator: str
    upstream: tuple[str, ...] = ()
    trigger_rule: str = "all_success"
    retries: int = 0
    retry_delay_s: float = 300.0
    retry_exponential_backoff: float = 0.0
    max_retry_delay_s: float = _DAY_S
    execution_timeout_s: float | None = None
    pool: str = "default_pool"
    pool_slots: int = 1
    priority_weight: int = 1
    environment: Environment = Environment()
    resources: Resources = Resources()
    mode: str = "sdk"
    argv: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    payload: Mapping[str, Any] = field(default_factory=dict)
    expand: Mapping[str, Mapping[str, Any]] | None = None
    executor: str | None = None
    queue: str = "default"
    max_active_tis_per_dag: int | None = None
    max_active_tis_per_dagrun: int | None = None
    is_setup: bool = False
    is_teardown: bool = False
    do_xcom_push: bool = True
    setups: tuple[str, ...] = ()
    on_failure_fail_dagrun: bool = False
    group: str = ""
    map_group: str = ""
    depends_on_past: bool = False
    wait_for_downstream: bool = False
    ignore_first_depends_on_past: bool = False
    wait_for_past_depends_before_skipping: bool = False
    start_date: str = ""
    end_date: str = ""
    owner: str = "airflow"
    doc: str = ""
    display_name: str = ""
    weight_rule: str = "downstream"
    is_sensor: bool = False
    inlets: tuple[Mapping[str, Any], ...] = ()
    outlets: tuple[Mapping[str, Any], ...] = ()
    callbacks: tuple[str, ...] = ()
    start_trigger: Mapping[str, Any] | None = None
    later_weights: tuple[int, ...] = ()

    def weight(self, try_number: int) -> int:
        """The priority weight of a try; tries count from 1."""
        weights = (self.priority_weight, *self.later_weights)
        return weights[min(max(try_number, 1), len(weights)) - 1]

    @property
    def is_mapped(self) -> bool:
        return self.expand is not None

    def to_dict(self) -> dict[str, Any]:
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {
            **values,
            "upstream": list(self.upstream),
            "setups": list(self.setups),
            "inlets": [dict(each) for each in self.inlets],
            "outlets": [dict(each) for each in self.outlets],
            "callbacks": list(self.callbacks),
            "later_weights": list(self.later_weights),
            "environment": self.environment.to_dict(),
            "resources": self.resources.to_dict(),
            "argv": list(self.argv),
            "env": dict(self.env),
            "payload": dict(self.payload),
            "expand": None if self.expand is None else {name: dict(value) for name, value in self.expand.items()},
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        return cls(
            **{
                **value,
                **{name: tuple(value.get(name, ())) for name in _TUPLES},
                "environment": Environment.from_dict(value["environment"]),
                "resources": Resources.from_dict(value["resources"]),
                "argv": tuple(value["argv"]),
            }
        )


_TUPLES = ("upstream", "setups", "inlets", "outlets", "callbacks", "later_weights")


@record
class SerializedDag:
    """One DAG. `tasks` are in topological order; `source_digest` is the sha256 of the file at `fileloc`.

    `schedule` is the written value as text where it is one; None is only by hand. `timetable` is what runs are made by:
    {"type": "none" | "once" | "continuous" | "cron" | "delta" | "relativedelta" | "cron_interval" | "delta_interval" |
    "multi_cron" | "events" | "asset" | "asset_or_time" | "custom", …}, with "timezone" where it has one.
    `asset_condition` is {"all": […]}, {"any": […]}, {"asset": {"name", "uri", "group", "extra"}} or {"alias": name}.
    `params` maps names to values, `param_schemas` to JSON schemas with "description" and "title". `groups` maps the ids
    of task groups to {"parent", "tooltip", "doc", "display_name", "expand"}, `labels` are [upstream, downstream, text].
    `callbacks` names the DAG's own that are set; `loader` is what a runner needs to import the file again. `deadlines`
    are {"name", "reference", "interval", "callback"}, where a reference is {"type": "logical_date" | "queued_at" |
    "fixed_datetime" ("at") | "average_runtime" ("max_runs", "min_runs")}, an interval {"seconds"} or {"variable"}, and
    a callback {"kind": "async" | "sync", "path", "kwargs"}. Times are ISO 8601 in UTC.
    """

    dag_id: str
    fileloc: str
    tasks: tuple[SerializedTask, ...]
    max_active_tasks: int = 16
    fail_fast: bool = False
    params: Mapping[str, Any] = field(default_factory=dict)
    doc: str = ""
    source_digest: str = ""
    schedule: str | None = None
    tags: tuple[str, ...] = ()
    timetable: Mapping[str, Any] = field(default_factory=lambda: {"type": "none"})
    asset_condition: Mapping[str, Any] | None = None
    start_date: str = ""
    end_date: str = ""
    catchup: bool = False
    max_active_runs: int = 16
    max_consecutive_failed_dag_runs: int = 0
    dagrun_timeout_s: float | None = None
    is_paused_upon_creation: bool | None = None
    display_name: str = ""
    owners: tuple[str, ...] = ()
    param_schemas: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    groups: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    labels: tuple[tuple[str, str, str], ...] = ()
    callbacks: tuple[str, ...] = ()
    render_template_as_native_obj: bool = False
    loader: Mapping[str, Any] = field(default_factory=dict)
    deadlines: tuple[Mapping[str, Any], ...] = ()

    def task(self, task_id: str) -> SerializedTask:
        """The task with this id; KeyError if there is none."""
        for task in self.tasks:
            if task.task_id == task_id:
                return task
        raise KeyError(task_id)

    def expansion(self, task: SerializedTask) -> Mapping[str, Mapping[str, Any]] | None:
        """What a task, or the mapped group that it is in, is expanded over; None where there is one of it."""
        return self.groups[task.map_group]["expand"] if task.map_group else task.expand

    def to_dict(self) -> dict[str, Any]:
        values = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "deadlines"}
        return {
            "format_version": FORMAT_VERSION,
            **values,
            **self._deadlines(),
            "tasks": [task.to_dict() for task in self.tasks],
            "params": dict(self.params),
            "tags": list(self.tags),
            "owners": list(self.owners),
            "labels": [list(label) for label in self.labels],
            "callbacks": list(self.callbacks),
        }

    def _deadlines(self) -> dict[str, Any]:
        """Nothing where there are none: a DAG that says nothing of them is the version that it was before."""
        return {"deadlines": [dict(each) for each in self.deadlines]} if self.deadlines else {}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        plain = {name: each for name, each in value.items() if name != "format_version"}
        return cls(
            **{
                **plain,
                "tasks": tuple(SerializedTask.from_dict(task) for task in value["tasks"]),
                **{name: tuple(value.get(name, ())) for name in ("tags", "owners", "callbacks", "deadlines")},
                "labels": tuple((up, down, text) for up, down, text in value.get("labels", ())),
            }
        )
