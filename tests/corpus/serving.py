"""Serves the example DAGs that wait for each other, or start each other, and tells how their runs ended."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.corpus.endings import SERVED
from tests.corpus.files import find_dag_files
from tests.corpus.running import Run

__all__ = ["serve"]

_LIMIT_S = 180.0


def serve(corpus: Path, home: Path) -> dict[str, Run]:
    """The first run of each DAG of `SERVED`, once all of them have ended."""
    (home / "dags").mkdir()
    for file in find_dag_files(corpus):
        if file.stem in {each.file for each in SERVED}:
            shutil.copy(file, home / "dags")
    with (home / "said").open("wb") as said:
        server = subprocess.Popen([*_airdock(), "scheduler"], env=_environ(home), stdout=said, stderr=said)
    try:
        ends = time.monotonic() + _LIMIT_S
        while not (found := _find(home)):
            if server.poll() is not None or time.monotonic() > ends:
                raise AssertionError((home / "said").read_text())
            time.sleep(2)
        return found
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
                (task["task_id"], task["map_index"]): (task["state"], task.get("reason") or "")
                for task in _ask(home, "tasks", "states", f"{dag_id}/{run['run_id']}")
            },
        )
        for dag_id, run in first.items()
    }
