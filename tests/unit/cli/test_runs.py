"""`airdock runs list` and `airdock run --resume` over runs that were stopped, and that ended."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from airdock.cli.main import airdock
from airdock.clock import SystemClock
from airdock.model.keys import RunKey
from airdock.model.states import RunState
from airdock.scheduler.owner import Owner
from airdock.store.records import Run
from airdock.store.sql import SqlStore

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a run of this process, one that nobody works on, and one that ended."""
    store = SqlStore(path=tmp_path / "airdock.db", clock=SystemClock())
    for name, state in (("mine", RunState.RUNNING), ("left", RunState.RUNNING), ("done", RunState.FAILED)):
        key = RunKey(dag_id=name, run_id=name)
        store.create_run(Run(key=key, state=state, dag_digest="", created=NOW, logical_date=NOW), [])
    store.take_run(RunKey(dag_id="mine", run_id="mine"), owner=str(Owner.current()), lease_s=60)
    store.close()
    return tmp_path


def test_a_run_that_nobody_works_on_is_listed_as_stopped(home: Path) -> None:
    shown = CliRunner().invoke(airdock, ["--home", str(home), "runs", "list"])
    states = {line.split()[0]: line.split()[2] for line in shown.output.splitlines()[1:]}
    assert states == {"mine": "running", "left": "stopped", "done": "failed"}
    listed = json.loads(CliRunner().invoke(airdock, ["--home", str(home), "runs", "list", "--json"]).output)
    assert {row["run_id"]: (row["state"], row["stopped"]) for row in listed} == {
        "mine": ("running", False),
        "left": ("running", True),
        "done": ("failed", False),
    }
