"""`airdock run`, killed while its tasks run in containers, is finished by `airdock run --resume`."""

import json
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

DAG = """
from airdock.operators.bash import BashOperator
from airdock.operators.empty import EmptyOperator
from airdock.sdk import DAG


def step(name):
    return BashOperator(task_id=name, bash_command=f"sleep 0.1; echo end-{name} >> /workspace/log")


with DAG("killed", schedule=None):
    first, left, right, late, last = map(step, ["first", "left", "right", "late", "last"])
    first >> [left, right] >> EmptyOperator(task_id="join") >> late >> last
"""

POINTS = ["submit.after", "start.after", "end.before", "end.after", "ack.before", "finish.after"]


@pytest.mark.parametrize("point", POINTS)
def test_root_finishes_what_was_left(
    root_account: Any, point: str, tmp_path: Path, unchanged_machine: Callable[[], None]
) -> None:
    finish_after_kill(root_account, point, tmp_path)
    unchanged_machine()


@pytest.mark.parametrize("point", ["start.after", "end.after"])
@pytest.mark.parametrize("kind", ["plain_account", "ranged_account"])
def test_an_ordinary_account_finishes_what_was_left(
    kind: str, point: str, request: pytest.FixtureRequest, unchanged_machine: Callable[[], None]
) -> None:
    account = request.getfixturevalue(kind)
    finish_after_kill(account, point, account.home)
    unchanged_machine()


def finish_after_kill(account: Any, point: str, folder: Path) -> None:
    file, home = folder / "dags" / "killed.py", folder / f"home-{point}"
    file.parent.mkdir(exist_ok=True)
    file.parent.chmod(0o755)
    file.write_text(DAG)

    def airdock(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        done: subprocess.CompletedProcess[str] = account.airdock(
            *arguments, env={"AIRDOCK_HOME": str(home), **environment}
        )
        return done

    killed = airdock("run", str(file), AIRDOCK__DEBUG__KILL_AT=point)
    assert killed.returncode == -signal.SIGKILL, killed.stdout + killed.stderr
    (workspace,) = (home / "workspaces/killed").iterdir()
    resumed = airdock("run", str(file), "--resume", workspace.name)
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    lines = Counter((workspace / "log").read_text().split())
    names = ["first", "left", "right", "late", "last"]
    assert {name: lines[f"end-{name}"] for name in names} == dict.fromkeys(names, 1)
    listed = airdock("runs", "list", "--json")
    assert [run["state"] for run in json.loads(listed.stdout)] == ["success"], listed.stdout
    assert list((home / "run/outcomes").iterdir()) == []
    assert list((home / "run/tries").iterdir()) == []
    assert len(airdock("container", "ps", "--all").stdout.splitlines()) == 1
