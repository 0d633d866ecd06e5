"""Airflow as a peer: the same DAG files, run by `airflow standalone` in a scratch environment of its own.

Only with BENCH_AIRFLOW=1, as it downloads some 200 MB from PyPI.
"""

import functools
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

from ground import Ground, run
from measure import Skipped, SkippedError

__all__ = ["AirflowRun", "run_in_airflow"]

VERSION: Final = "3.3.2"
_STARTS_S: Final = 240.0
_RUNS_S: Final = 300.0
_STOPS_S: Final = 30.0

AirflowRun = list[tuple[str, str]]
"""When each task instance was queued and ended, in ISO 8601."""


def run_in_airflow(ground: Ground, text: str, dag_id: str, rounds: int) -> list[float] | Skipped:
    """Seconds from the first task queued until the last one ended, for so many runs of the DAG."""
    if not os.environ.get("BENCH_AIRFLOW"):
        return Skipped("BENCH_AIRFLOW=1 installs it")
    try:
        program = _install(ground)
        with _standalone(ground, program, text, dag_id) as (database, environment):
            return [
                _measure(program, environment, database, dag_id, f"bench-{number}") for number in range(1 + rounds)
            ][1:]
    except SkippedError as error:
        return Skipped(str(error))


@functools.cache
def _install(ground: Ground) -> Path:
    folder = ground.folder / "airflow-venv"
    run([sys.executable, "-m", "venv", folder])
    uv = Path(sys.executable).with_name("uv")
    install = [uv, "pip", "install", "--quiet", "--python", folder / "bin/python"] if uv.exists() else None
    run([*(install or [folder / "bin/pip", "install", "--quiet"]), f"apache-airflow=={VERSION}"])
    return folder / "bin/airflow"


@contextmanager
def _standalone(ground: Ground, program: Path, text: str, dag_id: str) -> Iterator[tuple[Path, dict[str, str]]]:
    """Airflow's own all-in-one: scheduler with LocalExecutor, API server, DAG processor and triggerer, on SQLite."""
    home = ground.folder / f"airflow-{dag_id}"
    (home / "dags").mkdir(parents=True)
    (home / "dags" / f"{dag_id}.py").write_text(text)
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
        "AIRFLOW__CORE__PARALLELISM": "8",
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
        _await(lambda: _query(database, "select 1 from dag where dag_id = ?", dag_id), _STARTS_S, "load the DAG file")
        yield database, environment
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, number)
                process.wait(_STOPS_S)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue
        shutil.rmtree(home, ignore_errors=True)


def _measure(program: Path, environment: dict[str, str], database: Path, dag_id: str, run_id: str) -> float:
    run([program, "dags", "trigger", dag_id, "--run-id", run_id], env=environment)
    ended = "select state from dag_run where run_id = ? and state in ('success', 'failed')"
    _await(lambda: _query(database, ended, run_id), _RUNS_S, "end the run")
    if _query(database, ended, run_id) != [("success",)]:
        raise SkippedError("its run failed")
    times = _query(database, "select queued_dttm, end_date from task_instance where run_id = ?", run_id)
    queued, last = min(each[0] for each in times), max(each[1] for each in times)
    return (datetime.fromisoformat(last) - datetime.fromisoformat(queued)).total_seconds()


def _query(database: Path, statement: str, value: str) -> AirflowRun:
    if not database.exists():
        return []
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)) as connection:
            return connection.execute(statement, (value,)).fetchall()
    except sqlite3.OperationalError:
        return []  # being made, or busy


def _await(is_so: object, limit_s: float, what: str) -> None:
    deadline = time.monotonic() + limit_s
    assert callable(is_so)
    while not is_so():
        if time.monotonic() > deadline:
            raise SkippedError(f"Airflow didn't {what} within {limit_s:g} s")
        time.sleep(0.2)
