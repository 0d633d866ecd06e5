"""The scheduler alone: task instances a second, with an executor that ends at once, on SQLite and in memory.

    python benchmarks/scheduler.py [TASKS …]

Each size runs one DAG run: a first task, then that many mapped instances, then a last task that waits for all. Every
task instance goes through all its states and is committed; only running it costs nothing.
"""

import sys
import tempfile
import time
from pathlib import Path

from airdock.dag.serialized import SerializedDag, SerializedTask
from airdock.executors.memory import MemoryExecutor
from airdock.model.environment import Environment
from airdock.model.keys import RunKey
from airdock.model.states import RunState
from airdock.orchestrator import Orchestrator, make_owner
from airdock.scheduler.loop import Scheduler
from airdock.scheduler.prepare import Prepared, Reply
from airdock.store.base import Store
from airdock.store.memory import MemoryStore
from airdock.store.sql import SqlStore

SIZES = (1_000, 10_000)


class AtOnce:
    """Every environment is there."""

    def request(self, environment: Environment, *, where: str, answer: object) -> None:
        assert callable(answer)
        reply: Reply = Prepared(environment=environment, digest="sha256:0")
        answer(reply)


def make_dag(size: int) -> SerializedDag:
    middle = SerializedTask(task_id="middle", operator="python", upstream=("first",), expand={"x": {"length": size}})
    last = SerializedTask(task_id="last", operator="python", upstream=("middle",))
    first = SerializedTask(task_id="first", operator="python")
    return SerializedDag(dag_id="bench", fileloc="/dags/bench.py", tasks=(first, middle, last), max_active_tasks=64)


def measure(store: Store, folder: Path, size: int) -> float:
    """Seconds for the run."""
    scheduler = Scheduler(
        store=store,
        executors={"memory": MemoryExecutor()},
        default_executor="memory",
        prepare=AtOnce(),
        workspace=lambda _run: folder,
        owner=make_owner(),
    )
    orchestrator = Orchestrator(store=store, scheduler=lambda: scheduler)
    key: RunKey = orchestrator.create_run(make_dag(size), run_id=f"bench-{size}")
    began = time.perf_counter()
    state = orchestrator.run(key)
    assert state is RunState.SUCCESS, state
    return time.perf_counter() - began


def main(sizes: list[int]) -> None:
    for size in sizes:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for kind in ("sqlite", "memory"):
                store = SqlStore(path=folder / "airdock.db") if kind == "sqlite" else MemoryStore()
                seconds = measure(store, folder, size)
                store.close()
                print(f"scheduler alone, {kind}: {size} task instances in {seconds:.2f} s, {size / seconds:,.0f}/s")


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or list(SIZES))
