"""Every store there is, behind one fixture."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from airdock.clock import ManualClock
from airdock.store.base import Store
from airdock.store.memory import MemoryStore
from airdock.store.sql import SqlStore

AT = datetime(2026, 3, 4, 5, 6, 7, 891011, tzinfo=UTC)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(at=AT)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> Iterator[Store]:
    made: Store = (
        MemoryStore(clock=clock) if request.param == "memory" else SqlStore(path=tmp_path / "a.db", clock=clock)
    )
    yield made
    made.close()
