"""What Airflow makes of the DAG files beside this one.

It is installed in an environment of its own, which downloads some 200 MB from PyPI, and serves the DAG files by
`airflow standalone`; those without a schedule are triggered.
"""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Final

from benchmarks.standalone import await_that, install, query, serve
from tests.semantics.table import DAGS, LOGICAL_DATE, RUN_ID, TRIGGERED, Table, make_table, quiet

__all__ = ["ask_airflow"]

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
    program, home = install(folder / "environment"), folder / "home"
    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(DAGS, home / "dags")
    with serve(program, home, parallelism=4) as (database, environment):
        await_that(lambda: _has_loaded(database), _STARTS_S, "load all files")
        trigger = [program.with_name("python"), "-c", _TRIGGER, RUN_ID, LOGICAL_DATE, *TRIGGERED]
        subprocess.run(trigger, env=environment, check=True, stdout=subprocess.DEVNULL)
        await_that(quiet(lambda: _stand(database), _QUIET_S), _RUNS_S, "end all runs")
        return _read(database)


def _has_loaded(database: Path) -> bool:
    for filename, trace in query(database, "select filename, stacktrace from import_error"):
        raise ValueError(f"Airflow can't load {filename}: {trace}")
    return set(TRIGGERED) <= {row[0] for row in query(database, "select dag_id from serialized_dag")}


def _stand(database: Path) -> object:
    """What changes as long as tasks run; None while one does."""
    if query(database, "select 1 from task_instance where state in ('running', 'queued')"):
        return None
    counted = "select count(*), max(updated_at) from"
    return query(database, f"{counted} task_instance"), query(database, f"{counted} dag_run")


def _read(database: Path) -> Table:
    dates = "logical_date, data_interval_start, data_interval_end, run_after"
    return make_table(
        [
            ((dag_id, run_id), state, run_type, [each and each[:19] for each in moments])
            for dag_id, run_id, state, run_type, *moments in query(
                database,
                f"select dag_id, run_id, state, run_type, {dates} from dag_run",
            )
        ],
        [
            ((dag_id, run_id), *rest)
            for dag_id, run_id, *rest in query(
                database,
                "select dag_id, run_id, task_id, map_index, state, try_number, rendered_map_index from task_instance",
            )
        ],
        [
            ((dag_id, run_id), task_id, map_index, key, json.loads(value) if isinstance(value, str) else value)
            for dag_id, run_id, task_id, map_index, key, value in query(
                database, "select dag_id, run_id, task_id, map_index, key, value from xcom"
            )
        ],
    )
