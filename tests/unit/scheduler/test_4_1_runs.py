"""Reference §4.1: how many runs go on, and when assets ask for one."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from airdock.scheduler.runs import are_assets_met, most_active_runs, plan_asset_run

Make = Callable[..., Any]
NOW = datetime(2026, 6, 10, 10, 30, tzinfo=UTC)


def test_runs_go_on_as_many_as_the_dag_says_and_continuous_one_at_a_time(make_dag: Make) -> None:
    assert most_active_runs(make_dag(max_active_runs=3)) == 3
    assert most_active_runs(make_dag(timetable={"type": "continuous"})) == 1
    inner = {"type": "asset_or_time", "timetable": {"type": "continuous"}}
    assert most_active_runs(make_dag(timetable=inner, max_active_runs=3)) == 1


def test_assets_all_any_and_aliases() -> None:
    one, two = {"asset": {"name": "one", "uri": "s3://one"}}, {"asset": {"uri": "s3://two"}}
    both, either = {"all": [one, two]}, {"any": [one, {"alias": "other"}]}
    assert not are_assets_met(both, [("one", "s3://one")])
    assert are_assets_met(both, [("one", "s3://one"), ("whatever", "s3://two")])
    assert are_assets_met(either, [("", "other")])
    assert not are_assets_met(either, [("two", "s3://two")])
    assert not are_assets_met(None, [("one", "s3://one")])


def test_asset_triggered_runs_have_no_logical_date() -> None:
    plan = plan_asset_run(NOW, suffix="abc")
    assert (plan.logical_date, plan.run_after) == (None, NOW)
    assert plan.run_id == "asset_triggered__2026-06-10T10:30:00+00:00_abc"
