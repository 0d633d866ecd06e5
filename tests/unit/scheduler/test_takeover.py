"""Whose runs a scheduler takes: of the dead at once, of the living here never, of others when their lease is over."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from airdock.clock import ManualClock
from airdock.dag.serialized import SerializedDag, SerializedTask
from airdock.model.keys import RunKey
from airdock.model.states import RunState
from airdock.orchestrator import Orchestrator
from airdock.scheduler.intake import StoreIntake
from airdock.scheduler.owner import Owner
from airdock.store.memory import MemoryStore
from airdock.store.records import Batch, RunTransition

LEASE_S = 10.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(at=datetime(2026, 1, 2, tzinfo=UTC))


@pytest.fixture
def store(clock: ManualClock) -> MemoryStore:
    return MemoryStore(clock=clock)


def make_run(store: MemoryStore, clock: ManualClock, owner: Owner) -> RunKey:
    """A run that this owner has taken."""
    dag = SerializedDag(
        dag_id="taken", fileloc="/dags/taken.py", tasks=(SerializedTask(task_id="one", operator="python"),)
    )

    def no_scheduler() -> object:
        raise AssertionError("expected no run")

    key = Orchestrator(store=store, scheduler=no_scheduler, clock=clock).create_run(dag, run_id="r")  # type: ignore[arg-type]
    store.take_run(key, owner=str(owner), lease_s=LEASE_S)
    return key


def claim(store: MemoryStore, clock: ManualClock) -> list[RunKey]:
    intake = StoreIntake(store=store, owner=str(Owner.current()), lease_s=LEASE_S)
    return [run.key for run in intake.claim([], now=clock.now())]


def test_of_the_dead_at_once(store: MemoryStore, clock: ManualClock) -> None:
    key = make_run(store, clock, replace(Owner.current(), started=1))
    assert claim(store, clock) == [key]


def test_of_one_that_lives_here_never(store: MemoryStore, clock: ManualClock) -> None:
    make_run(store, clock, Owner.current())
    clock.advance(timedelta(hours=1))
    assert claim(store, clock) == []


def test_of_one_elsewhere_when_its_lease_is_over(store: MemoryStore, clock: ManualClock) -> None:
    key = make_run(store, clock, replace(Owner.current(), place="elsewhere"))
    assert claim(store, clock) == []
    clock.advance(timedelta(seconds=LEASE_S + 1))
    assert claim(store, clock) == [key]


def test_what_ended_is_let_go_of(store: MemoryStore, clock: ManualClock) -> None:
    dead = replace(Owner.current(), started=1)
    key = make_run(store, clock, dead)
    for source, target in ((RunState.QUEUED, RunState.RUNNING), (RunState.RUNNING, RunState.SUCCESS)):
        step = RunTransition(key=key, source=source, target=target, at=clock.now())
        store.commit(Batch(runs=(step,)), owner=str(dead))
    assert store.load_run(key).owner == str(dead)
    assert claim(store, clock) == []
    assert store.load_run(key).owner == ""
