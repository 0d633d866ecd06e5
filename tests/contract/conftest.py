"""Every store there is, behind one fixture."""

import importlib.util
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from airdock.clock import ManualClock
from airdock.store.base import Store
from airdock.store.memory import MemoryStore
from airdock.store.sql import SqlStore

from .postgres import empty, find_programs, serve

AT = datetime(2026, 3, 4, 5, 6, 7, 891011, tzinfo=UTC)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(at=AT)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a server's database that has the tables."""
    programs = find_programs()
    if not programs:
        pytest.skip("needs the programs of PostgreSQL 15 or later")
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip('needs the driver: pip install "airdock[postgres]"')
    with serve(programs) as url:
        SqlStore(url=url).close()
        yield url


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> Iterator[Store]:
    made: Store
    if request.param == "memory":
        made = MemoryStore(clock=clock)
    elif request.param == "sqlite":
        made = SqlStore(path=tmp_path / "a.db", clock=clock)
    else:
        url = request.getfixturevalue("postgres")
        empty(url)
        made = SqlStore(url=url, clock=clock)
    yield made
    made.close()
