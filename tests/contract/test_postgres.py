"""What only a server has: several that write at once, its clock, connections that are lost, an older schema."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Engine, create_engine, text

from airdock.errors import StoreError
from airdock.model.keys import RunKey, TaskKey
from airdock.model.states import RunState, TaskState
from airdock.store import migrate
from airdock.store.records import Batch, Instance, Limits, Pool, Run
from airdock.store.schema import metadata
from airdock.store.sql import SqlStore

from .conftest import AT
from .postgres import empty
from .test_store import move

_DATABASES = count()


@pytest.fixture
def url(postgres: str) -> str:
    empty(postgres)
    return postgres


@pytest.fixture
def fresh(postgres: str) -> Iterator[str]:
    """The URL of a database without tables."""
    name = f"fresh{next(_DATABASES)}"
    engine = open_engine(postgres)
    with engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    yield postgres.replace("/postgres?", f"/{name}?")


def open_engine(url: str) -> Engine:
    return create_engine(url.replace("postgresql:", "postgresql+psycopg:"))


def run_key(number: int) -> RunKey:
    return RunKey(dag_id="d", run_id=str(number))


def together(stores: list[SqlStore], work: object) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(stores))]  # type: ignore[arg-type]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for store in stores:
        store.close()


def test_migrations_lead_to_the_tables_that_the_store_uses(url: str) -> None:
    engine = open_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_a_database_of_the_first_version_is_migrated_with_its_rows(fresh: str) -> None:
    engine, config = open_engine(fresh), Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).with_name("migrations")))
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(
            text(
                "INSERT INTO runs (dag_id, run_id, state, dag_digest, conf, created, reason, owner)"
                " VALUES ('d', 'scheduled__1', 'success', 'x', '{}', 5, '', '')"
            )
        )
        connection.execute(text("INSERT INTO task_instances VALUES (1, 't', -1, 'success', 1, 0, 'p', 1, '', 0, 7, 8)"))
        connection.execute(text("SELECT setval('runs_id_seq', 2147483647)"))
    engine.dispose()
    store = SqlStore(url=fresh)
    assert store.info().migrated_from == "0001"
    (old,) = store.list_runs()
    assert (old.run_type, len(store.list_instances(old.key))) == ("scheduled", 1)
    new = run_key(1)
    store.create_run(
        Run(key=new, state=RunState.QUEUED, dag_digest="d", created=AT),
        [Instance(key=TaskKey(dag_id="d", run_id="1", task_id="t"))],
    )
    assert len(store.list_instances(new)) == 1
    store.close()


def test_several_that_begin_at_once_migrate_once(fresh: str) -> None:
    failures: list[BaseException] = []

    def begin() -> None:
        try:
            SqlStore(url=fresh).close()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=begin) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_several_schedulers_never_give_a_slot_twice(url: str) -> None:
    stores, queued = [SqlStore(url=url) for _ in range(4)], list[bool]()
    stores[0].save_pools([Pool(name="ten", slots=10)])
    for number, store in enumerate(stores):
        keys = [TaskKey(dag_id="d", run_id=str(number), task_id="t", map_index=index) for index in range(10)]
        run = Run(key=run_key(number), state=RunState.RUNNING, dag_digest="d", created=AT)
        store.create_run(run, [Instance(key=key) for key in keys])
        store.take_run(run.key, owner=str(number), lease_s=60)

    def claim(number: int) -> None:
        for index in range(10):
            key = TaskKey(dag_id="d", run_id=str(number), task_id="t", map_index=index)
            steps = move(key, TaskState.NONE, TaskState.SCHEDULED, TaskState.QUEUED, limits=Limits(pool="ten"))
            queued.append(not stores[number].commit(Batch(transitions=steps), owner=str(number)))

    together(stores, claim)
    assert sum(queued) == 10


def test_several_schedulers_take_each_run_once_and_no_more_than_allowed(url: str) -> None:
    stores, taken = [SqlStore(url=url) for _ in range(4)], list[str]()
    keys = [run_key(number) for number in range(20)]
    for key in keys:
        stores[0].create_run(Run(key=key, state=RunState.QUEUED, dag_digest="d", created=AT), [])

    def take(number: int) -> None:
        for _ in range(5):
            found = stores[number].take_runs(keys, owner=f"owner{number}", lease_s=60, room={"d": 7})
            taken.extend(run.key.run_id for run in found if run.key.run_id not in taken)

    together(stores, take)
    assert len(taken) == len(set(taken)) == 7


def test_leases_go_by_the_servers_clock(url: str) -> None:
    store, engine = SqlStore(url=url), open_engine(url)
    store.create_run(Run(key=run_key(1), state=RunState.QUEUED, dag_digest="d", created=AT), [])
    with engine.connect() as connection:
        before = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
        until = store.take_run(run_key(1), owner="me", lease_s=60).lease_until
        after = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    assert until is not None
    assert before <= until - timedelta(seconds=60) <= after
    assert store.now().tzinfo is UTC and store.now() >= datetime(2026, 1, 1, tzinfo=UTC) - timedelta(days=3650)
    engine.dispose()
    store.close()


def test_a_connection_that_was_cut_is_made_anew(url: str) -> None:
    store, engine = SqlStore(url=url), open_engine(url)
    assert store.list_runs() == []
    with engine.connect() as connection:
        cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'airdock'"
        assert connection.execute(text(cut)).all()
    assert store.list_runs() == []
    store.save_pools([Pool(name="db", slots=1)])
    engine.dispose()
    store.close()


def test_a_server_that_is_not_there_is_said_without_the_password(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(StoreError) as found:
        SqlStore(url=f"postgresql://me:secret@/none?host={tmp_path}")
    assert "secret" not in f"{found.value} {found.value.where}"
    assert "see that the server runs" in (found.value.hint or "")


@pytest.mark.parametrize("wrong", ["mysql://host/name", "a database"])
def test_a_url_of_something_else_is_refused(wrong: str) -> None:
    with pytest.raises(StoreError, match="expected a URL"):
        SqlStore(url=wrong)
