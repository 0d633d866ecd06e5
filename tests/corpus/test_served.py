"""Airflow's example DAGs that wait for each other, or start each other, served together by a scheduler."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tests.corpus.endings import SERVED, Ending
from tests.corpus.files import find_dag_files
from tests.corpus.running import Run, differences

_LIMIT_S = 180.0


@pytest.fixture(scope="module")
def runs(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Run]]:
    """The first run of each DAG, once all of them ended."""
    home = tmp_path_factory.mktemp("served")
    (home / "dags").mkdir()
    for file in find_dag_files(corpus):
        if file.stem in {each.file for each in SERVED}:
            shutil.copy(file, home / "dags")
    with (home / "said").open("wb") as said:
        server = subprocess.Popen([*_airdock(), "scheduler"], env=_environ(home), stdout=said, stderr=said)
    try:
        ends = time.monotonic() + _LIMIT_S
        while not (found := _find(home)):
            assert server.poll() is None and time.monotonic() < ends, (home / "said").read_text()
            time.sleep(1)
        yield found
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)


def _airdock() -> list[str]:
    return [sys.executable, "-m", "airdock"]


def _environ(home: Path) -> dict[str, str]:
    return {**os.environ, "AIRDOCK_HOME": str(home)}


def _ask(home: Path, *arguments: str) -> Any:
    done = subprocess.run([*_airdock(), *arguments, "--json"], env=_environ(home), capture_output=True, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else []


def _find(home: Path) -> dict[str, Run]:
    """The first run of each of the DAGs; nothing until all have ended."""
    listed = sorted(_ask(home, "runs", "list"), key=lambda run: run["created"])
    first = {run["dag_id"]: run for run in reversed(listed)}
    if any(first.get(each.dag_id, {}).get("state") not in {"success", "failed"} for each in SERVED):
        return {}
    return {
        dag_id: Run(
            state=run["state"],
            logical_date=datetime.now().astimezone(),
            states={
                (task["task_id"], task["map_index"]): (task["state"], task["reason"] or "")
                for task in _ask(home, "tasks", "states", f"{dag_id}/{run['run_id']}")
            },
        )
        for dag_id, run in first.items()
    }


@pytest.mark.parametrize("ending", SERVED, ids=lambda each: each.dag_id)
def test_a_run_ends_as_its_file_means(ending: Ending, runs: dict[str, Run]) -> None:
    found = differences(ending, runs[ending.dag_id])
    assert not found, "\n".join(found)
