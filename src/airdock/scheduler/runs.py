"""Which runs are to be made, and which may start (Airflow 3.3's rules). Pure."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from airdock.dag.serialized import SerializedDag
from airdock.record import record
from airdock.scheduler.timetables import Interval, RunPlan, name_run, next_run

__all__ = ["Standing", "are_assets_met", "count_startable", "due_runs", "plan_asset_run"]


@record
class Standing:
    """What is known of a DAG's runs: the interval of its last scheduled one, and how many there are of its own.

    `unfinished` are queued and running, `running` only those; neither counts runs of backfills.
    """

    last: Interval | None = None
    unfinished: int = 0
    running: int = 0


def due_runs(dag: SerializedDag, standing: Standing, now: datetime) -> tuple[list[RunPlan], RunPlan | None]:
    """The scheduled runs to make now, oldest first, and the one after them; None if there is none, or no room yet.

    No run is made above `max_active_runs`; with `@continuous` that is one.
    """
    made: list[RunPlan] = []
    room, last = _limit(dag) - standing.unfinished, standing.last
    while len(made) < room:
        plan = _next(dag, last, now)
        if plan is None or plan.run_after > now:
            return made, plan
        made.append(plan)
        last = plan.interval
    return made, None


def count_startable(dag: SerializedDag, standing: Standing) -> int:
    """How many queued runs may begin to run."""
    return max(_limit(dag) - standing.running, 0)


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


def _limit(dag: SerializedDag) -> int:
    return 1 if _types(dag.timetable) & {"continuous"} else dag.max_active_runs


def _types(timetable: Mapping[str, Any]) -> set[str]:
    inner = timetable.get("timetable")
    return {str(timetable["type"])} | (_types(inner) if inner else set())


def _next(dag: SerializedDag, last: Interval | None, now: datetime) -> RunPlan | None:
    start, end = (datetime.fromisoformat(text) if text else None for text in (dag.start_date, dag.end_date))
    return next_run(dag.timetable, last=last, now=now, start=start, end=end, catchup=dag.catchup)


def _is_same(wanted: Mapping[str, Any], name: str, uri: str) -> bool:
    """By name and uri, or by the one of them that is given."""
    given = [(wanted.get("name"), name), (wanted.get("uri"), uri)]
    return all(not value or value == found for value, found in given)
