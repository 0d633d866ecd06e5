"""How many runs a DAG may have, when assets ask for one, and what a new one has (Airflow 3.3's rules). Pure."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from airdock.dag.serialized import SerializedDag, SerializedTask
from airdock.model.keys import NOT_MAPPED, RunKey, TaskKey
from airdock.model.states import TaskState
from airdock.scheduler.timetables import RunPlan, name_run
from airdock.store.records import Instance

__all__ = ["are_assets_met", "is_continuous", "make_instances", "most_active_runs", "plan_asset_run"]


def is_continuous(dag: SerializedDag) -> bool:
    """Whether a run begins as soon as the one before has ended."""
    return "continuous" in _types(dag.timetable)


def most_active_runs(dag: SerializedDag) -> int:
    """How many runs of the DAG may go on at a time, backfills left out; with `@continuous` that is one."""
    return 1 if is_continuous(dag) else dag.max_active_runs


def are_assets_met(condition: Mapping[str, Any] | None, queued: Collection[tuple[str, str]]) -> bool:
    """Whether the condition holds, when these assets (name and uri) have events that no run has taken yet.

    An alias holds if one of the assets that it stands for is given as ("", alias).
    """
    if not condition:
        return False
    if "all" in condition:
        return all(are_assets_met(each, queued) for each in condition["all"])
    if "any" in condition:
        return any(are_assets_met(each, queued) for each in condition["any"])
    if "alias" in condition:
        return ("", str(condition["alias"])) in queued
    wanted = condition["asset"]
    return any(_is_same(wanted, name, uri) for name, uri in queued)


def plan_asset_run(now: datetime, *, suffix: str) -> RunPlan:
    """A run that assets caused: it has no logical date, so that its id needs a suffix."""
    return RunPlan(
        run_type="asset_triggered",
        run_id=name_run("asset_triggered", now, suffix=suffix),
        logical_date=None,
        interval=None,
        run_after=now,
    )


def _types(timetable: Mapping[str, Any]) -> set[str]:
    inner = timetable.get("timetable")
    return {str(timetable["type"])} | (_types(inner) if inner else set())


def _is_same(wanted: Mapping[str, Any], name: str, uri: str) -> bool:
    """By name and uri, or by the one of them that is given."""
    given = [(wanted.get("name"), name), (wanted.get("uri"), uri)]
    return all(not value or value == found for value, found in given)


def make_instances(run: RunKey, dag: SerializedDag, task: SerializedTask) -> list[Instance]:
    """One instance, or as many as a mapped task has whose lengths are all known; nothing to map over is one too."""
    expand = dag.expansion(task)
    key = TaskKey(dag_id=run.dag_id, run_id=run.run_id, task_id=task.task_id)
    parts = (expand or {}).values()
    length = 1
    for part in parts:
        length *= int(part["length"]) if "length" in part else 0
    indexes = range(length) if expand is not None and length else [NOT_MAPPED]
    return [
        Instance(
            key=TaskKey(dag_id=key.dag_id, run_id=key.run_id, task_id=key.task_id, map_index=index),
            state=TaskState.NONE,
            max_tries=task.retries,
            pool=task.pool,
            pool_slots=task.pool_slots,
        )
        for index in indexes
    ]
