"""Over every store: taking out what is old, and forgetting DAGs."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from airdock.clock import ManualClock
from airdock.errors import ConflictError, StoreError, UnknownRunError
from airdock.model.keys import RunKey
from airdock.model.states import RunState
from airdock.store.base import Store
from airdock.store.records import DagRow, Instance, LogRow, Run
from airdock.store.upkeep import TABLES, clean, delete_dag

from .conftest import AT
from .test_store import key

DAY = timedelta(days=1)


def keep(store: Store, number: int, *, dag_id: str = "a", **fields: Any) -> RunKey:
    """A run that ended so many days before `AT`."""
    at = AT - number * DAY
    run = Run(
        key=RunKey(dag_id=dag_id, run_id=str(number)),
        state=RunState.SUCCESS,
        dag_digest=f"d{number}",
        created=at,
        logical_date=at,
        ended=at,
    )
    run = replace(run, **fields)
    store.save_dag(run.dag_digest, dag_id=dag_id, body={})
    store.create_run(run, [Instance(key=key("t", run=run.key))])
    return run.key


def left(store: Store) -> list[str]:
    return [run.key.run_id for run in store.list_runs()]


def test_old_runs_go_with_their_versions(store: Store) -> None:
    gone = [keep(store, number) for number in (9, 8)]
    keep(store, 7, state=RunState.RUNNING, ended=None)
    keep(store, 1)
    assert clean(store, before=AT - 2 * DAY, tables=["runs", "dags"], pretend=True) == {"runs": 2, "dags": 0}
    assert left(store) == ["1", "7", "8", "9"]
    assert clean(store, before=AT - 2 * DAY, tables=["runs", "dags"]) == {"runs": 2, "dags": 2}
    assert left(store) == ["1", "7"]
    with pytest.raises(UnknownRunError):
        store.list_instances(gone[0])
    with pytest.raises(StoreError):
        store.load_dag("d9")


def test_the_newest_run_and_the_last_of_the_schedule_stay(store: Store) -> None:
    keep(store, 9, run_type="scheduled")
    keep(store, 8, run_type="scheduled")
    keep(store, 7)
    keep(store, 6)
    keep(store, 5, dag_id="b")
    assert clean(store, before=AT, tables=["runs"]) == {"runs": 2}
    assert left(store) == ["5", "6", "8"]


def test_many_runs_go_in_parts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airdock.store.upkeep._AT_ONCE", 2)
    for number in range(1, 8):
        keep(store, number, dag_id="ab"[number % 2])
    assert clean(store, before=AT, tables=["runs"], pretend=True) == {"runs": 5}
    assert clean(store, before=AT, tables=["runs"]) == {"runs": 5}
    assert left(store) == ["1", "2"]
    assert clean(store, before=AT, tables=["runs"]) == {"runs": 0}


def test_other_tables_are_cleaned_by_age(store: Store) -> None:
    store.add_log([LogRow(event="pause", at=AT), LogRow(event="pause", at=AT), LogRow(event="clear", at=AT + DAY)])
    store.beat("me")
    assert clean(store, before=AT + timedelta(hours=1), pretend=True)["log"] == 2
    found = clean(store, before=AT + timedelta(hours=1))
    assert set(found) == set(TABLES)
    assert (found["log"], found["schedulers"], found["asset_events"]) == (2, 1, 0)
    assert [each.event for each in store.list_log()] == ["clear"]


def test_a_table_that_is_none_is_said(store: Store) -> None:
    with pytest.raises(StoreError, match="found people") as found:
        clean(store, before=AT, tables=["runs", "people"])
    assert "runs" in (found.value.hint or "")


def test_a_deleted_dag_is_gone_with_its_runs(store: Store) -> None:
    store.save_loaded({"/dags/a.py": [DagRow(dag_id="a", fileloc="/dags/a.py", digest="d1")]})
    keep(store, 1)
    keep(store, 2, state=RunState.QUEUED, ended=None)
    keep(store, 3, dag_id="b")
    assert delete_dag(store, "a") == 2
    assert left(store) == ["3"]
    assert store.list_dags(only_active=False) == []
    with pytest.raises(StoreError):
        store.load_dag("d1")
    assert delete_dag(store, "a") == 0


def test_a_dag_that_is_worked_on_is_not_deleted(store: Store, clock: ManualClock) -> None:
    run = keep(store, 1, state=RunState.RUNNING, ended=None)
    store.take_run(run, owner="me", lease_s=10)
    with pytest.raises(ConflictError) as found:
        delete_dag(store, "a")
    assert found.value.where == "1"
    clock.advance(timedelta(seconds=10))
    assert delete_dag(store, "a") == 1


def test_a_store_says_what_it_is_and_that_all_is_well(store: Store) -> None:
    keep(store, 1)
    assert store.info().kind
    assert store.check() == []
