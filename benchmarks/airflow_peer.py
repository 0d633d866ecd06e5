"""Airflow as a peer: the same DAG files, run by `airflow standalone` in a scratch environment of its own.

Only with BENCH_AIRFLOW=1, as it downloads some 200 MB from PyPI.
"""

import functools
import os
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Final

from ground import Ground, run
from measure import Skipped, SkippedError
from standalone import await_that, install, query, serve

__all__ = ["run_in_airflow"]

_STARTS_S: Final = 240.0
_RUNS_S: Final = 300.0
_install = functools.cache(install)


def run_in_airflow(ground: Ground, text: str, dag_id: str, rounds: int) -> list[float] | Skipped:
    """Seconds from the first task queued until the last one ended, for so many runs of the DAG."""
    if not os.environ.get("BENCH_AIRFLOW"):
        return Skipped("BENCH_AIRFLOW=1 installs it")
    home = ground.folder / f"airflow-{dag_id}"
    try:
        program = _install(ground.folder / "airflow-venv")
        (home / "dags").mkdir(parents=True)
        (home / "dags" / f"{dag_id}.py").write_text(text)
        with serve(program, home, parallelism=8) as (database, environment):
            loaded = "select 1 from dag where dag_id = ?"
            await_that(lambda: query(database, loaded, dag_id), _STARTS_S, "load the DAG file")
            return [
                _measure(program, environment, database, dag_id, f"bench-{number}") for number in range(1 + rounds)
            ][1:]
    except (SkippedError, TimeoutError, subprocess.CalledProcessError) as error:
        return Skipped(f"Airflow: {error}")


def _measure(program: Path, environment: dict[str, str], database: Path, dag_id: str, run_id: str) -> float:
    run([program, "dags", "trigger", dag_id, "--run-id", run_id], env=environment)
    ended = "select state from dag_run where run_id = ? and state in ('success', 'failed')"
    await_that(lambda: query(database, ended, run_id), _RUNS_S, "end the run")
    if query(database, ended, run_id) != [("success",)]:
        raise SkippedError("its run failed")
    times = query(database, "select queued_dttm, end_date from task_instance where run_id = ?", run_id)
    queued, last = min(each[0] for each in times), max(each[1] for each in times)
    return (datetime.fromisoformat(last) - datetime.fromisoformat(queued)).total_seconds()
