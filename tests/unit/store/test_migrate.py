import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text

from airdock.errors import StoreError
from airdock.store import migrate as migrate_module
from airdock.store.migrate import HEAD, read_version
from airdock.store.schema import metadata
from airdock.store.sql import SqlStore
from airdock.store.sqlite import open_sqlite

SCRIPTS = Path(migrate_module.__file__).with_name("migrations")


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    SqlStore(path=tmp_path / "a.db").close()
    return open_sqlite(tmp_path / "a.db")


def test_migrations_lead_to_the_tables_that_the_store_uses(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_a_migrated_database_has_the_index_that_counts_slots(engine: Engine) -> None:
    with engine.connect() as connection:
        sql = connection.execute(text("SELECT sql FROM sqlite_master WHERE name = 'task_instances_active'")).scalar()
        table = connection.execute(text("SELECT sql FROM sqlite_master WHERE name = 'task_instances'")).scalar()
    engine.dispose()
    assert "WHERE state IN ('queued', 'running')" in sql
    assert "WITHOUT ROWID" in table


def test_the_known_head_is_the_last_script() -> None:
    assert ScriptDirectory(str(SCRIPTS)).get_current_head() == HEAD


def test_the_version_is_recorded(engine: Engine) -> None:
    with engine.connect() as connection:
        assert read_version(connection) == HEAD
    engine.dispose()


def test_a_database_that_is_up_to_date_is_opened_without_alembic(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    SqlStore(path=path).close()
    code = (
        "import sys; from pathlib import Path; from airdock.store.sql import SqlStore\n"
        f"SqlStore(path=Path({str(path)!r})).close()\n"
        "assert 'alembic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_database_of_a_later_airdock_is_refused(engine: Engine, tmp_path: Path) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(StoreError, match="later Airdock: expected version 0003 at most, found 9999") as found:
        SqlStore(path=tmp_path / "a.db")
    assert found.value.hint


def test_two_that_begin_at_once_migrate_once(tmp_path: Path) -> None:
    path, failures = tmp_path / "a.db", list[BaseException]()

    def open_store() -> None:
        try:
            SqlStore(path=path).close()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=open_store) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_file_that_is_no_database_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.write_text("this is not a database" * 100)
    with pytest.raises(StoreError, match="not a database") as found:
        SqlStore(path=path)
    assert found.value.where == str(path)


def test_a_database_of_the_first_version_is_migrated_with_its_rows(tmp_path: Path) -> None:
    from alembic import command
    from alembic.config import Config

    old = open_sqlite(tmp_path / "old.db")
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    config.set_main_option("path_separator", "os")
    with old.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for statement in (
            "INSERT INTO dags VALUES ('d', 'sales', '{}')",
            "INSERT INTO runs (id, dag_id, run_id, state, dag_digest, conf, created, logical_date, reason, owner)"
            " VALUES (1, 'sales', 'scheduled__2026', 'success', 'd', '{\"n\":1}', 5, 4, '', '')",
            "INSERT INTO runs (id, dag_id, run_id, state, dag_digest, conf, created, reason, owner)"
            " VALUES (2, 'sales', 'manual__2026', 'running', 'd', '{}', 6, '', '')",
            "INSERT INTO task_instances VALUES (1, 'load', -1, 'success', 1, 0, 'default_pool', 1, '', NULL, 7, 8)",
            "INSERT INTO tries VALUES (1, 'load', -1, 1, 'sha256:1', 'local', 6, NULL)",
            "INSERT INTO xcoms VALUES (1, 'load', -1, 'return_value', '3', NULL)",
            "UPDATE pools SET slots = 7",
        ):
            connection.exec_driver_sql(statement)
    old.dispose()
    store = SqlStore(path=tmp_path / "old.db")
    scheduled, manual = sorted(store.list_runs(), key=lambda run: run.created)
    assert (scheduled.run_type, manual.run_type) == ("scheduled", "manual")
    assert (dict(scheduled.conf), scheduled.clear_number, scheduled.events) == ({"n": 1}, 0, ())
    (instance,) = store.list_instances(scheduled.key)
    assert instance.first_started == instance.started is not None
    assert (len(store.list_tries(scheduled.key)), store.list_pools()[0].slots) == (1, 7)
    assert store.list_xcoms(scheduled.key, task_id="load", name="return_value")[0].value == "3"
    store.close()


def test_a_database_of_the_second_version_keeps_its_rows(tmp_path: Path) -> None:
    from alembic import command
    from alembic.config import Config

    old = open_sqlite(tmp_path / "old.db")
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    config.set_main_option("path_separator", "os")
    with old.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        connection.exec_driver_sql(
            "INSERT INTO asset_events VALUES (3, 'orders', 's3://orders', '', '{}', 5, '', '', '', -1)"
        )
    old.dispose()
    store = SqlStore(path=tmp_path / "old.db")
    assert [event.number for event in store.list_events()] == [3]
    assert store.list_active_assets() == []
    assert store.take_duty("watch", owner="a", lease_s=1)
    store.close()
