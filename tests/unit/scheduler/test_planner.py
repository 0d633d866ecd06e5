"""Runs that schedules ask for are made when they are due."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airdock.clock import ManualClock
from airdock.dag.serialized import SerializedDag
from airdock.model.keys import RunKey
from airdock.model.states import RunState
from airdock.orchestrator import Orchestrator
from airdock.scheduler.planner import Planner
from airdock.scheduler.timetables import RunPlan
from airdock.store.memory import MemoryStore
from airdock.store.records import Batch, Pool, RunTransition

Make = Callable[..., Any]
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOURLY = {"type": "cron", "expression": "@hourly", "timezone": "UTC"}


class Desk:
    """A planner over a store, at a time that is set by hand."""

    def __init__(self) -> None:
        self.clock = ManualClock(at=NOON)
        self.store = MemoryStore(clock=self.clock)
        self.dags: dict[str, SerializedDag] = {}
        self.begin()

    def begin(self) -> None:
        """As after a restart."""

        def unused() -> Any:
            raise AssertionError

        orchestrator = Orchestrator(store=self.store, scheduler=unused, clock=self.clock)

        def create(dag: SerializedDag, plan: RunPlan) -> RunKey:
            return orchestrator.create_run(dag, plan=plan)

        self.planner = Planner(store=self.store, dags=self._list, create=create)

    def _list(self) -> Mapping[str, SerializedDag]:
        return dict(self.dags)

    def plan(self, at: datetime = NOON) -> float | None:
        self.clock.at = at
        return self.planner.plan(at)

    def runs(self) -> list[str]:
        return sorted(run.key.run_id for run in self.store.list_runs())

    def end(self, run_id: str) -> None:
        key = RunKey(dag_id="d", run_id=run_id)
        self.store.take_run(key, owner="me", lease_s=60)
        for source, target in ((RunState.QUEUED, RunState.RUNNING), (RunState.RUNNING, RunState.SUCCESS)):
            step = RunTransition(key=key, source=source, target=target, at=self.clock.at)
            self.store.commit(Batch(runs=[step]), owner="me")


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_run_is_made_when_it_is_due(desk: Desk, make_dag: Make, make_task: Make) -> None:
    desk.dags["d"] = make_dag(make_task("a"), timetable=HOURLY, start_date="2026-02-01T00:00:00+00:00")
    assert desk.plan(NOON + timedelta(minutes=30)) == 1800
    assert desk.runs() == ["scheduled__2026-03-01T12:00:00+00:00"]
    assert desk.plan(NOON + timedelta(minutes=40)) == 1200
    desk.plan(NOON + timedelta(hours=1))
    assert len(desk.runs()) == 2


def test_a_restart_makes_nothing_twice(desk: Desk, make_dag: Make, make_task: Make) -> None:
    desk.dags["d"] = make_dag(make_task("a"), timetable=HOURLY, start_date="2026-02-01T00:00:00+00:00")
    desk.plan()
    desk.begin()
    assert desk.plan(NOON + timedelta(minutes=1)) == 59 * 60
    assert len(desk.runs()) == 1


def test_catchup_makes_what_was_missed_as_far_as_there_is_room(desk: Desk, make_dag: Make, make_task: Make) -> None:
    desk.dags["d"] = make_dag(
        make_task("a"), timetable=HOURLY, start_date="2026-03-01T08:00:00+00:00", catchup=True, max_active_runs=3
    )
    assert desk.plan() is None
    assert [run_id[-14:-6] for run_id in desk.runs()] == ["08:00:00", "09:00:00", "10:00:00"]
    desk.end(desk.runs()[0])
    assert desk.plan() is None
    assert len(desk.runs()) == 4
    for run_id in desk.runs()[1:]:
        desk.end(run_id)
    assert desk.plan() == 3600
    assert desk.runs()[-1] == "scheduled__2026-03-01T12:00:00+00:00"


def test_once_is_once(desk: Desk, make_dag: Make, make_task: Make) -> None:
    desk.dags["d"] = make_dag(make_task("a"), timetable={"type": "once"}, start_date="2026-02-01T00:00:00+00:00")
    assert desk.plan() is None
    desk.begin()
    assert desk.plan() is None
    assert desk.runs() == ["scheduled__2026-02-01T00:00:00+00:00"]


def test_a_dag_that_changed_is_reckoned_anew(desk: Desk, make_dag: Make, make_task: Make) -> None:
    start = "2026-02-01T00:00:00+00:00"
    desk.dags["d"] = make_dag(make_task("a"), timetable=HOURLY, start_date=start)
    desk.plan()
    desk.dags["d"] = make_dag(make_task("a"), timetable={**HOURLY, "expression": "*/10 * * * *"}, start_date=start)
    assert desk.plan(NOON + timedelta(minutes=1)) == 540
    del desk.dags["d"]
    assert desk.plan(NOON + timedelta(hours=1)) is None


def test_a_schedule_that_is_none_harms_no_other(
    desk: Desk, make_dag: Make, make_task: Make, caplog: pytest.LogCaptureFixture
) -> None:
    desk.dags["bad"] = make_dag(make_task("a"), dag_id="bad", timetable={"type": "sometimes"})
    desk.dags["d"] = make_dag(make_task("a"), timetable={"type": "once"}, start_date="2026-02-01T00:00:00+00:00")
    assert desk.plan() == 60
    assert desk.plan(NOON + timedelta(minutes=2)) == 60
    assert len(desk.runs()) == 1
    assert caplog.text.count("DAG bad can't be scheduled") == 1


def test_a_run_that_lacks_a_pool_is_made_once_there_is_one(
    desk: Desk, make_dag: Make, make_task: Make, caplog: pytest.LogCaptureFixture
) -> None:
    start = "2026-02-01T00:00:00+00:00"
    desk.dags["d"] = make_dag(make_task("a", pool="db"), timetable={"type": "once"}, start_date=start)
    assert desk.plan() == desk.plan() == 5
    assert caplog.text.count("DAG d can't be scheduled: there is no pool 'db'") == 1
    desk.store.save_pools([Pool(name="db", slots=1)])
    assert desk.plan() is None
    assert len(desk.runs()) == 1


def test_continuous_has_one_run_at_a_time(desk: Desk, make_dag: Make, make_task: Make) -> None:
    desk.dags["d"] = make_dag(make_task("a"), timetable={"type": "continuous"}, start_date="2026-03-01T00:00:00+00:00")
    desk.plan()
    assert len(desk.runs()) == 1
    desk.plan(NOON + timedelta(minutes=1))
    assert len(desk.runs()) == 1
    desk.end(desk.runs()[0])
    desk.plan(NOON + timedelta(minutes=2))
    assert len(desk.runs()) == 2
