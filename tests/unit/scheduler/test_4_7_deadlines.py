"""When a run has to have ended, and what is called where it hasn't (reference 4.7)."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from airdock.clock import ManualClock
from airdock.dag.serialized import SerializedDag
from airdock.dag.single import only
from airdock.errors import ConfigError
from airdock.executors.memory import MemoryExecutor
from airdock.model.keys import RunKey
from airdock.model.outcome import Ending, Failed, Succeeded
from airdock.model.states import RunState
from airdock.model.workload import Workload
from airdock.orchestrator import Orchestrator, make_owner
from airdock.scheduler.calling import Calling
from airdock.scheduler.deadlines import DeadlineWatch
from airdock.scheduler.duty import Duties
from airdock.scheduler.intake import StoreIntake
from airdock.scheduler.loop import Scheduler
from airdock.scheduler.timetables import RunPlan
from airdock.store.memory import MemoryStore
from airdock.store.records import Batch, RunTransition

from .conftest import Shelf, make_dag, make_task

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
QUEUED: Mapping[str, Any] = {"type": "queued_at"}
S = RunState


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def alert(reference: Mapping[str, Any] = QUEUED, seconds: float = 60.0, **more: Any) -> dict[str, Any]:
    callback = {"kind": "async", "path": "files.tell", "kwargs": {"n": 1}}
    return {"name": "", "reference": reference, "interval": {"seconds": seconds}, "callback": callback, **more}


def dag_with(*alerts: Mapping[str, Any], **fields: Any) -> SerializedDag:
    return make_dag(make_task("a"), deadlines=alerts, loader={"fileloc": "/d.py"}, **fields)


class Desk:
    """A store with runs, watched over, at a time that is set by hand."""

    def __init__(self) -> None:
        self.clock = ManualClock(at=NOON)
        self.store = MemoryStore(clock=self.clock)
        self.variables: dict[str, str] = {}
        self.called = 0
        self.watch = DeadlineWatch(store=self.store, called=self._count)
        self.orchestrator = Orchestrator(
            store=self.store,
            scheduler=lambda: pytest.fail("nothing is run here"),
            clock=self.clock,
            variable=self.variables.get,
        )

    def _count(self) -> None:
        self.called += 1

    def make(self, dag: SerializedDag, run_id: str = "one", plan: RunPlan | None = None) -> RunKey:
        date = at(len(self.store.list_runs()))
        return self.orchestrator.create_run(dag, run_id=run_id, plan=plan, logical_date=date)

    def due(self, run_id: str = "one") -> list[float]:
        """In how many seconds after noon."""
        found = self.store.list_deadlines(run=RunKey(dag_id="d", run_id=run_id))
        return [(each.due - NOON) / timedelta(seconds=1) for each in found]

    def go(self, run_id: str, *states: RunState, seconds: float) -> None:
        key = RunKey(dag_id="d", run_id=run_id)
        self.store.take_run(key, owner="me", lease_s=1e9)
        for source, target in pairwise(states):
            step = RunTransition(key=key, source=source, target=target, at=at(seconds))
            self.store.commit(Batch(runs=[step]), owner="me")

    def took(self, run_id: str, seconds: float, state: RunState = S.SUCCESS) -> None:
        """A run of the past."""
        self.make(dag_with(), run_id)
        self.go(run_id, S.QUEUED, S.RUNNING, seconds=0)
        self.go(run_id, S.RUNNING, state, seconds=seconds)
        self.clock.advance(timedelta(microseconds=1))

    def look(self, seconds: float) -> float | None:
        self.clock.at = at(seconds)
        return self.watch.watch(self.clock.at)

    def calls(self) -> list[Mapping[str, Any]]:
        return [row.call for row in self.store.list_callbacks()]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_deadlines_count_from_when_the_run_is_made_from_its_date_or_from_a_fixed_time(desk: Desk) -> None:
    fixed = {"type": "fixed_datetime", "at": at(3600).isoformat()}
    plan = RunPlan(run_type="scheduled", run_id="one", logical_date=at(-600), interval=None, run_after=NOON)
    desk.make(dag_with(alert(), alert({"type": "logical_date"}, 700), alert(fixed, -60.5)), plan=plan)
    assert desk.due() == [60, 100, 3539.5]


def test_a_run_without_a_logical_date_has_no_deadline_by_it(desk: Desk) -> None:
    plan = RunPlan(run_type="asset_triggered", run_id="one", logical_date=None, interval=None, run_after=NOON)
    desk.make(dag_with(alert({"type": "logical_date"}), alert()), plan=plan)
    assert desk.due() == [60]


def test_an_average_is_of_the_last_runs_that_ended_and_needs_enough_of_them(desk: Desk) -> None:
    dag = dag_with(
        alert({"type": "average_runtime", "max_runs": 2, "min_runs": 2}, 5),
        alert({"type": "average_runtime", "max_runs": 10, "min_runs": 3}, 5),
    )
    desk.took("first", 1000)
    desk.make(dag, "early")
    assert desk.due("early") == []
    desk.took("second", 10)
    desk.took("third", 20, S.FAILED)
    desk.clock.at = NOON
    desk.make(dag)
    assert desk.due() == [15 + 5, pytest.approx(1030 / 3 + 5)]


def test_an_interval_may_be_a_variables_when_the_run_is_made(desk: Desk) -> None:
    dag = dag_with(alert(interval={"variable": "spare"}))
    with pytest.raises(ConfigError, match="whole number of seconds, for a deadline, found that there is none") as gone:
        desk.make(dag)
    assert (gone.value.where, gone.value.hint) == ("DAG d", "airdock variables set spare 900")
    desk.variables["spare"] = "hunter2"
    with pytest.raises(ConfigError, match="found another text"):
        desk.make(dag)
    assert desk.store.list_runs() == []
    desk.variables["spare"] = "90"
    desk.make(dag)
    desk.variables["spare"] = "1"
    assert desk.due() == [90]


def test_a_task_that_is_tried_alone_has_no_deadlines(desk: Desk) -> None:
    desk.make(only(dag_with(alert()), "a"))
    assert desk.due() == []


def test_what_is_missed_is_called_once_with_what_airflow_tells(desk: Desk) -> None:
    desk.make(dag_with(alert(name="minute"), alert(seconds=90)), "one")
    desk.go("one", S.QUEUED, S.RUNNING, seconds=1)
    assert desk.look(30) == 30
    assert desk.calls() == [] and desk.called == 0
    assert desk.look(60) == 30
    other = DeadlineWatch(store=desk.store, called=lambda: pytest.fail("it was called before"))
    assert other.watch(at(61)) == 29
    (call,) = desk.calls()
    assert desk.called == 1
    assert (call["dag_id"], call["run_id"], call["task_id"], call["loader"]) == ("d", "one", "", {"fileloc": "/d.py"})
    asked = call["deadline"]
    assert (asked["kind"], asked["path"], asked["kwargs"]) == ("async", "files.tell", {"n": 1})
    context = asked["context"]
    assert context["deadline"] == {
        "id": context["deadline"]["id"],
        "deadline_time": at(60).isoformat(),
        "name": "minute",
    }
    told = {name: value for name, value in context["dag_run"].items() if value}
    assert told == {
        "dag_run_id": "one",
        "run_id": "one",
        "dag_id": "d",
        "dag_display_name": "d",
        "state": "running",
        "run_type": "manual",
        "logical_date": NOON.isoformat(),
        "run_after": NOON.isoformat(),
        "queued_at": NOON.isoformat(),
        "start_date": at(1).isoformat(),
        "data_interval_start": NOON.isoformat(),
        "data_interval_end": NOON.isoformat(),
    }
    assert context["dag_run"]["duration"] is None
    desk.look(90)
    ids = {each["deadline"]["context"]["deadline"]["id"] for each in desk.calls()}
    assert len(ids) == 2
    assert desk.look(91) is None


def test_a_run_that_ended_in_time_calls_nothing_however_it_ended(desk: Desk) -> None:
    dag = dag_with(alert())
    for run_id, state in (("good", S.SUCCESS), ("bad", S.FAILED)):
        desk.make(dag, run_id)
        desk.go(run_id, S.QUEUED, S.RUNNING, state, seconds=59)
    marked = desk.make(dag, "marked")
    desk.store.force(marked, {}, at=at(60), run_state=S.SUCCESS)
    assert (desk.due("good"), desk.due("bad"), desk.due("marked")) == ([], [60], [60])
    assert desk.look(60) is None
    assert desk.calls() == [] and desk.called == 0


def test_a_run_that_failed_in_time_and_is_cleared_is_watched_again(desk: Desk) -> None:
    key = desk.make(dag_with(alert()))
    desk.go("one", S.QUEUED, S.RUNNING, S.FAILED, seconds=10)
    desk.store.clear(key, {}, at=at(20))
    desk.look(61)
    assert len(desk.calls()) == 1


def test_a_run_that_ended_late_is_missed_though_nobody_looked_meanwhile(desk: Desk) -> None:
    desk.make(dag_with(alert()))
    desk.go("one", S.QUEUED, S.RUNNING, S.SUCCESS, seconds=61)
    assert desk.look(86_400) is None
    (call,) = desk.calls()
    assert call["deadline"]["context"]["dag_run"]["state"] == "success"
    assert call["deadline"]["context"]["dag_run"]["duration"] == 0


def test_runs_of_a_paused_dag_count_as_well_and_those_that_never_began(desk: Desk) -> None:
    desk.make(dag_with(alert()))
    desk.store.pause_dags(["d"], is_paused=True)
    desk.look(60)
    assert len(desk.calls()) == 1


def test_a_server_that_was_down_goes_through_many_in_parts(desk: Desk) -> None:
    dag = dag_with(*(alert(seconds=number) for number in range(1, 151)))
    desk.make(dag)
    assert desk.look(1000) == 0
    assert len(desk.calls()) == 100
    assert desk.look(1000) is None
    assert len(desk.calls()) == 150


def test_deadlines_that_are_open_are_told_with_their_run(desk: Desk) -> None:
    key = desk.make(dag_with(alert(name="minute")))
    assert [(each.alert["name"], each.due) for each in desk.orchestrator.deadlines(key)] == [("minute", at(60))]


class Calls:
    """Makes every call at once."""

    def __init__(self) -> None:
        self.made: list[Mapping[str, Any]] = []

    def run(self, call: Mapping[str, Any], done: Callable[[str | None], None]) -> None:
        self.made.append(call)
        done("")


class Ticking(MemoryExecutor):
    """Each workload takes `takes_s` by a clock that is set by hand."""

    def __init__(self, clock: ManualClock, takes_s: float, ending: Ending) -> None:
        self.by_hand = clock
        self.takes_s = takes_s
        super().__init__(script=lambda _workload: ending, clock=clock)

    def submit(self, workloads: Sequence[Workload], **more: Any) -> None:
        self.by_hand.advance(timedelta(seconds=self.takes_s))
        super().submit(workloads, **more)


class Foreground:
    """A run by itself, as `airdock run` has it."""

    def __init__(self, takes_s: float, ending: Ending | None = None) -> None:
        self.clock = ManualClock(at=NOON)
        self.store = MemoryStore(clock=self.clock)
        self.calls = Calls()
        self.scheduler = Scheduler(
            store=self.store,
            executors={"memory": Ticking(self.clock, takes_s, ending or Succeeded())},
            default_executor="memory",
            prepare=Shelf(),
            folders=lambda _run: (),
            place=lambda _fileloc: (),
            owner=make_owner(),
            clock=self.clock,
            calling=Calling(store=self.store, owner="me", open=lambda: self.calls),
        )
        self.orchestrator = Orchestrator(store=self.store, scheduler=lambda: self.scheduler, clock=self.clock)

    def run(self, dag: SerializedDag) -> RunState:
        return self.orchestrator.run(self.orchestrator.create_run(dag, run_id="one"))

    def called(self) -> list[str]:
        return [call["deadline"]["context"]["deadline"]["deadline_time"] for call in self.calls.made]


def test_a_run_in_the_foreground_has_its_own_missed_deadlines_called() -> None:
    front = Foreground(takes_s=30)
    front.orchestrator.create_run(dag_with(alert(seconds=1)), run_id="other", logical_date=at(-60))
    assert front.run(dag_with(alert(seconds=20), alert(seconds=40))) is RunState.SUCCESS
    assert front.called() == [at(20).isoformat()]
    assert [each.run.run_id for each in front.store.list_deadlines()] == ["other"]
    assert front.store.list_callbacks() == []


def test_a_run_in_the_foreground_that_is_in_time_calls_nothing() -> None:
    for ending in (Succeeded(), Failed(reason="no", retryable=False)):
        front = Foreground(takes_s=10, ending=ending)
        front.run(dag_with(alert(seconds=20)))
        assert front.calls.made == []


def test_a_scheduler_that_serves_has_missed_deadlines_of_all_runs_called() -> None:
    front = Foreground(takes_s=0)
    front.orchestrator.create_run(dag_with(alert(seconds=1)), run_id="old")
    front.clock.advance(timedelta(hours=1))
    intake = StoreIntake(
        store=front.store,
        owner=make_owner(),
        lease_s=10,
        knows=lambda _dag_id: False,
        max_active=lambda _dag_id: 16,
        strangers_s=10,
    )

    def stop_when_called(_now: datetime) -> None:
        if front.calls.made:
            front.scheduler.cancel()
        else:
            front.scheduler.look()

    duties = Duties()
    duties.add(1.0, stop_when_called)
    front.scheduler.serve(intake, duties)
    assert front.called() == [at(1).isoformat()]
    assert front.store.list_deadlines() == []
