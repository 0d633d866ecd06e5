"""What is left of a DAG file once it is loaded: plain JSON that scheduler, supervisor and runner share."""

from collections.abc import Mapping
from dataclasses import field, fields
from typing import Any, Self

from airdock.model.environment import Environment
from airdock.model.usage import Resources
from airdock.record import record

__all__ = ["FORMAT_VERSION", "SerializedDag", "SerializedTask"]

FORMAT_VERSION = 1

_DAY_S = 86_400.0


@record
class SerializedTask:
    """One task, with every default resolved.

    `upstream` are the direct upstream tasks. `retry_exponential_backoff` is the multiplier (0 is none).
    `priority_weight` is already summed up by the task's weight rule. `mode` says who runs it: "sdk" and "bare" start
    the runner with `payload`, "command" runs `argv` (an empty one runs the image's own command) with `env`, "none"
    has nothing to run. `expand` maps each keyword of a mapped task to `{"length": n}` or, where the length is known
    only when an upstream task has ended, to `{"xcom": task_id, "key": key}`; the number of instances is the product.
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

    @property
    def is_mapped(self) -> bool:
        return self.expand is not None

    def to_dict(self) -> dict[str, Any]:
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {
            **values,
            "upstream": list(self.upstream),
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
                "upstream": tuple(value["upstream"]),
                "environment": Environment.from_dict(value["environment"]),
                "resources": Resources.from_dict(value["resources"]),
                "argv": tuple(value["argv"]),
            }
        )


@record
class SerializedDag:
    """One DAG. `tasks` are in topological order; `source_digest` is the sha256 of the file at `fileloc`.

    `schedule` is the written value as text where it is one; None is only by hand.
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

    def task(self, task_id: str) -> SerializedTask:
        """The task with this id; KeyError if there is none."""
        for task in self.tasks:
            if task.task_id == task_id:
                return task
        raise KeyError(task_id)

    def to_dict(self) -> dict[str, Any]:
        return {
            "format_version": FORMAT_VERSION,
            "dag_id": self.dag_id,
            "fileloc": self.fileloc,
            "tasks": [task.to_dict() for task in self.tasks],
            "max_active_tasks": self.max_active_tasks,
            "fail_fast": self.fail_fast,
            "params": dict(self.params),
            "doc": self.doc,
            "source_digest": self.source_digest,
            "schedule": self.schedule,
            "tags": list(self.tags),
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        plain = {name: each for name, each in value.items() if name != "format_version"}
        return cls(
            **{
                **plain,
                "tasks": tuple(SerializedTask.from_dict(task) for task in value["tasks"]),
                "tags": tuple(value.get("tags", ())),
            }
        )
