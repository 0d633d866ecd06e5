"""What serves a DAG folder: runs are taken up, killed servers' runs too, and SIGTERM ends all of it cleanly."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from airdock.app import App
from airdock.config import load_config
from airdock.model.keys import RunKey
from airdock.model.states import RunState

DAG = """
from airdock.operators.bash import BashOperator
from airdock.sdk import DAG

with DAG("served", schedule=None):
    step = "test -e /workspace/go || {{ touch /workspace/go; sleep 60; }}; echo done-{} >> /workspace/log"
    BashOperator(task_id="one", bash_command=step.format("one")) >> BashOperator(
        task_id="two", bash_command=step.format("two")
    )
"""

PROGRAM = """
import signal, sys
from airdock.app import App
from airdock.config import load_config
from airdock.model.progress import Note, TaskChanged, RunChanged

def tell(progress):
    match progress:
        case Note(line=line):
            print("note", line, flush=True)
        case TaskChanged(key=key, state=state):
            print("task", key.task_id, state, flush=True)
        case RunChanged(run_id=run_id, state=state):
            print("run", run_id, state, flush=True)

with App(load_config(flags={"home": sys.argv[1]})) as app:
    app.open()
    signal.signal(signal.SIGTERM, lambda *_: app.server.stop())
    app.serve(report=tell)
"""


class Serving:
    """A server in a process of its own."""

    def __init__(self, home: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(home)], stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def until(self, line: str) -> None:
        assert self.process.stdout is not None
        said = []
        for each in self.process.stdout:
            said.append(each.strip())
            if said[-1] == line:
                return
        raise AssertionError(f"never said {line!r}: {said}")

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


@contextmanager
def serving(home: Path) -> Iterator[Serving]:
    served = Serving(home)
    try:
        yield served
    finally:
        served.process.kill()
        served.process.wait()
        assert served.process.stdout is not None
        served.process.stdout.close()


@pytest.fixture
def home(root_account: object, tmp_path: Path) -> Path:
    (tmp_path / "home" / "dags").mkdir(parents=True)
    (tmp_path / "home" / "dags" / "served.py").write_text(DAG)
    return tmp_path / "home"


def make_run(home: Path) -> RunKey:
    with App(load_config(flags={"home": str(home)})) as app:
        app.open()
        (dag,) = app.loads.load(home / "dags" / "served.py")
        return app.orchestrator.create_run(dag, run_id="r")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_outlives_its_server(home: Path, number: int, unchanged_machine: Callable[[], None]) -> None:
    key = make_run(home)
    with serving(home) as first:
        first.until("task one running")
        assert first.end(number) == (-signal.SIGKILL if number == signal.SIGKILL else 0)
    (home / "workspaces" / "served" / "r" / "go").touch()
    with serving(home) as second:
        second.until("run r success")
        assert second.end(signal.SIGTERM) == 0
    with App(load_config(flags={"home": str(home)})) as app:
        run = app.store.load_run(key)
        assert (run.state, run.owner) == (RunState.SUCCESS, "")
    assert (home / "workspaces" / "served" / "r" / "log").read_text().split() == ["done-one", "done-two"]
    unchanged_machine()


def test_changes_of_the_folder_are_loaded(home: Path) -> None:
    with serving(home) as served:
        served.until("note served.py: loaded served")
        (home / "dags" / "deeper").mkdir()
        (home / "dags" / "deeper" / "other.py").write_text(DAG.replace("served", "other"))
        served.until("note other.py: loaded other")
        (home / "dags" / "served.py").write_text(DAG + "1 / 0  # airdock dag\n")
        served.until(
            "note served.py: not loaded: served.py can't be loaded: ZeroDivisionError: division by zero "
            "(at `1 / 0  # airdock dag`)"
        )
        assert served.end(signal.SIGTERM) == 0
