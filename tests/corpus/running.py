"""Runs one of the example DAGs as people do, each task in a container of the host image, and tells how it ended."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.corpus.endings import Ending

__all__ = ["Run", "differences", "run_dag"]


@dataclass(frozen=True, kw_only=True)
class Run:
    """`states` maps a task's id and map index to its state and the reason that was told for it."""

    state: str
    logical_date: datetime
    states: dict[tuple[str, int], tuple[str, str]]
    error: str = ""


def run_dag(file: Path, dag_id: str, *, home: Path, limit_s: float, conf: Mapping[str, str] | None = None) -> Run:
    """One run by hand. Where it didn't come to an end, `error` says what the command said."""
    try:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "airdock",
                "run",
                f"{file}:{dag_id}",
                "--json",
                "--conf",
                json.dumps(dict(conf or {})),
            ],
            env={**os.environ, "AIRDOCK_HOME": str(home)},
            capture_output=True,
            text=True,
            timeout=limit_s,
        )
    except subprocess.TimeoutExpired:
        return Run(state="", logical_date=datetime.now(), states={}, error=f"no end within {limit_s:g} s")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    summary: dict[str, Any] | None = next((each for each in events if each["event"] == "summary"), None)
    if summary is None:
        return Run(state="", logical_date=datetime.now(), states={}, error=done.stderr.strip()[-500:])
    return Run(
        state=summary["state"],
        logical_date=datetime.fromisoformat(summary["run_id"].partition("__")[2]),
        states={
            (task["task_id"], task["map_index"]): (task["state"], task["reason"] or "") for task in summary["tasks"]
        },
    )


def differences(ending: Ending, run: Run) -> list[str]:
    """How the run ended otherwise than it had to; nothing where it ended so."""
    if run.error:
        return [run.error]
    succeeded = {task_id for (task_id, _), (state, _) in run.states.items() if state == "success"}
    found = [
        f"{task_id}{'' if index < 0 else f'[{index}]'}: expected {wanted}, found {state} ({reason})"
        for (task_id, index), (state, reason) in run.states.items()
        if (wanted := ending.state(task_id, run.logical_date, succeeded)) != state
    ]
    counts = Counter(task_id for task_id, index in run.states if index >= 0)
    if dict(counts) != dict(ending.mapped):
        found.append(f"expected the mapped instances {dict(ending.mapped)}, found {dict(counts)}")
    if len(run.states) != ending.tasks:
        found.append(f"expected {ending.tasks} instances, found {len(run.states)}")
    if run.state != ending.run:
        found.append(f"expected the run to end {ending.run}, found {run.state}")
    return found
