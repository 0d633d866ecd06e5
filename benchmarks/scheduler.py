"""The scheduler alone: task instances a second, with an executor that ends at once, on SQLite and in memory.

    python benchmarks/scheduler.py [TASKS …]

Each size runs one DAG run: a first task, then that many mapped instances, then a last task that waits for all. Every
task instance goes through all its states and is committed; only running it costs nothing.
"""

import sys
import tempfile
import time
from pathlib import Path

from ground import Ground
from measure import Figure, Samples

from airdock.dag.serialized import SerializedDag, SerializedTask
from airdock.executors.memory import MemoryExecutor
from airdock.model.environment import Environment
from airdock.model.keys import RunKey
from airdock.model.states import RunState
from airdock.orchestrator import Orchestrator, make_owner
from airdock.scheduler.loop import Scheduler
from airdock.scheduler.points import Reached
from airdock.scheduler.prepare import Prepared, Reply
from airdock.store.base import Store
from airdock.store.memory import MemoryStore
from airdock.store.sql import SqlStore

__all__ = ["NAME", "measure"]

NAME = "scheduler"
BUDGET_PER_S = 2_000.0
SIZES = (1_000, 10_000)
LARGE = 100_000


def measure(ground: Ground) -> list[Figure]:
    sizes = (*SIZES, LARGE) if ground.large else SIZES
    return [_figure(ground, size) for size in sizes]


def _figure(ground: Ground, size: int) -> Figure:
    rounds = 1 if size == LARGE else ground.rounds(5, 1)
    seconds = {
        kind: Samples(tuple(run_once(kind, ground.folder, size) for _ in range(rounds)))
        for kind in ("sqlite", "memory")
    }
    return Figure(
        title=f"scheduler alone, {size:,} tasks",
        unit="/s",
        ours=Samples(tuple(size / each for each in seconds["sqlite"].values)),
        budget=BUDGET_PER_S,
        more_is_better=True,
        notes=[f"{size:,} tasks on SQLite; with the store in memory {size / seconds['memory'].median:,.0f}/s"],
    )


def run_once(kind: str, folder: Path, size: int) -> float:
    """Seconds for one run on a fresh store."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        store = SqlStore(path=Path(name) / "airdock.db") if kind == "sqlite" else MemoryStore()
        try:
            return time_run(store, Path(name), size)
        finally:
            store.close()


class AtOnce:
    """Every environment is there."""

    def request(self, environment: Environment, *, where: str, answer: object) -> None:
        assert callable(answer)
        reply: Reply = Prepared(environment=environment, digest="sha256:0")
        answer(reply)


def make_dag(size: int, *, at_once: int = 64) -> SerializedDag:
    middle = SerializedTask(task_id="middle", operator="python", upstream=("first",), expand={"x": {"length": size}})
    last = SerializedTask(task_id="last", operator="python", upstream=("middle",))
    first = SerializedTask(task_id="first", operator="python")
    return SerializedDag(
        dag_id="bench", fileloc="/dags/bench.py", tasks=(first, middle, last), max_active_tasks=at_once
    )


def make_scheduler(
    store: Store, executor: MemoryExecutor, folder: Path, *, reached: Reached = lambda _point: None
) -> Scheduler:
    return Scheduler(
        store=store,
        executors={"memory": executor},
        default_executor="memory",
        prepare=AtOnce(),
        folders=lambda _run: (),
        place=lambda _fileloc: (),
        owner=make_owner(),
        reached=reached,
    )


def time_run(store: Store, folder: Path, size: int) -> float:
    """Seconds for the run."""
    scheduler = make_scheduler(store, MemoryExecutor(), folder)
    orchestrator = Orchestrator(store=store, scheduler=lambda: scheduler)
    key: RunKey = orchestrator.create_run(make_dag(size), run_id=f"bench-{size}")
    began = time.perf_counter()
    state = orchestrator.run(key)
    assert state is RunState.SUCCESS, state
    return time.perf_counter() - began


def main(sizes: list[int]) -> None:
    for size in sizes:
        with tempfile.TemporaryDirectory() as name:
            for kind in ("sqlite", "memory"):
                seconds = run_once(kind, Path(name), size)
                print(f"scheduler alone, {kind}: {size} task instances in {seconds:.2f} s, {size / seconds:,.0f}/s")


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or list(SIZES))
