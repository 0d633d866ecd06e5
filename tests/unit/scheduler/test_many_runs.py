"""One loop that works on many runs."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from airdock.executors.memory import MemoryExecutor
from airdock.model.environment import Environment
from airdock.model.keys import RunKey
from airdock.model.outcome import Ending, Failed, Succeeded
from airdock.model.progress import RunChanged
from airdock.model.states import RUN_FINISHED, RunState
from airdock.model.workload import Workload
from airdock.scheduler.duty import Duties
from airdock.scheduler.intake import StoreIntake
from airdock.store.memory import MemoryStore
from airdock.store.records import Batch, Pool

Make = Callable[..., Any]


class Counting(MemoryStore):
    """Counts commits and renewals."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[Batch] = []
        self.renewals: list[int] = []

    def commit(self, batch: Batch, *, owner: str) -> Any:
        self.batches.append(batch)
        return super().commit(batch, owner=owner)

    def renew_runs(self, keys: Any, *, owner: str, lease_s: float) -> Any:
        self.renewals.append(len(keys))
        return super().renew_runs(keys, owner=owner, lease_s=lease_s)


def intake_of(house: Any, **fields: Any) -> StoreIntake:
    return StoreIntake(store=house.store, owner=house.scheduler._owner, lease_s=30, **fields)


def watch(house: Any, *, ends: int) -> threading.Event:
    """Set when that many runs ended."""
    done, left = threading.Event(), [ends]

    def hear(progress: Any) -> None:
        house.told.append(progress)
        if isinstance(progress, RunChanged) and progress.state in RUN_FINISHED:
            left[0] -= 1
            if left[0] == 0:
                done.set()

    house.scheduler._report = hear
    return done


@contextmanager
def serving(house: Any, intake: StoreIntake, duties: Duties | None = None) -> Iterator[None]:
    worker = threading.Thread(target=lambda: house.scheduler.serve(intake, duties or Duties()))
    worker.start()
    try:
        yield
    finally:
        house.scheduler.cancel()
        worker.join(10)
        assert not worker.is_alive()


def test_runs_go_side_by_side_and_are_committed_together(make_house: Make, make_dag: Make, make_task: Make) -> None:
    store = Counting()
    house = make_house(store=store)
    dag = make_dag(make_task("a"), make_task("b", "a"))
    keys = [house.orchestrator.create_run(dag, run_id=f"r{number}") for number in range(20)]
    done = watch(house, ends=20)
    with serving(house, intake_of(house)):
        assert done.wait(10)
    assert {store.load_run(key).state for key in keys} == {RunState.SUCCESS}
    assert len(store.batches) <= 6
    assert {run.key for run in store.batches[0].runs} == set(keys)
    assert house.shelf.asked == [(Environment(), "a")]
    assert {store.load_run(key).owner for key in keys} == {""}


def test_a_run_made_meanwhile_is_taken_when_it_is_told_of(make_house: Make, make_dag: Make, make_task: Make) -> None:
    house = make_house()
    done = watch(house, ends=1)
    with serving(house, intake_of(house)):
        house.orchestrator.create_run(make_dag(make_task("a")), run_id="late")
        house.scheduler.look()
        assert done.wait(10)
    assert house.states("late") == {"a": "success"}


def test_only_so_many_runs_of_a_dag_go_at_a_time(make_house: Make, make_dag: Make, make_task: Make) -> None:
    store, most = MemoryStore(), Counter[str]()

    def end(workload: Workload) -> Ending:
        going = sum(run.state is RunState.RUNNING for run in store.list_runs())
        most["runs"] = max(most["runs"], going)
        return Succeeded()

    house = make_house(store=store, executor=MemoryExecutor(script=end))
    for number in range(7):
        house.orchestrator.create_run(make_dag(make_task("a")), run_id=f"r{number}")
    done = watch(house, ends=7)
    with serving(house, intake_of(house, max_active=lambda _: 2)):
        assert done.wait(10)
    assert most["runs"] == 2


def test_runs_of_dags_that_nobody_knows_are_left_alone(make_house: Make, make_dag: Make, make_task: Make) -> None:
    house = make_house()
    other = house.orchestrator.create_run(make_dag(make_task("a"), dag_id="foreign"), run_id="x")
    house.create(make_dag(make_task("a")))
    done = watch(house, ends=1)
    with serving(house, intake_of(house, knows=lambda dag_id: dag_id == "d")):
        assert done.wait(10)
    assert house.store.load_run(other).state is RunState.QUEUED


def test_priority_counts_over_all_runs(make_house: Make, make_dag: Make, make_task: Make) -> None:
    order: list[str] = []

    def note(workload: Workload) -> Ending:
        order.append(f"{workload.key.dag_id}.{workload.key.task_id}")
        return Succeeded()

    house = make_house(executor=MemoryExecutor(script=note, slots=1))
    for name, weights in {"first": (1, 5), "second": (9, 3)}.items():
        low, high = (make_task(f"t{weight}", priority_weight=weight) for weight in weights)
        house.orchestrator.create_run(make_dag(low, high, dag_id=name), run_id="one")
    done = watch(house, ends=2)
    with serving(house, intake_of(house)):
        assert done.wait(10)
    assert order == ["second.t9", "first.t5", "second.t3", "first.t1"]


def test_runs_share_pools_and_slots(make_house: Make, make_dag: Make, make_task: Make) -> None:
    store = Counting()
    store.save_pools([Pool(name="small", slots=3)])
    house = make_house(store=store, executor=MemoryExecutor(slots=8))
    dag = make_dag(make_task("a", pool="small", expand={"x": {"length": 4}}))
    for number in range(3):
        house.orchestrator.create_run(dag, run_id=f"r{number}")
    done = watch(house, ends=3)
    with serving(house, intake_of(house)):
        assert done.wait(10)
    claims = [sum(step.limits is not None for step in batch.transitions) for batch in store.batches]
    assert max(claims) == 3
    assert sum(claims) == 12


def test_a_run_that_was_taken_away_is_given_up_and_the_others_go_on(
    make_house: Make, make_dag: Make, make_task: Make
) -> None:
    store = MemoryStore()
    thief = make_house(store=store).scheduler._owner

    def steal(workload: Workload) -> Ending:
        if workload.key.run_id == "stolen":
            key = workload.key.task.run
            store.take_run(key, owner=thief, lease_s=60, displacing=store.load_run(key).owner)
        return Succeeded()

    house = make_house(store=store, executor=MemoryExecutor(script=steal))
    dag = make_dag(make_task("a"), make_task("b", "a"))
    stolen, kept = (house.orchestrator.create_run(dag, run_id=name) for name in ("stolen", "kept"))
    done = watch(house, ends=1)
    with serving(house, intake_of(house)):
        assert done.wait(10)
    assert store.load_run(kept).state is RunState.SUCCESS
    assert (store.load_run(stolen).state, store.load_run(stolen).owner) == (RunState.RUNNING, thief)


def test_a_dead_owners_run_is_taken_over(make_house: Make, make_dag: Make, make_task: Make) -> None:
    """Its lease is long, but its process is known to be gone."""
    store = MemoryStore()
    executor = MemoryExecutor(script=lambda _: None)
    house = make_house(store=store, executor=MemoryExecutor())
    key = house.create(make_dag(make_task("a")))
    host, place, _pid, _started, nonce = house.scheduler._owner.split(":")
    store.take_run(key, owner=f"{host}:{place}:{2**22 + 1}:1:{nonce}", lease_s=3600)
    executor.join()
    done = watch(house, ends=1)
    with serving(house, intake_of(house)):
        assert done.wait(10)
    assert store.load_run(key).state is RunState.SUCCESS


def test_a_living_owners_run_is_not(make_house: Make, make_dag: Make, make_task: Make) -> None:
    store = MemoryStore()
    house, other = make_house(store=store), make_house(store=store)
    key = house.create(make_dag(make_task("a")))
    store.take_run(key, owner=other.scheduler._owner, lease_s=3600)
    assert intake_of(house).claim((), now=store.now()) == []


def test_a_duty_that_fails_stops_nothing(
    make_house: Make, make_dag: Make, make_task: Make, caplog: pytest.LogCaptureFixture
) -> None:
    house = make_house()
    house.create(make_dag(make_task("a")))
    duties = Duties()

    def fail(_now: Any) -> float | None:
        raise ValueError("no")

    duties.add(60, fail)
    done = watch(house, ends=1)
    with serving(house, intake_of(house), duties):
        assert done.wait(10)
    assert "a duty of the scheduler failed" in caplog.text


def test_duties_name_when_they_are_due_next() -> None:
    duties, called = Duties(), []
    duties.add(60, lambda now: called.append(now))
    duties.add(60, lambda _now: 5.0)
    now: Any = "now"
    assert duties.pause_s(100.0) == 0
    duties.do(now, 100.0)
    assert duties.pause_s(101.0) == 4.0
    duties.do(now, 106.0)
    assert called == ["now"]
    duties.look()
    assert duties.pause_s(106.0) == 0


def test_stopping_leaves_all_runs_to_be_resumed(make_house: Make, make_dag: Make, make_task: Make) -> None:
    store, begun = MemoryStore(), threading.Semaphore(0)

    def hang(_workload: Workload) -> None:
        begun.release()

    house = make_house(store=store, executor=MemoryExecutor(script=hang))
    keys = [house.orchestrator.create_run(make_dag(make_task("a")), run_id=f"r{number}") for number in range(3)]
    with serving(house, intake_of(house)):
        assert all(begun.acquire(timeout=10) for _ in keys)
    assert {(store.load_run(key).state, store.load_run(key).owner) for key in keys} == {(RunState.RUNNING, "")}
    assert {state for key in keys for state in house.states(key.run_id).values()} == {"scheduled"}


def test_a_run_of_which_nothing_is_to_be_run_begins_and_ends(house: Any, make_dag: Make, make_task: Make) -> None:
    assert house.run(make_dag(make_task("only", mode="none"))) is RunState.SUCCESS
    assert house.store.load_run(RunKey(dag_id="d", run_id="one")).started is not None


def test_retries_of_different_runs_are_due_when_they_are(make_house: Make, make_dag: Make, make_task: Make) -> None:
    def end(workload: Workload) -> Ending:
        return Succeeded() if workload.key.try_number == 2 else Failed(reason="no")

    house = make_house(executor=MemoryExecutor(script=end))
    dag = make_dag(make_task("a", retries=1, retry_delay_s=0.01))
    for number in range(5):
        house.orchestrator.create_run(dag, run_id=f"r{number}")
    done = watch(house, ends=5)
    with serving(house, intake_of(house)):
        assert done.wait(10)
    assert {state for number in range(5) for state in house.states(f"r{number}").values()} == {"success"}
