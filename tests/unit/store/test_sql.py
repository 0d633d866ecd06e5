import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, text

from airdock.model.keys import RunKey, TaskKey
from airdock.model.states import RunState, TaskState
from airdock.store.filters import RunFilter
from airdock.store.records import Batch, Instance, Limits, Pool, Run, Transition
from airdock.store.rows import micros, time_of
from airdock.store.schema import asset_events, log, task_instances, xcoms
from airdock.store.sql import SqlStore
from airdock.store.sql_commit import _PAUSING, _USES
from airdock.store.sql_find import select_runs

AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    made = SqlStore(path=tmp_path / "a.db")
    yield made
    made.close()


def make_run(store: SqlStore, run_id: str, *, width: int = 1) -> RunKey:
    key = RunKey(dag_id="d", run_id=run_id)
    rows = [Instance(key=TaskKey(dag_id="d", run_id=run_id, task_id="t", map_index=each)) for each in range(width)]
    store.create_run(Run(key=key, state=RunState.RUNNING, dag_digest="d", created=AT), rows)
    store.take_run(key, owner=run_id, lease_s=60)
    return key


@given(st.datetimes(min_value=datetime(1700, 1, 1), max_value=datetime(2500, 1, 1)))
def test_times_come_back_exactly(at: datetime) -> None:
    assert time_of(micros(at.replace(tzinfo=UTC))) == at.replace(tzinfo=UTC)


def test_slots_are_counted_from_the_index(store: SqlStore) -> None:
    with store._read() as connection:
        plan = connection.execute(text("EXPLAIN QUERY PLAN " + str(_USES))).all()
    assert "task_instances_active" in plan[0][3]


def explain(store: SqlStore, statement: Any) -> str:
    """How SQLite would answer."""
    with store._read() as connection:
        literal = statement.compile(connection, compile_kwargs={"literal_binds": True})
        return "; ".join(row[3] for row in connection.execute(text(f"EXPLAIN QUERY PLAN {literal}")))


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (RunFilter(), "runs_created"),
        (RunFilter(dag_id="d"), "runs_of_dag"),
        (RunFilter(dag_id="d", run_id="r"), "runs_1"),
        (RunFilter(states=[RunState.QUEUED, RunState.RUNNING]), "runs_open"),
        (RunFilter(dag_id="d", before=AT, by_date=True, limit=1), "runs_2"),
        (RunFilter(dag_id="d", dates=[AT]), "runs_2"),
        (RunFilter(states=[RunState.SUCCESS], ended_before=AT, oldest_first=True), "runs_created"),
    ],
)
def test_runs_are_found_by_an_index(store: SqlStore, wanted: RunFilter, index: str) -> None:
    plan = explain(store, select_runs(wanted))
    assert index in plan, plan


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (_PAUSING, "task_instances_pausing"),
        (select(asset_events).where(asset_events.c.name == "n", asset_events.c.number > 1), "asset_events_name"),
        (select(asset_events).where(asset_events.c.uri == "n", asset_events.c.number > 1), "asset_events_uri"),
        (select(log).where(log.c.dag_id == "d").order_by(log.c.number.desc()).limit(9), "log_of_dag"),
        (select(task_instances).filter_by(run=1, task_id="t").order_by(task_instances.c.map_index), "PRIMARY KEY"),
        (select(xcoms).filter_by(run=1, task_id="t", name="n"), "xcoms_1"),
    ],
)
def test_what_is_asked_often_is_answered_from_an_index(store: SqlStore, statement: Any, index: str) -> None:
    plan = explain(store, statement)
    assert index in plan and "TEMP B-TREE FOR ORDER BY" not in plan, plan


def test_two_stores_on_one_file_never_give_a_slot_twice(store: SqlStore, tmp_path: Path) -> None:
    """Four writers compete for a pool of ten; each claims all it can."""
    stores = [SqlStore(path=tmp_path / "a.db") for _ in range(4)]
    runs = [make_run(each, f"r{number}", width=10) for number, each in enumerate(stores)]
    store.save_pools([Pool(name="ten", slots=10)])
    queued: list[int] = []

    def claim(number: int) -> None:
        for index in range(10):
            key = TaskKey(dag_id="d", run_id=runs[number].run_id, task_id="t", map_index=index)
            steps = [
                Transition(key=key, source=source, target=target, try_number=before, to_try=1, at=AT, limits=limits)
                for source, target, before, limits in (
                    (TaskState.NONE, TaskState.SCHEDULED, 0, None),
                    (TaskState.SCHEDULED, TaskState.QUEUED, 1, Limits(pool="ten")),
                )
            ]
            queued.append(not stores[number].commit(Batch(transitions=steps), owner=runs[number].run_id))

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for each in stores:
        each.close()
    assert sum(queued) == 10


def test_what_was_committed_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    code = f"""
import os, signal
from datetime import UTC, datetime
from pathlib import Path
from airdock.model.keys import RunKey
from airdock.model.states import RunState
from airdock.store.records import Run
from airdock.store.sql import SqlStore
store = SqlStore(path=Path({str(path)!r}))
for number in range(20):
    key = RunKey(dag_id="d", run_id=str(number))
    store.create_run(Run(key=key, state=RunState.QUEUED, dag_digest="d", created=datetime.now(UTC)), [])
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
    store = SqlStore(path=path)
    assert len(store.list_runs()) == 20
    store.close()
