"""What Airflow makes of the DAG files beside this one.

It is installed in an environment of its own, which downloads some 200 MB from PyPI, and serves the DAG files by
`airflow standalone`; those without a schedule are triggered.
"""

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from tests.semantics.table import DAGS, LOGICAL_DATE, RUN_ID, TRIGGERED, Table

__all__ = ["VERSION", "ask_airflow"]

VERSION: Final = "3.3.2"
_STARTS_S: Final = 300.0
_RUNS_S: Final = 1800.0
_QUIET_S: Final = 40.0
"""So long nothing changes once all is done that will be."""

_TRIGGER: Final = """
import sys, pendulum
from airflow.api.client import get_current_api_client

client = get_current_api_client()
for dag_id in sys.argv[3:]:
    client.trigger_dag(dag_id=dag_id, run_id=sys.argv[1], logical_date=pendulum.parse(sys.argv[2]))
"""


def ask_airflow(folder: Path) -> Table:
    """What Airflow makes of the DAG files; `folder` may keep the environment for another time."""
    program = _install(folder)
    home = folder / "home"
    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(DAGS, home / "dags")
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHONPATH"))},
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__WORKERS": "1",
    }
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, "standalone"], env=environment, stdout=log, stderr=log, start_new_session=True, cwd=home
        )
    try:
        database = home / "airflow.db"
        _await(lambda: _has_loaded(database), _STARTS_S, "load all files")
        trigger = [program.with_name("python"), "-c", _TRIGGER, RUN_ID, LOGICAL_DATE, *TRIGGERED]
        subprocess.run(trigger, env=environment, check=True, stdout=subprocess.DEVNULL)
        _await_quiet(database)
        return _read(database)
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, number)
                process.wait(30)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue


def _install(folder: Path) -> Path:
    environment = folder / "environment"
    if not (environment / "bin/airflow").exists():
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        uv = Path(sys.executable).with_name("uv")
        install = [uv, "pip", "install", "--python", environment / "bin/python"]
        install = install if uv.exists() else [environment / "bin/pip", "install"]
        subprocess.run([*install, "--quiet", f"apache-airflow=={VERSION}"], check=True)
    return environment / "bin/airflow"


def _has_loaded(database: Path) -> bool:
    for filename, trace in _query(database, "select filename, stacktrace from import_error"):
        raise ValueError(f"Airflow can't load {filename}: {trace}")
    return set(TRIGGERED) <= {row[0] for row in _query(database, "select dag_id from serialized_dag")}


def _await_quiet(database: Path) -> None:
    """Until nothing has changed for a while: some runs aren't to end."""
    statement = (
        "select count(*), max(updated_at) from task_instance union select count(*), max(updated_at) from dag_run"
    )
    seen, since, limit = None, time.monotonic(), time.monotonic() + _RUNS_S
    while time.monotonic() - since < _QUIET_S:
        if time.monotonic() > limit:
            raise TimeoutError(f"Airflow's runs still change after {_RUNS_S:g} s")
        running = _query(database, "select count(*) from task_instance where state in ('running', 'queued')")
        if (found := _query(database, statement)) != seen or running != [(0,)]:
            seen, since = found, time.monotonic()
        time.sleep(2)


def _read(database: Path) -> Table:
    table: Table = {}
    for dag_id, run_id, state, run_type, *dates in _query(
        database,
        "select dag_id, run_id, state, run_type, logical_date, data_interval_start, data_interval_end, run_after"
        " from dag_run",
    ):
        table.setdefault(dag_id, {})[run_id] = {
            "state": state,
            "type": run_type,
            "dates": [each and each[:19] for each in dates],
            "tasks": {},
        }
    for dag_id, run_id, task_id, map_index, state, tries, label in _query(
        database, "select dag_id, run_id, task_id, map_index, state, try_number, rendered_map_index from task_instance"
    ):
        name = task_id if map_index < 0 else f"{task_id}[{map_index}]"
        row: dict[str, Any] = {"state": state, "tries": tries}
        if label is not None:
            row["label"] = label
        table[dag_id][run_id]["tasks"][name] = row
    for dag_id, run_id, task_id, map_index, key, value in _query(
        database, "select dag_id, run_id, task_id, map_index, key, value from xcom"
    ):
        name = task_id if map_index < 0 else f"{task_id}[{map_index}]"
        value = json.loads(value) if isinstance(value, str) else value
        table[dag_id][run_id]["tasks"][name].setdefault("xcoms", {})[key] = value
    return table


def _query(database: Path, statement: str) -> list[Any]:
    if not database.exists():
        return []
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)) as connection:
            return connection.execute(statement).fetchall()
    except sqlite3.OperationalError:
        return []  # being made, or busy


def _await(is_so: Any, limit_s: float, what: str) -> None:
    deadline = time.monotonic() + limit_s
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(f"Airflow didn't {what} within {limit_s:g} s")
        time.sleep(1)
