"""Runs that tasks ask for: ids, dates, what is in the way (TriggerDagRunOperator's side of the store)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from airdock.clock import ManualClock
from airdock.dag.serialized import SerializedDag, SerializedTask
from airdock.errors import DagError
from airdock.model.keys import RunKey
from airdock.orchestrator import Orchestrator
from airdock.scheduler.loop import Scheduler
from airdock.scheduler.timetables import RunPlan
from airdock.store.memory import MemoryStore
from airdock.triggered import TriggeredRuns

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
DATE = "2026-01-02T03:04:05+00:00"
DAG = SerializedDag(dag_id="d", fileloc="/d.py", tasks=(SerializedTask(task_id="a", operator="python"),))


def no_scheduler() -> Scheduler:
    raise AssertionError("nothing is to be run here")


class Bench:
    def __init__(self) -> None:
        self.store = MemoryStore()
        self.told = 0
        self.plans: list[RunPlan] = []
        self.paused = False
        self.orchestrator = Orchestrator(store=self.store, scheduler=no_scheduler)
        self.trigger = TriggeredRuns(
            store=self.store,
            find=self.find,
            create=self.create,
            is_paused=lambda _dag_id: self.paused,
            clock=ManualClock(at=NOW),
            made=self.made,
        )

    def find(self, dag_id: str) -> SerializedDag:
        if dag_id != "d":
            raise DagError(f"there is no DAG {dag_id!r}")
        return DAG

    def create(self, dag: SerializedDag, *, plan: RunPlan, conf: Mapping[str, Any], note: str) -> RunKey:
        self.plans.append(plan)
        return self.orchestrator.create_run(dag, plan=plan, conf=conf, note=note)

    def made(self) -> None:
        self.told += 1


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_run_is_made_for_now_unless_said_otherwise(bench: Bench) -> None:
    assert bench.trigger("d", {"conf": {"a": 1}}) == {"run_id": f"operator_triggered__{NOW.isoformat()}"}
    (plan,) = bench.plans
    run = bench.store.load_run(RunKey(dag_id="d", run_id=plan.run_id))
    assert (run.logical_date, run.run_after, run.conf, run.interval_start) == (NOW, NOW, {"a": 1}, NOW)
    assert run.run_type == "operator_triggered"
    assert bench.told == 1


def test_a_date_or_none_may_be_given(bench: Bench) -> None:
    assert bench.trigger("d", {"logical_date": DATE}) == {"run_id": f"operator_triggered__{DATE}"}
    dateless = bench.trigger("d", {"logical_date": None})["run_id"]
    assert bench.plans[-1].logical_date is None
    assert dateless.startswith(f"operator_triggered__{NOW.isoformat()}_")
    bench.trigger("d", {"run_after": DATE, "run_id": "later", "note": "why"})
    later = bench.store.load_run(RunKey(dag_id="d", run_id="later"))
    assert (later.logical_date, later.note, later.run_after) == (None, "why", datetime.fromisoformat(DATE))


def test_a_run_in_the_way_by_its_id_or_date_is_told(bench: Bench) -> None:
    bench.trigger("d", {"run_id": "r", "logical_date": DATE})
    assert bench.trigger("d", {"run_id": "r"}) == {"run_id": "r", "exists": True}
    assert bench.trigger("d", {"run_id": "s", "logical_date": DATE}) == {"run_id": "r", "exists": True}
    assert bench.told == 1


def test_a_run_in_the_way_is_cleared_where_asked(bench: Bench) -> None:
    bench.trigger("d", {"run_id": "r"})
    assert bench.trigger("d", {"run_id": "r", "reset": True}) == {"run_id": "r"}
    run = bench.store.load_run(RunKey(dag_id="d", run_id="r"))
    assert (run.clear_number, bench.told) == (1, 2)


def test_a_paused_dag_is_triggered_unless_refused(bench: Bench) -> None:
    bench.paused = True
    assert bench.trigger("d", {"refuse_paused": True}) == {"paused": True}
    assert bench.plans == []
    assert "run_id" in bench.trigger("d", {})


def test_an_unknown_dag_is_an_error(bench: Bench) -> None:
    with pytest.raises(DagError, match="there is no DAG 'other'"):
        bench.trigger("other", {})
