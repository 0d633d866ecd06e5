"""What every store promises of what is looked for in it, and of who gets which runs."""

from dataclasses import replace
from datetime import timedelta

import pytest

from airdock.clock import ManualClock
from airdock.model.keys import RunKey
from airdock.model.states import RunState, TaskState
from airdock.store.base import Store
from airdock.store.filters import InstanceFilter, PoolUse, RunFilter
from airdock.store.records import Backfill, Batch, DagRow, Instance, Pool, Run, RunTransition

from .conftest import AT
from .test_store import RUN, commit, key, make_run, move, state_of

S = TaskState
DAY = timedelta(days=1)


def run(number: int, *, dag_id: str = "a", **more: object) -> Run:
    """Made `number` seconds after `AT`, for a date as many days before."""
    made = Run(
        key=RunKey(dag_id=dag_id, run_id=str(number)),
        state=RunState.QUEUED,
        dag_digest="d",
        created=AT + timedelta(seconds=number),
        logical_date=AT - number * DAY,
    )
    return replace(made, **more)  # type: ignore[arg-type]


def keep(store: Store, *runs: Run) -> list[RunKey]:
    for each in runs:
        store.create_run(each, [])
    return [each.key for each in runs]


def found(store: Store, **wanted: object) -> list[str]:
    return [each.key.run_id for each in store.find_runs(RunFilter(**wanted))]  # type: ignore[arg-type]


def test_runs_are_found_by_what_they_are(store: Store) -> None:
    keep(
        store,
        run(1, run_type="scheduled", state=RunState.SUCCESS, ended=AT),
        run(2, run_type="scheduled", state=RunState.FAILED, ended=AT + DAY),
        run(3, logical_date=None),
        run(4, dag_id="b"),
    )
    assert found(store, types=["scheduled"]) == ["2", "1"]
    assert found(store, dag_id="a", run_ids=["1", "4"]) == ["1"]
    assert found(store, dates=[AT - 2 * DAY]) == ["2"]
    assert found(store, states=[RunState.SUCCESS, RunState.FAILED]) == ["2", "1"]
    assert found(store, states=[RunState.QUEUED, RunState.RUNNING]) == ["4", "3"]
    assert found(store, ended_before=AT + DAY) == ["1"]
    assert found(store, dates=[]) == []


def test_runs_are_found_by_date_and_in_parts(store: Store) -> None:
    keep(store, *(run(number) for number in range(1, 5)), run(9, logical_date=None))
    assert found(store, by_date=True) == ["1", "2", "3", "4"]
    assert found(store, before=AT - DAY, after=AT - 4 * DAY, by_date=True) == ["2", "3"]
    assert found(store, limit=2, offset=1) == ["4", "3"]
    assert found(store, offset=5) == []


def test_instances_are_found_in_all_runs(store: Store) -> None:
    later = replace(RUN, run_id="later")
    make_run(store, "b", "a")
    store.create_run(
        Run(key=later, state=RunState.RUNNING, dag_digest="d", created=AT + DAY), [Instance(key=key("a", run=later))]
    )
    commit(store, *move(key("b"), S.NONE, S.SKIPPED))

    def labels(**wanted: object) -> list[tuple[str, str]]:
        rows = store.find_instances(InstanceFilter(**wanted))  # type: ignore[arg-type]
        return [(row.key.run_id, row.key.task_id) for row in rows]

    assert labels() == [("later", "a"), ("manual__1", "a"), ("manual__1", "b")]
    assert labels(task_id="a", dag_id="sales", limit=1, offset=1) == [("manual__1", "a")]
    assert labels(states=[S.SKIPPED]) == [("manual__1", "b")]
    assert labels(run_id="later") == [("later", "a")]
    assert labels(dag_id="x") == []


def test_open_runs_are_counted(store: Store) -> None:
    keep(
        store,
        run(1),
        run(2),
        run(3, state=RunState.RUNNING),
        run(4, state=RunState.FAILED),
        run(5, backfill=1),
        run(6, dag_id="b", state=RunState.RUNNING),
    )
    assert store.count_open_runs() == {
        ("a", RunState.QUEUED): 2,
        ("a", RunState.RUNNING): 1,
        ("b", RunState.RUNNING): 1,
    }
    assert store.count_open_runs(backfill=True) == {("a", RunState.QUEUED): 1}


def test_the_use_of_pools_is_counted(store: Store) -> None:
    store.save_pools([Pool(name="db", slots=9)])
    rows = [Instance(key=key(task), pool="db", pool_slots=2, state=S.SCHEDULED) for task in "ab"]
    store.create_run(Run(key=RUN, state=RunState.RUNNING, dag_digest="d", created=AT), [*rows, Instance(key=key("c"))])
    assert store.count_uses() == {"db": PoolUse(scheduled=4)}
    store.take_run(RUN, owner="me", lease_s=60)
    commit(store, *move(key("c"), S.NONE, S.SCHEDULED, S.QUEUED, S.RUNNING, S.DEFERRED))
    assert store.count_uses()["default_pool"] == PoolUse(deferred=1)


def taken(store: Store, keys: list[RunKey], owner: str = "me", **more: object) -> list[str]:
    return [each.key.run_id for each in store.take_runs(keys, owner=owner, lease_s=15, **more)]  # type: ignore[arg-type]


def test_runs_that_can_be_had_are_taken(store: Store, clock: ManualClock) -> None:
    keys = keep(store, run(1), run(2), run(3))
    store.take_run(keys[1], owner="you", lease_s=15)
    gone = RunKey(dag_id="a", run_id="gone")
    assert taken(store, [keys[2], gone, *keys[:2]]) == ["3", "1"]
    assert {store.load_run(each).owner for each in keys} == {"me", "you"}
    assert store.load_run(keys[0]).lease_until == clock.now() + timedelta(seconds=15)
    assert taken(store, keys, displacing=["you"]) == ["1", "2", "3"]
    assert taken(store, keys, owner="third") == []


def test_a_dead_owners_runs_are_taken_once_its_lease_is_over(store: Store, clock: ManualClock) -> None:
    keys = keep(store, run(1, state=RunState.RUNNING), run(2))
    assert taken(store, keys) == ["1", "2"]
    clock.advance(timedelta(seconds=14))
    assert taken(store, keys, owner="you") == []
    clock.advance(timedelta(seconds=1))
    assert taken(store, keys, owner="you", room={"a": 2}) == ["1", "2"]
    assert store.renew_runs(keys, owner="me", lease_s=15) == frozenset()


def test_no_more_runs_of_a_dag_begin_than_there_is_room(store: Store) -> None:
    keys = keep(store, run(1), run(2), run(3), run(4, dag_id="b"), run(5, dag_id="b"))
    assert taken(store, keys[:2], room={"a": 1}) == ["1"]
    assert taken(store, keys, owner="you", room={"a": 1}) == ["4", "5"]
    begin = RunTransition(key=keys[0], source=RunState.QUEUED, target=RunState.RUNNING, at=AT)
    store.commit(Batch(runs=[begin]), owner="me")
    assert taken(store, keys[:3], room={"a": 2}) == ["1", "2"]
    end = RunTransition(key=keys[0], source=RunState.RUNNING, target=RunState.SUCCESS, at=AT)
    store.commit(Batch(runs=[end]), owner="me")
    assert taken(store, keys[1:3], room={"a": 2}) == ["2", "3"]


def test_runs_of_a_backfill_have_its_limit(store: Store) -> None:
    number = store.add_backfill(Backfill(dag_id="a", start=AT, end=AT, created=AT, max_active_runs=2))
    keys = keep(store, *(run(each, backfill=number) for each in (1, 2, 3)), run(4))
    assert taken(store, keys, room={"a": 1}) == ["1", "2", "4"]


def test_a_run_that_was_deleted_and_made_again_is_another(store: Store) -> None:
    make_run(store, "load")
    store.delete_runs([RUN])
    other = replace(RUN, run_id="other")
    make_run(store, "load", run=other)
    make_run(store, "load")
    commit(store, *move(key(), S.NONE, S.SKIPPED))
    assert state_of(store, key(run=other)) == (S.NONE, 0)


@pytest.mark.parametrize("by", ["run", "file"])
def test_serialised_dags_go_when_nothing_has_them(store: Store, by: str) -> None:
    store.save_dag("d", dag_id="a", body={})
    store.save_dag("old", dag_id="a", body={})
    if by == "run":
        keep(store, run(1))
    else:
        store.save_loaded({"/dags/a.py": [DagRow(dag_id="a", fileloc="/dags/a.py", digest="d")]})
    assert store.delete_unused_dags() == 1
    assert store.load_dag("d") == {}


def test_what_is_not_there_is_neither_cleared_nor_forced(store: Store) -> None:
    make_run(store, "load")
    store.clear(RUN, {key("none"): 0}, at=AT)
    store.force(RUN, {key("none"): S.FAILED}, at=AT)
    assert [row.key.task_id for row in store.list_instances(RUN)] == ["load"]


def test_many_instances_are_cleared_and_forced_at_once(store: Store) -> None:
    make_run(store, *"abc")
    commit(store, *move(key("a"), S.NONE, S.SCHEDULED, S.QUEUED, S.RUNNING), *move(key("b"), S.NONE, S.SKIPPED))
    store.clear(RUN, {key("a"): 1, key("b"): 2}, at=AT)
    assert [(row.state, row.max_tries) for row in store.list_instances(RUN)] == [
        (S.RESTARTING, 2),
        (S.NONE, 2),
        (S.NONE, 1),
    ]
    store.force(RUN, {key("b"): S.SUCCESS, key("c"): S.FAILED}, at=AT)
    assert [row.state for row in store.list_instances(RUN)] == [S.RESTARTING, S.SUCCESS, S.FAILED]
