"""What a server of ours makes of the DAG files beside this one."""

import json
import os
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks.standalone import await_that, query
from tests.semantics.table import DAGS, LOGICAL_DATE, RUN_ID, TRIGGERED, Table, make_table, quiet

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
        await_that(lambda: server.poll() is not None or _has_loaded(database), _RUNS_S, "load all files")
        for dag_id in TRIGGERED:
            trigger = [*airdock, "dags", "trigger", dag_id, "--run-id", RUN_ID, "--logical-date", LOGICAL_DATE]
            subprocess.run(trigger, env=environ, check=True, stdout=subprocess.DEVNULL)
        is_quiet = quiet(lambda: _stand(database), _QUIET_S)
        await_that(lambda: server.poll() is not None or is_quiet(), _RUNS_S, "end all runs")
        if server.poll() is not None:
            raise AssertionError((home / "said").read_text())
        return _read(database)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)


def _has_loaded(database: Path) -> bool:
    for file, error in query(database, "select fileloc, error from import_problems"):
        raise AssertionError(f"{file} can't be loaded: {error}")
    return set(TRIGGERED) <= {row[0] for row in query(database, "select dag_id from dag_index")}


def _stand(database: Path) -> object:
    """What changes as long as tasks run; None while one does."""
    found = query(database, "select state, count(*), sum(try_number) from task_instances group by state")
    return None if {"queued", "running"} & {row[0] for row in found} else found


def _read(database: Path) -> Table:
    dates = "logical_date, interval_start, interval_end, run_after"
    runs = query(database, f"select id, dag_id, run_id, state, run_type, {dates} from runs")
    keys = {number: (dag_id, run_id) for number, dag_id, run_id, *_ in runs}
    return make_table(
        [
            ((dag_id, run_id), state, run_type, [each and _date(each) for each in moments])
            for _, dag_id, run_id, state, run_type, *moments in runs
        ],
        [
            (keys[number], *rest)
            for number, *rest in query(
                database, "select run, task_id, map_index, state, try_number, label from task_instances"
            )
        ],
        [
            (keys[number], task_id, map_index, name, json.loads(value))
            for number, task_id, map_index, name, value in query(
                database, "select run, task_id, map_index, name, value from xcoms"
            )
        ],
    )


def _date(stamp: int) -> str:
    return datetime.fromtimestamp(stamp / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S")
