from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airdock.clock import ManualClock
from airdock.model.keys import RunKey
from airdock.model.states import RunState
from airdock.scheduler.intake import StoreIntake
from airdock.store.memory import MemoryStore
from airdock.store.records import Backfill, Run

NOW = datetime(2026, 3, 4, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(clock=ManualClock(at=NOW))


def keep(store: MemoryStore, run_id: str, **fields: Any) -> None:
    key = RunKey(dag_id=fields.pop("dag_id", "d"), run_id=run_id)
    store.create_run(Run(key=key, state=RunState.QUEUED, dag_digest="d", created=NOW, **fields), [])


def claim(store: MemoryStore, owner: str = "me", **fields: Any) -> list[str]:
    intake = StoreIntake(store=store, owner=owner, lease_s=10, **fields)
    return [run.key.run_id for run in intake.claim([], now=NOW)]


def test_the_earlier_date_comes_first(store: MemoryStore) -> None:
    keep(store, "late", logical_date=NOW - HOUR)
    keep(store, "early", logical_date=NOW - 2 * HOUR)
    assert claim(store) == ["early", "late"]


def test_what_is_not_due_waits(store: MemoryStore) -> None:
    keep(store, "after", run_after=NOW + HOUR)
    keep(store, "future", logical_date=NOW + HOUR, run_after=NOW)
    keep(store, "interval", logical_date=NOW - HOUR, run_after=NOW)
    assert claim(store) == ["interval"]


def test_two_schedulers_begin_no_more_than_is_allowed_together(store: MemoryStore) -> None:
    for number in range(3):
        keep(store, str(number), logical_date=NOW - number * HOUR)
    assert claim(store, max_active=lambda _: 2) == ["2", "1"]
    assert claim(store, "you", max_active=lambda _: 2) == []
    assert claim(store, "you", max_active=lambda _: 3) == ["0"]


def test_a_backfill_goes_in_the_order_it_was_made_in_and_has_its_own_limit(store: MemoryStore) -> None:
    number = store.add_backfill(Backfill(dag_id="d", start=NOW, end=NOW, created=NOW, max_active_runs=2, reverse=True))
    keep(store, "scheduled", logical_date=NOW)
    for hours in (1, 2, 3):
        keep(store, f"back{hours}", logical_date=NOW - hours * HOUR, backfill=number)
    assert claim(store, max_active=lambda _: 1) == ["scheduled", "back1", "back2"]
