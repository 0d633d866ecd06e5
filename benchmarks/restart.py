"""A scheduler that starts after its forerunner was killed, with 100,000 finished and 1,000 running task instances.

    python benchmarks/restart.py prepare|restart HOME

From the start of the new process until every lost try is queued again and its executor has the first of them.
"""

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ground import Ground, run
from measure import Figure, Samples

__all__ = ["NAME", "measure"]

NAME = "restart"
BUDGET_S = 2.0
FINISHED = 100_000
RUNNING = 1_000
QUICK = 10_000


def measure(ground: Ground) -> list[Figure]:
    finished = QUICK if ground.quick else FINISHED
    home = ground.folder / "restart"
    home.mkdir()
    python = [sys.executable, __file__]
    run([*python, "prepare", home, str(finished)])
    seconds, inside = [], []
    for number in range(ground.rounds(5, 1)):
        copy = ground.folder / f"restart-{number}"
        run(["cp", "-r", home, copy])
        began = time.perf_counter()
        inside.append(float(run([*python, "restart", copy, str(finished)])))
        seconds.append(time.perf_counter() - began)
        run(["rm", "-r", copy])
    run(["rm", "-r", home])
    return [
        Figure(
            title=f"restart, {finished:,} ended, {RUNNING:,} lost",
            unit="s",
            ours=Samples(tuple(seconds)),
            budget=BUDGET_S,
            notes=[
                "the whole process, with Python and imports, until the lost ones were queued again and handed over; "
                f"opening the store, the run and its first commit take {Samples(tuple(inside)).median:.2f} s of it",
                "all in one DAG run, on SQLite",
            ],
        )
    ]


def main(what: str, home: str, count: str) -> None:
    (_prepare if what == "prepare" else _restart)(Path(home), int(count))


def _prepare(home: Path, finished: int) -> None:
    """A run of that many ended instances, in which the last thousand run when its scheduler dies."""
    from scheduler import make_dag, make_scheduler

    from airdock.executors.memory import MemoryExecutor
    from airdock.model.outcome import Ending, Succeeded
    from airdock.model.workload import Workload
    from airdock.orchestrator import Orchestrator
    from airdock.store.records import DEFAULT_POOL, Pool
    from airdock.store.sql import SqlStore

    store = SqlStore(path=home / "airdock.db")
    store.save_pools([Pool(name=DEFAULT_POOL, slots=RUNNING)])
    left: set[int] = set()

    def script(workload: Workload) -> Ending | None:
        index = workload.key.map_index
        if index < finished - 1:  # the first task is one of those that end
            return Succeeded()
        left.add(index)
        return None

    def reached(point: str) -> None:
        if point == "start.after" and len(left) == RUNNING:
            rows = store.list_instances(key, task_id="middle")
            if sum(row.state.value == "running" for row in rows) == RUNNING:
                os._exit(0)

    executor = MemoryExecutor(script=script)
    scheduler = make_scheduler(store, executor, home, reached=reached)
    orchestrator = Orchestrator(store=store, scheduler=lambda: scheduler)
    key = orchestrator.create_run(make_dag(finished - 1 + RUNNING, at_once=RUNNING), run_id="bench")
    orchestrator.run(key)


def _restart(home: Path, finished: int) -> None:
    began = time.perf_counter()
    from scheduler import make_scheduler

    from airdock.executors.memory import MemoryExecutor
    from airdock.model.states import TaskState
    from airdock.model.workload import Workload
    from airdock.orchestrator import Orchestrator
    from airdock.store.sql import SqlStore

    class Last(MemoryExecutor):
        """What it is handed is all there is to see."""

        def submit(self, workloads: Sequence[Workload], *, run_info: object) -> None:
            assert len(workloads) == RUNNING, len(workloads)
            print(time.perf_counter() - began, flush=True)
            os._exit(0)

    store = SqlStore(path=home / "airdock.db")
    scheduler = make_scheduler(store, Last(), home)
    orchestrator = Orchestrator(store=store, scheduler=lambda: scheduler)
    orchestrator.resume(orchestrator.find_run("bench").key)
    raise AssertionError(f"expected {RUNNING} to be {TaskState.QUEUED} again, of {finished}")


if __name__ == "__main__":
    main(*sys.argv[1:])
