"""`airdock db` over a real file."""

import json
import os
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

from click.testing import CliRunner, Result

from airdock.cli.main import airdock
from airdock.model.keys import RunKey
from airdock.model.states import RunState
from airdock.scheduler.owner import Owner
from airdock.store.records import Run
from airdock.store.sql import SqlStore

AT = datetime(2026, 1, 2, tzinfo=UTC)


def ask(home: Path, *words: str) -> Result:
    return CliRunner().invoke(airdock, ["--home", str(home), "db", *words])


def keep_runs(home: Path, number: int) -> None:
    store = SqlStore(path=home / "airdock.db")
    for day in range(number):
        at = AT + timedelta(days=day)
        key = RunKey(dag_id="d", run_id=str(day))
        store.create_run(Run(key=key, state=RunState.SUCCESS, dag_digest="d", created=at, ended=at), [])
    store.close()


def test_a_database_is_made_once(tmp_path: Path) -> None:
    assert "was made at version" in ask(tmp_path, "migrate").output
    assert "is at version" in ask(tmp_path, "migrate").output
    assert json.loads(ask(tmp_path, "migrate", "--json").output)["from"] is None


def test_a_sound_database_is_said_to_be(tmp_path: Path) -> None:
    assert "is sound" in ask(tmp_path, "check").output


def test_a_row_that_belongs_to_nothing_is_found(tmp_path: Path) -> None:
    ask(tmp_path, "migrate")
    with sqlite3.connect(tmp_path / "airdock.db") as connection:
        connection.execute("INSERT INTO xcoms VALUES (9, 't', -1, 'x', '1', NULL)")
    connection.close()
    found = ask(tmp_path, "check")
    assert found.exit_code != 0
    assert "xcoms" in str(found.exception)


def test_old_runs_are_cleaned(tmp_path: Path) -> None:
    keep_runs(tmp_path, 4)
    words = ("clean", "--before", "2026-01-04", "--table", "runs", "--json")
    assert json.loads(ask(tmp_path, *words, "--dry-run").output) == {"runs": 2}
    assert json.loads(ask(tmp_path, *words, "--yes").output) == {"runs": 2}
    assert json.loads(ask(tmp_path, *words, "--yes").output) == {"runs": 0}
    assert "asset_events" in ask(tmp_path, "clean", "--before", "2026-01-04", "--yes").output


def test_a_table_that_is_none_is_said(tmp_path: Path) -> None:
    found = ask(tmp_path, "clean", "--before", "2026-01-04", "--table", "people", "--yes")
    assert found.exit_code != 0
    assert "people" in str(found.exception)


def test_who_serves_is_told(tmp_path: Path) -> None:
    store = SqlStore(path=tmp_path / "airdock.db")
    store.beat(str(Owner.current()))
    store.close()
    assert f"process {os.getpid()} on " in ask(tmp_path, "check").output
