"""A server makes the runs that an author's own timetable asks for, from a plugin and beside assets."""

import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airdock.app import App
from airdock.config import load_config
from airdock.errors import DagError

from .test_serving import serving

PLUGIN = """
from airflow.sdk import Variable
from airflow.timetables.base import DagRunInfo, DataInterval, Timetable

class Days(Timetable):
    def __init__(self, days=1):
        self.days = days
    def serialize(self):
        return {"days": self.days}
    def infer_manual_data_interval(self, *, run_after):
        return DataInterval(run_after.subtract(days=self.days), run_after)
    def next_dagrun_info(self, *, last_automated_data_interval, restriction):
        last = last_automated_data_interval
        start = last.end if last else restriction.earliest
        if start >= restriction.latest:
            return None
        return DagRunInfo.interval(start, start.add(days=self.days))

class Broken(Timetable):
    def next_dagrun_info(self, *, last_automated_data_interval, restriction):
        raise KeyError("nothing")
"""
DAGS = """
import pendulum
from airflow.sdk import DAG, Asset, AssetOrTimeSchedule, Variable, task
from days import Broken, Days

start = pendulum.parse(Variable.get("start"))
until = dict(start_date=start, end_date=start.add(days=12), catchup=True, max_active_runs=20)

def one(**arguments):
    with DAG(**until, **arguments):
        @task
        def t(data_interval_start=None, data_interval_end=None):
            assert (data_interval_end - data_interval_start).days in (1, 6)
        t()

one(dag_id="broken", schedule=Broken())
one(dag_id="daily", schedule=Days())
one(dag_id="either", schedule=AssetOrTimeSchedule(timetable=Days(6), assets=[Asset("a")]))
"""


@pytest.fixture
def home(root_account: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIRFLOW_VAR_START", "2026-01-01T00:00:00+00:00")
    plugins = tmp_path / "home/dags/plugins"
    plugins.mkdir(parents=True)
    (plugins / "days.py").write_text(PLUGIN)
    (plugins.parent / "own.py").write_text(DAGS)
    return tmp_path / "home"


def test_runs_of_own_timetables(home: Path, unchanged_machine: Callable[[], None]) -> None:
    with serving(home) as server:
        server.until("run scheduled__2026-01-13T00:00:00+00:00 success")
        server.until("run scheduled__2026-01-13T00:00:00+00:00 success")  # the last of both
        assert server.end(signal.SIGTERM) == 0
    with App(load_config(flags={"home": str(home)})) as app:
        found: dict[str, list[str]] = {}
        for run in app.store.list_runs():
            found.setdefault(run.key.dag_id, []).append(str(run.key.run_id)[11:21])
    assert sorted(found["daily"]) == [f"2026-01-{day:02}" for day in range(2, 14)]
    assert sorted(found["either"]) == ["2026-01-07", "2026-01-13"]
    assert "broken" not in found


def test_runs_by_hand_and_of_a_backfill(home: Path, unchanged_machine: Callable[[], None]) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    with App(load_config(flags={"home": str(home)})) as app:
        app.open()
        dags = {dag.dag_id: dag for dag in app.loads.load(home / "dags/own.py")}
        key = app.orchestrator.create_run(dags["daily"], logical_date=start)
        run = app.store.load_run(key)
        assert (run.interval_start, run.interval_end) == (start - timedelta(days=1), start)
        planned = app.orchestrator.hands.backfill(
            dags["either"], start=start, end=start + timedelta(days=7), dry_run=True
        )
        assert [each.plan.logical_date for each in planned] == [start, start + timedelta(days=6)]
        with pytest.raises(DagError, match="timetable Broken of DAG 'broken' failed: KeyError"):
            app.orchestrator.hands.backfill(dags["broken"], start=start, end=start + timedelta(days=7))
        with pytest.raises(DagError, match="Broken has no infer_manual_data_interval"):
            app.orchestrator.create_run(dags["broken"])
