"""Reference §4.1: which runs are made; §4.7: what clear does."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from airdock.scheduler.runs import Standing, are_assets_met, count_startable, due_runs, plan_asset_run

Make = Callable[..., Any]
NOW = datetime(2026, 6, 10, 10, 30, tzinfo=UTC)
HOURLY = {"type": "cron", "expression": "@hourly", "timezone": "UTC"}
START = "2026-06-10T08:00:00+00:00"


def test_catchup_makes_every_missed_run_up_to_max_active_runs(make_dag: Make) -> None:
    dag = make_dag(timetable=HOURLY, start_date=START, catchup=True)
    made, following = due_runs(dag, Standing(), NOW)
    assert [plan.run_after.hour for plan in made] == [8, 9, 10]
    assert following is not None and following.run_after.hour == 11
    made, following = due_runs(
        make_dag(timetable=HOURLY, start_date=START, catchup=True, max_active_runs=2), Standing(), NOW
    )
    assert ([plan.run_after.hour for plan in made], following) == ([8, 9], None)


def test_no_new_scheduled_run_is_made_above_max_active_runs(make_dag: Make) -> None:
    dag = make_dag(timetable=HOURLY, start_date=START, max_active_runs=2)
    assert due_runs(dag, Standing(unfinished=2), NOW) == ([], None)
    assert count_startable(dag, Standing(unfinished=2, running=1)) == 1


def test_without_catchup_at_most_one_missed_run_is_made(make_dag: Make) -> None:
    made, following = due_runs(make_dag(timetable=HOURLY, start_date=START), Standing(), NOW)
    assert [plan.run_after.hour for plan in made] == [10]
    assert following is not None and following.run_after.hour == 11


def test_continuous_has_one_run_at_a_time(make_dag: Make) -> None:
    dag = make_dag(timetable={"type": "continuous"}, start_date=START)
    made, following = due_runs(dag, Standing(), NOW)
    assert (len(made), following) == (1, None)
    assert due_runs(dag, Standing(unfinished=1), NOW) == ([], None)


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
