"""Callbacks are called wherever their task ran, and those of the DAG, each in a container (reference 4.7)."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airdock.app import App
from airdock.config import load_config

DAG = """
import os, signal
from datetime import timedelta
from airdock.sdk import DAG, task

def tell(what):
    def told(context):
        is_same = context["run_id"] == context["dag_run"].run_id
        print("TOLD", what, context.get("reason"), context.get("exception"), is_same)
    return told

def tell_dag(context):
    print("TOLD dag", context["reason"], context["dag"].dag_id, context["dag_run"].state)

with DAG("watched", on_failure_callback=tell_dag, on_success_callback=tell_dag):
    @task(requirements=[], on_success_callback=tell("bare success"), on_execute_callback=tell("bare begins"))
    def bare():
        return 1

    @task(on_failure_callback=tell("killed"), on_retry_callback=tell("killed, again"), retries=1,
          retry_delay=timedelta(0))
    def killed():
        os.kill(os.getpid(), signal.SIGKILL)

    @task(on_success_callback=tell("own process"), on_execute_callback=tell("own process begins"))
    def plain():
        pass

    bare(), killed(), plain()
"""


@pytest.fixture
def home(root_account: Any, tmp_path: Path) -> Path:
    (tmp_path / "watched.py").write_text(DAG)
    return tmp_path / "home"


def told(path: Path) -> list[str]:
    return [line.partition("TOLD ")[2] for line in path.read_text().splitlines() if "TOLD" in line]


def test_callbacks_are_called_wherever_the_task_ran(
    home: Path, root_account: Any, unchanged_machine: Callable[[], None]
) -> None:
    file = str(home.parent / "watched.py")
    ran = root_account.airdock("run", file, "--json", env={"AIRDOCK_HOME": str(home)}, timeout_s=200)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    logs = Path(json.loads(ran.stdout.splitlines()[-1])["logs"])
    assert told(logs / "bare" / "1.log") == ["bare begins None None True", "bare success  None True"]
    assert told(logs / "plain" / "1.log") == [
        "own process begins None None True",
        "own process None None True",
    ]
    said = "killed by SIGKILL before it reported a result"
    assert told(logs / "killed" / "1.log") == [f"killed, again {said} {said} True"]
    assert told(logs / "killed" / "2.log") == [f"killed {said} {said} True"]
    assert told(logs / "callbacks" / "1.log") == ["dag task_failure watched failed"]
    with App(load_config(flags={"home": str(home)})) as app:
        assert app.store.list_callbacks() == []
    unchanged_machine()
