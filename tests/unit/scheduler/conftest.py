"""Builders for tests of the scheduler."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from airdock.dag.serialized import SerializedDag, SerializedTask
from airdock.executors.base import Executor
from airdock.executors.memory import MemoryExecutor
from airdock.model.environment import Environment
from airdock.model.keys import RunKey
from airdock.model.progress import Progress, TaskChanged
from airdock.model.states import RunState
from airdock.orchestrator import Orchestrator, make_owner
from airdock.scheduler.loop import Scheduler
from airdock.scheduler.prepare import Prepared, PrepareFailed, Reply
from airdock.store.base import Store
from airdock.store.memory import MemoryStore


def make_task(task_id: str, *upstream: str, **fields: object) -> SerializedTask:
    return SerializedTask(**{"task_id": task_id, "operator": "python", "upstream": upstream, **fields})  # type: ignore[arg-type]


def make_dag(*tasks: SerializedTask, **fields: object) -> SerializedDag:
    return SerializedDag(**{"dag_id": "d", "fileloc": "/dags/d.py", "tasks": tasks, **fields})  # type: ignore[arg-type]


@dataclass
class Shelf:
    """Environments that are there, fail, or are kept back until `hand_out`."""

    failing: dict[Environment, str] = field(default_factory=dict)
    keep_back: bool = False
    asked: list[tuple[Environment, str]] = field(default_factory=list)
    _kept: list[Callable[[], None]] = field(default_factory=list)
    was_asked: threading.Event = field(default_factory=threading.Event)

    def request(self, environment: Environment, *, where: str, answer: Callable[[Reply], None]) -> None:
        self.asked.append((environment, where))
        if environment in self.failing:
            reply: Reply = PrepareFailed(environment=environment, error={"message": self.failing[environment]})
        else:
            reply = Prepared(environment=environment, digest=f"sha256:{environment.label}")
        if self.keep_back:
            self._kept.append(lambda: answer(reply))
        else:
            answer(reply)
        self.was_asked.set()

    def hand_out(self) -> None:
        for give in self._kept:
            give()


@dataclass
class House:
    """A scheduler with all it needs."""

    folder: Path
    store: Store = field(default_factory=MemoryStore)
    executor: Executor = field(default_factory=MemoryExecutor)
    shelf: Shelf = field(default_factory=Shelf)
    told: list[Progress] = field(default_factory=list)
    reached: list[str] = field(default_factory=list)
    dies_at: str = ""

    def reach(self, name: str) -> None:
        """The named points, at one of which it may die."""
        self.reached.append(name)
        if name == self.dies_at:
            raise SystemExit(9)

    def __post_init__(self) -> None:
        self.scheduler = Scheduler(
            store=self.store,
            executors={"memory": self.executor},
            default_executor="memory",
            prepare=self.shelf,
            folders=lambda _run: (),
            place=lambda _fileloc: (),
            owner=make_owner(),
            report=self.told.append,
            reached=self.reach,
        )
        self.orchestrator = Orchestrator(
            store=self.store,
            scheduler=lambda: self.scheduler,
            executors=("memory",),
            reached=self.reach,
        )

    def run(self, dag: SerializedDag) -> RunState:
        return self.orchestrator.run(self.create(dag))

    def create(self, dag: SerializedDag) -> RunKey:
        return self.orchestrator.create_run(dag, run_id="one")

    def states(self, run_id: str = "one") -> dict[str, str]:
        rows = self.store.list_instances(RunKey(dag_id="d", run_id=run_id))
        return {row.key.label: row.state.value for row in rows}

    def changes(self, label: str) -> list[str]:
        """The states that were told of one task instance."""
        return [each.state.value for each in self.told if isinstance(each, TaskChanged) and each.key.label == label]


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(folder=tmp_path)


@pytest.fixture
def make_house(tmp_path: Path) -> Callable[..., House]:
    return lambda **fields: House(folder=tmp_path, **fields)


@pytest.fixture(name="make_task")
def _make_task() -> Callable[..., SerializedTask]:
    return make_task


@pytest.fixture(name="make_dag")
def _make_dag() -> Callable[..., SerializedDag]:
    return make_dag
