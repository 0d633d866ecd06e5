"""Killed at every named point, a run that is resumed ends as it would have, and repeats nothing that succeeded."""

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from airdock.model.keys import RunKey
from airdock.model.outcome import Failed, Lost, Succeeded
from airdock.model.states import RunState, TaskState
from airdock.scheduler.points import POINTS
from airdock.store.base import ACTIVE
from airdock.store.sql import SqlStore

SCRIPT = Path(__file__).with_name("run_programs.py")
RUN = RunKey(dag_id="programs", run_id="one")
LATER = [f"{kind}.{side}:3" for kind in ("queue", "submit", "end", "ack") for side in ("before", "after")]


def call(folder: Path, *arguments: str) -> int:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder), *arguments], capture_output=True, timeout=60, check=False
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr.decode()
    return done.returncode


def read_log(folder: Path) -> list[tuple[str, int, str, int]]:
    lines = (folder / "log").read_text().splitlines() if (folder / "log").exists() else []
    return [(task, int(number), what, int(pid)) for task, number, what, pid in (line.split() for line in lines)]


@pytest.mark.parametrize("point", [*POINTS, *LATER])
def test_a_killed_run_is_finished_by_resume(point: str, tmp_path: Path) -> None:
    assert call(tmp_path, "run", point) == -signal.SIGKILL
    if point == "create.before":
        assert not SqlStoreRows(tmp_path).exists
        return
    before = SqlStoreRows(tmp_path)
    assert call(tmp_path, "resume") == 0
    after = SqlStoreRows(tmp_path)
    check_states(after)
    check_once(after, before, read_log(tmp_path))
    check_nothing_left(after, tmp_path)


def test_a_second_kill_while_resuming_loses_nothing(tmp_path: Path) -> None:
    assert call(tmp_path, "run", "end.after:1") == -signal.SIGKILL
    assert call(tmp_path, "resume", "lease.after") == -signal.SIGKILL
    before = SqlStoreRows(tmp_path)
    assert call(tmp_path, "resume", "submit.after") == -signal.SIGKILL
    assert call(tmp_path, "resume") == 0
    after = SqlStoreRows(tmp_path)
    check_states(after)
    check_once(after, before, read_log(tmp_path))
    check_nothing_left(after, tmp_path)


class SqlStoreRows:
    """What the database says at one moment."""

    def __init__(self, folder: Path) -> None:
        store = SqlStore(path=folder / "airdock.db")
        try:
            self.exists = bool(store.list_runs())
            self.run = store.load_run(RUN) if self.exists else None
            self.instances = store.list_instances(RUN) if self.exists else []
            self.tries = store.list_tries(RUN) if self.exists else []
        finally:
            store.close()


def check_states(rows: SqlStoreRows) -> None:
    assert rows.run is not None
    assert rows.run.state is RunState.SUCCESS
    labels = ["first", "flaky", "join", "last", "left", "right[0]", "right[1]"]
    assert [row.key.label for row in rows.instances] == labels
    assert {row.state for row in rows.instances} == {TaskState.SUCCESS}


def check_once(after: SqlStoreRows, before: SqlStoreRows, log: list[tuple[str, int, str, int]]) -> None:
    """Every succeeded try ran once from begin to end, and was the last of its task; retries count real tries only."""
    endings = {each.key: each.outcome.ending for each in after.tries if each.outcome}
    assert len(endings) == len(after.tries), "every try has an outcome"
    counts = Counter((task, number, what) for task, number, what, _ in log)
    succeeded = [key for key, ending in endings.items() if isinstance(ending, Succeeded)]
    assert Counter(key.task for key in succeeded) == Counter(
        row.key for row in after.instances if row.key.task_id != "join"
    )
    for key in succeeded:
        assert counts[key.task.label, key.try_number, "begin"] == counts[key.task.label, key.try_number, "end"] == 1
        assert not any(task == key.task.label and number > key.try_number for task, number, _ in counts)
    kept = {each.key for each in before.tries if each.outcome and isinstance(each.outcome.ending, Succeeded)}
    assert kept <= set(succeeded)
    assert sum(isinstance(ending, Failed) for ending in endings.values()) <= 1
    assert all(isinstance(ending, Succeeded | Failed | Lost) for ending in endings.values())


def check_nothing_left(rows: SqlStoreRows, folder: Path) -> None:
    assert rows.run is not None
    assert rows.run.owner == ""
    assert not [row for row in rows.instances if row.state in ACTIVE]
    assert list((folder / "run/running").iterdir()) == []
    assert list((folder / "run/outcomes").iterdir()) == []
    assert [pid for *_, pid in read_log(folder) if runs(pid)] == []


def runs(pid: int) -> bool:
    """Whether there is such a process; one that only waits to be reaped runs no more."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"
