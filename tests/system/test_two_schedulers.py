"""Two schedulers on one PostgreSQL: the one that works on a run is killed, and the other goes on with it."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from airdock.model.outcome import Lost
from airdock.model.states import RunState, TaskState
from airdock.store.base import Store
from airdock.store.records import Run
from airdock.store.sql import SqlStore

from ..contract.postgres import find_programs, serve

LIMIT_S = 60.0
TAKEOVER_S = 15.0
DAG = """
from datetime import datetime
from airdock.sdk import dag, task

@dag(schedule="@once", start_date=datetime(2026, 1, 1))
def chain():
    @task(retries=0)
    def step(number):
        import time
        began = time.time()
        time.sleep(0.2)
        with open("/workspace/log", "a") as log:
            log.write(f"{number} {began} {time.time()}\\n")

    last = None
    for number in range(10):
        this = step.override(task_id=f"s{number}")(number)
        if last is not None:
            last >> this
        last = this

chain()
"""


@pytest.fixture
def url() -> Iterator[str]:
    programs = find_programs()
    if not programs or importlib.util.find_spec("psycopg") is None:
        pytest.skip("needs the programs of PostgreSQL 15 or later, and psycopg")
    with serve(programs) as made:
        yield made


@contextmanager
def schedulers(home: Path, url: str, number: int) -> Iterator[list["subprocess.Popen[bytes]"]]:
    environment = {**os.environ, "AIRDOCK_HOME": str(home), "AIRDOCK__DATABASE__URL": url}
    argv = [sys.executable, "-m", "airdock", "scheduler"]
    with (home / "out").open("wb") as out:
        processes = [subprocess.Popen(argv, env=environment, stdout=out, stderr=out) for _ in range(number)]
    try:
        yield processes
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(LIMIT_S)


def wait_for(store: Store, is_so: Callable[[Run], bool]) -> Run:
    """The run, once it is so."""
    end = time.monotonic() + LIMIT_S
    while time.monotonic() < end:
        found = store.list_runs(limit=1)
        if found and is_so(found[0]):
            return found[0]
        time.sleep(0.05)
    raise AssertionError(f"in vain for {LIMIT_S:.0f} s: {store.list_runs()}")


@pytest.mark.root
def test_a_killed_schedulers_run_is_taken_over(tmp_path: Path, url: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "chain.py").write_text(DAG)
    store = SqlStore(url=url)

    def ended(run: Run) -> int:
        return sum(row.state is TaskState.SUCCESS for row in store.list_instances(run.key))

    with schedulers(tmp_path, url, 2) as processes:
        run = wait_for(store, lambda run: run.state is RunState.RUNNING and ended(run) >= 3)
        owner = int(run.owner.split(":")[2])
        assert owner in [process.pid for process in processes]
        os.kill(owner, signal.SIGKILL)
        killed, before = time.monotonic(), run.owner
        wait_for(store, lambda run: run.owner not in ("", before))
        assert time.monotonic() - killed < TAKEOVER_S
        done = wait_for(store, lambda run: run.state in (RunState.SUCCESS, RunState.FAILED))
    assert done.state is RunState.SUCCESS and ended(done) == 10
    lost = [each for each in store.list_tries(done.key) if each.outcome and isinstance(each.outcome.ending, Lost)]
    store.close()
    (log,) = (tmp_path / "workspaces").rglob("log")
    lines = [line.split() for line in log.read_text().splitlines()]
    # What was lost may have come to its last line before.
    assert len(lost) <= 1 and len(lines) <= 10 + len(lost)
    assert list(dict.fromkeys(int(number) for number, _, _ in lines)) == list(range(10))
    assert all(float(left[2]) <= float(right[1]) for left, right in pairwise(lines))
