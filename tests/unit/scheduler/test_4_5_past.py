"""Reference §4.5: depends_on_past, wait_for_downstream and what goes with them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airdock.model.keys import RunKey, TaskKey
from airdock.model.states import RunState, TaskState
from airdock.scheduler.past import find_previous, make_past, past_met
from airdock.store.memory import MemoryStore
from airdock.store.records import Instance, Run

Make = Callable[..., Any]
DAY = timedelta(days=1)
MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
S = TaskState


def is_met(task: Any, states: dict[str, list[TaskState]] | None, *, ever: bool = True, below: Any = ()) -> bool:
    return past_met(task, date=MONDAY, before=states, has_ever_run=ever, downstream=below)


@pytest.mark.parametrize("state", list(TaskState))
def test_success_and_skipped_will_do(state: TaskState, make_task: Make) -> None:
    expected = state in (S.SUCCESS, S.SKIPPED, S.REMOVED)
    assert is_met(make_task("a", depends_on_past=True), {"a": [state]}) is expected
    assert is_met(make_task("a"), {"a": [state]})


def test_all_instances_of_a_mapped_task_count(make_task: Make) -> None:
    task = make_task("a", depends_on_past=True)
    assert is_met(task, {"a": [S.SUCCESS, S.SKIPPED]})
    assert not is_met(task, {"a": [S.SUCCESS, S.RUNNING]})


def test_the_first_run_passes(make_task: Make) -> None:
    assert is_met(make_task("a", depends_on_past=True), None)


@pytest.mark.parametrize(("begins", "expected"), [(MONDAY, False), (MONDAY + DAY, True)])
def test_a_task_newer_than_the_run_before_passes(begins: datetime, expected: bool, make_task: Make) -> None:
    assert is_met(make_task("a", depends_on_past=True, start_date=begins.isoformat()), {"a": []}) is expected


@pytest.mark.parametrize(
    ("ignores", "ever", "expected"),
    [(False, False, False), (False, True, False), (True, False, True), (True, True, False)],
)
def test_ignore_first_is_for_a_task_that_never_ran(ignores: bool, ever: bool, expected: bool, make_task: Make) -> None:
    task = make_task("a", depends_on_past=True, ignore_first_depends_on_past=ignores)
    assert is_met(task, {}, ever=ever) is expected


@pytest.mark.parametrize("state", list(TaskState))
def test_wait_for_downstream_looks_at_those_directly_below_too(state: TaskState, make_task: Make) -> None:
    expected = state in (S.SUCCESS, S.SKIPPED, S.REMOVED)
    waits = make_task("a", wait_for_downstream=True, depends_on_past=True)
    before = {"a": [S.SUCCESS], "b": [state], "c": [S.FAILED]}
    assert is_met(waits, before, below=["b"]) is expected
    assert is_met(make_task("a", depends_on_past=True), before, below=["b"])


def test_wait_for_downstream_implies_depends_on_past(make_task: Make) -> None:
    assert not is_met(make_task("a", wait_for_downstream=True), {"a": [S.FAILED]})


# Which run is the one before?


def make_run(store: MemoryStore, name: str, days: int, state: TaskState = S.SUCCESS, **fields: Any) -> Run:
    key = RunKey(dag_id="d", run_id=name)
    date = MONDAY + days * DAY
    run = Run(key=key, state=RunState.RUNNING, dag_digest="x", created=date, logical_date=date, **fields)
    at = Instance(key=key_of(key), state=state)
    store.create_run(run, [at])
    return run


def key_of(run: RunKey) -> TaskKey:
    return TaskKey(dag_id=run.dag_id, run_id=run.run_id, task_id="a")


def name_of(run: Run | None) -> str:
    return run.key.run_id if run else ""


def test_the_run_before_is_the_one_with_the_date_before() -> None:
    store = MemoryStore()
    make_run(store, "later", 3)
    make_run(store, "first", 0)
    make_run(store, "by hand", 1, run_type="manual")
    run = make_run(store, "this", 2)
    assert name_of(find_previous(store, run, only_scheduled=False)) == "by hand"


def test_with_catchup_only_scheduled_ones_count() -> None:
    store = MemoryStore()
    make_run(store, "first", 0, run_type="scheduled")
    make_run(store, "by hand", 1, run_type="manual")
    run = make_run(store, "this", 2, run_type="scheduled")
    assert name_of(find_previous(store, run, only_scheduled=True)) == "first"


def test_the_first_run_in_a_backfill_has_none_before_it() -> None:
    store = MemoryStore()
    make_run(store, "old", 0, run_type="scheduled")
    first = make_run(store, "first", 1, run_type="backfill", backfill=1)
    second = make_run(store, "second", 2, run_type="backfill", backfill=1)
    assert find_previous(store, first, only_scheduled=True) is None
    assert name_of(find_previous(store, second, only_scheduled=True)) == "first"


@pytest.mark.parametrize(("state", "expected"), [(S.SUCCESS, True), (S.FAILED, False), (S.NONE, False)])
def test_the_store_is_asked_each_time(state: TaskState, expected: bool, make_dag: Make, make_task: Make) -> None:
    store = MemoryStore()
    dag = make_dag(make_task("a", depends_on_past=True))
    run = make_run(store, "this", 1, S.NONE)
    asks = make_past(store, run, dag)
    assert asks("a")
    make_run(store, "before", 0, state)
    assert asks("a") is expected


def test_runs_without_a_date_depend_on_nothing(make_dag: Make, make_task: Make) -> None:
    store = MemoryStore()
    make_run(store, "before", 0, S.FAILED)
    key = RunKey(dag_id="d", run_id="assets")
    run = Run(key=key, state=RunState.RUNNING, dag_digest="x", created=MONDAY)
    assert make_past(store, run, make_dag(make_task("a", depends_on_past=True)))("a")
