"""Airflow's own all-in-one in a scratch environment.

That is a scheduler with LocalExecutor, API server, DAG processor and triggerer, on SQLite. It imports nothing that
stands beside it: the comparison in `tests/semantics` serves DAG files by it as the benchmarks do.
"""

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

__all__ = ["VERSION", "await_that", "install", "query", "serve"]

VERSION: Final = "3.3.2"
_STOPS_S: Final = 30.0


def install(environment: Path) -> Path:
    """The `airflow` of this environment, which is made where it isn't there: some 200 MB from PyPI."""
    program = environment / "bin/airflow"
    if not program.exists():
        uv = Path(sys.executable).with_name("uv")
        of_uv = [uv, "pip", "install", "--quiet", "--python", environment / "bin/python"]
        of_pip = [environment / "bin/pip", "install", "--quiet"]
        for argv in (
            [sys.executable, "-m", "venv", environment],
            [*(of_uv if uv.exists() else of_pip), f"apache-airflow=={VERSION}"],
        ):
            subprocess.run(argv, check=True)
    return program


@contextmanager
def serve(program: Path, home: Path, *, parallelism: int) -> Iterator[tuple[Path, dict[str, str]]]:
    """Serves `dags` of this home, which is removed after: gives the database and the environment for its commands."""
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
        "AIRFLOW__CORE__PARALLELISM": str(parallelism),
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
        yield home / "airflow.db", environment
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, number)
                process.wait(_STOPS_S)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue
        shutil.rmtree(home, ignore_errors=True)


def query(database: Path, statement: str, *values: str) -> list[Any]:
    """The rows; none while the SQLite database is being made, or is busy."""
    if not database.exists():
        return []
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)) as connection:
            return connection.execute(statement, values).fetchall()
    except sqlite3.OperationalError:
        return []


def await_that(is_so: Callable[[], object], limit_s: float, what: str) -> None:
    """TimeoutError, which says `what` didn't happen, where it isn't so within the limit."""
    deadline = time.monotonic() + limit_s
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(f"expected it to {what} within {limit_s:g} s")
        time.sleep(0.2)
