"""A server that has nothing to do: processor time, and memory."""

import os
import signal
import subprocess
import time
from pathlib import Path

from ground import Ground
from measure import Figure, Samples

__all__ = ["NAME", "measure"]

NAME = "idle"
FILES = 20
_SETTLE_S = 6.0
_DAG = """\
from datetime import datetime

from airdock.sdk import DAG, task

with DAG("idle_NUMBER", schedule="0 0 1 1 *", start_date=datetime(2024, 1, 1), catchup=False):

    @task
    def step():
        return None

    step()
"""


def measure(ground: Ground) -> list[Figure]:
    home = ground.folder / "idle"
    (home / "dags").mkdir(parents=True)
    for number in range(FILES):
        (home / "dags" / f"idle_{number}.py").write_text(_DAG.replace("NUMBER", str(number)))
    environment = {**ground.env, "AIRDOCK_HOME": str(home)}
    process = subprocess.Popen(
        [*ground.airdock, "scheduler"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _await_quiet(process.pid)
        shares, memory = [], []
        for _ in range(ground.rounds(3, 1)):
            before, began = _ticks(process.pid), time.perf_counter()
            time.sleep(10)
            used = (_ticks(process.pid) - before) / os.sysconf("SC_CLK_TCK")
            shares.append(1000 * used / (time.perf_counter() - began))
            memory.append(_memory_mib(process.pid))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    return [
        Figure(
            title="an idle scheduler",
            unit="ms",
            ours=Samples(tuple(shares)),
            notes=[f"of one processor each second, with {FILES} DAG files, of the scheduler and what it started"],
        ),
        Figure(title="memory of it", unit="MiB", ours=Samples(tuple(memory)), notes=["PSS of the same processes"]),
    ]


def _await_quiet(pid: int) -> None:
    """Until its files are loaded and their runs are over."""
    before = -1000
    while (now := _ticks(pid)) - before > 10:
        before = now
        time.sleep(_SETTLE_S)


def _family(pid: int) -> list[int]:
    found = [pid]
    for thread in Path(f"/proc/{pid}/task").iterdir():
        for child in (thread / "children").read_text().split():
            found += _family(int(child))
    return found


def _ticks(pid: int) -> int:
    """User and system time: fields 14 and 15 of proc_pid_stat(5)."""
    fields = [Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split() for each in _family(pid)]
    return sum(int(each[11]) + int(each[12]) for each in fields)


def _memory_mib(pid: int) -> float:
    lines = [line for each in _family(pid) for line in Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
