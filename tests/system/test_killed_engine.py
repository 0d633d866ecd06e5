"""What a killed process leaves of its containers is gone when the next one starts one."""

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def start_and_kill(account: Any, dag: Path, home: Path) -> None:
    """Run a DAG whose task sleeps, and kill the process that runs it while the task runs."""
    running = subprocess.Popen(
        [sys.executable, "-m", "airdock", "run", str(dag)],
        env={**account.environment, "AIRDOCK_HOME": str(home)},
        stdout=subprocess.DEVNULL,
    )
    for _ in range(400):
        if list((home / "workspaces").glob("*/*/began")):
            break
        time.sleep(0.05)
    running.kill()
    running.wait()


@pytest.mark.skipif(os.geteuid() != 0, reason="looks into a home of root's")
def test_leftovers_of_a_killed_run_are_swept(
    root_account: Any, tmp_path: Path, unchanged_machine: Callable[[], None]
) -> None:
    home, dag = tmp_path / "home", tmp_path / "sleeps.py"
    dag.write_text(
        textwrap.dedent(
            """
            from airdock.sdk import DAG, task
            with DAG("sleeps"):
                @task
                def sleeps():
                    import os, time
                    open(os.path.join(os.environ["AIRDOCK_WORKSPACE"], "began"), "w").close()
                    time.sleep(60)
                sleeps()
            """
        )
    )
    start_and_kill(root_account, dag, home)
    containers = home / "run" / "containers"
    assert len(list(containers.iterdir())) == 1
    # One that was killed before its record was written, by a process that is gone as well.
    (containers / "half").mkdir()
    (containers / "half" / "owner").write_text("4194303 1")
    kept = root_account.airdock("container", "run", "host", "true", env={"AIRDOCK_HOME": str(home)})
    assert kept.returncode == 0, kept.stderr
    left = root_account.airdock("container", "ps", "-a", "--format", "{{.Image}}", env={"AIRDOCK_HOME": str(home)})
    assert left.stdout == "host\n"
    assert len(list(containers.iterdir())) == 1
