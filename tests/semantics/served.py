"""What a server of ours makes of the DAG files beside this one."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tests.semantics.table import DAGS, LOGICAL_DATE, RUN_ID, TRIGGERED, Table

__all__ = ["serve"]

_QUIET_S: Final = 15.0
_RUNS_S: Final = 300.0


def serve(home: Path) -> Table:
    """What a server in this home makes of the DAG files."""
    shutil.copytree(DAGS, home / "dags")
    environ = {**os.environ, "AIRDOCK_HOME": str(home)}
    airdock = [sys.executable, "-m", "airdock"]
    with (home / "said").open("wb") as said:
        server = subprocess.Popen([*airdock, "scheduler"], env=environ, stdout=said, stderr=said)
    try:
        database = home / "airdock.db"
        _await(lambda: _has_loaded(database), server)
        for dag_id in TRIGGERED:
            trigger = [*airdock, "dags", "trigger", dag_id, "--run-id", RUN_ID, "--logical-date", LOGICAL_DATE]
            subprocess.run(trigger, env=environ, check=True, stdout=subprocess.DEVNULL)
        _await_quiet(database, server)
        return _read(database)
    except TimeoutError as error:
        raise AssertionError(f"{error}\n{(home / 'said').read_text()}") from None
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)


def _has_loaded(database: Path) -> bool:
    for file, error in _query(database, "select fileloc, error from import_problems"):
        raise AssertionError(f"{file} can't be loaded: {error}")
    return set(TRIGGERED) <= {row[0] for row in _query(database, "select dag_id from dag_index")}


def _await_quiet(database: Path, server: "subprocess.Popen[bytes]") -> None:
    seen, since = None, time.monotonic()

    def is_quiet() -> bool:
        nonlocal seen, since
        found = _query(database, "select state, count(*), sum(try_number) from task_instances group by state")
        if found != seen or {"queued", "running"} & {row[0] for row in found}:
            seen, since = found, time.monotonic()
        return time.monotonic() - since > _QUIET_S

    _await(is_quiet, server)


def _read(database: Path) -> Table:
    table: Table = {}
    numbers = {}
    for number, dag_id, run_id, state, run_type, *dates in _query(
        database,
        "select id, dag_id, run_id, state, run_type, logical_date, interval_start, interval_end, run_after from runs",
    ):
        numbers[number] = (dag_id, run_id)
        table.setdefault(dag_id, {})[run_id] = {
            "state": state,
            "type": run_type,
            "dates": [each and _date(each) for each in dates],
            "tasks": {},
        }
    for number, task_id, map_index, state, tries, label in _query(
        database, "select run, task_id, map_index, state, try_number, label from task_instances"
    ):
        dag_id, run_id = numbers[number]
        name = task_id if map_index < 0 else f"{task_id}[{map_index}]"
        row: dict[str, Any] = {"state": state, "tries": tries}
        if label:
            row["label"] = label
        table[dag_id][run_id]["tasks"][name] = row
    for number, task_id, map_index, key, value in _query(
        database, "select run, task_id, map_index, name, value from xcoms"
    ):
        dag_id, run_id = numbers[number]
        name = task_id if map_index < 0 else f"{task_id}[{map_index}]"
        table[dag_id][run_id]["tasks"][name].setdefault("xcoms", {})[key] = json.loads(value)
    return table


def _date(stamp: int) -> str:
    return datetime.fromtimestamp(stamp / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _query(database: Path, statement: str) -> list[Any]:
    if not database.exists():
        return []
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)) as connection:
            return connection.execute(statement).fetchall()
    except sqlite3.OperationalError:
        return []  # being made, or busy


def _await(is_so: Any, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _RUNS_S
    while not is_so():
        if server.poll() is not None or time.monotonic() > deadline:
            raise TimeoutError(f"not done within {_RUNS_S:g} s")
        time.sleep(1)
