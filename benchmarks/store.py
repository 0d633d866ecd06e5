"""The metadata store alone: task instances a second through each verb that a large run needs, on SQLite and in memory.

    python benchmarks/store.py [INSTANCES …]

One run of one mapped task. Every verb is to cost the same for an instance however many there are.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Final

from ground import Ground
from measure import Figure, Samples

from airdock.model.keys import RunKey, TaskKey
from airdock.model.states import RunState, TaskState
from airdock.store.base import Store
from airdock.store.memory import MemoryStore
from airdock.store.records import Batch, Instance, Limits, Pool, Run, Transition
from airdock.store.sql import SqlStore

__all__ = ["NAME", "measure"]

NAME = "store"
SIZES = (1_000, 10_000)
LARGE = 100_000
_AT: Final = datetime(2026, 1, 1, tzinfo=UTC)
_RUN: Final = RunKey(dag_id="bench", run_id="bench")
_BATCH: Final = 1_000
_TURNS: Final = (
    (TaskState.NONE, TaskState.SCHEDULED, TaskState.QUEUED),
    (TaskState.QUEUED, TaskState.RUNNING),
    (TaskState.RUNNING, TaskState.SUCCESS),
)


def measure(ground: Ground) -> list[Figure]:
    return [_figure(ground, size) for size in ((*SIZES, LARGE) if ground.large else SIZES)]


def _figure(ground: Ground, size: int) -> Figure:
    rounds = [time_verbs("sqlite", ground.folder, size) for _ in range(1 if size == LARGE else ground.rounds(3, 1))]
    others = ", ".join(f"{verb} {size / rounds[0][verb]:,.0f}/s" for verb in rounds[0] if verb != "commit")
    return Figure(
        title=f"store, {size:,} instances to success",
        unit="/s",
        ours=Samples(tuple(size / each["commit"] for each in rounds)),
        more_is_better=True,
        notes=[f"{size:,} instances on SQLite: {others}"],
    )


@contextmanager
def open_store(kind: str, folder: Path) -> Iterator[Store]:
    """A fresh store with a pool that has no bound."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        store = SqlStore(path=Path(name) / "airdock.db") if kind == "sqlite" else MemoryStore()
        try:
            store.save_pools([Pool(name="wide", slots=-1)])
            yield store
        finally:
            store.close()


def time_verbs(kind: str, folder: Path, size: int) -> dict[str, float]:
    """Seconds that each verb takes for all instances; `commit` for three turns of each."""
    keys = [TaskKey(dag_id="bench", run_id="bench", task_id="t", map_index=index) for index in range(size)]
    run = Run(key=_RUN, state=RunState.RUNNING, dag_digest="d", created=_AT)
    with open_store(kind, folder) as store:
        return {
            "create": _time(lambda: store.create_run(run, [Instance(key=key) for key in keys])),
            "list": _time(lambda: store.list_instances(_RUN)),
            "commit": _time(lambda: _commit_all(store, keys)),
            "tries": _time(lambda: store.list_tries(_RUN)),
            "clear": _time(lambda: store.clear(_RUN, dict.fromkeys(keys, 0), at=_AT)),
            "delete": _time(lambda: store.delete_runs([_RUN])),
        }


def _commit_all(store: Store, keys: Sequence[TaskKey]) -> None:
    store.take_run(_RUN, owner="me", lease_s=600)
    for start in range(0, len(keys), _BATCH):
        part = keys[start : start + _BATCH]
        for turn in _TURNS:
            store.commit(Batch(transitions=[step for key in part for step in _steps(key, turn)]), owner="me")


def _steps(key: TaskKey, states: Sequence[TaskState]) -> Iterator[Transition]:
    for source, target in pairwise(states):
        yield Transition(
            key=key,
            source=source,
            target=target,
            try_number=int(source is not TaskState.NONE),
            to_try=1,
            at=_AT,
            limits=Limits(pool="wide") if target is TaskState.QUEUED else None,
        )


def _time(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def main(sizes: list[int]) -> None:
    for size in sizes:
        for kind in ("sqlite", "memory"):
            with tempfile.TemporaryDirectory() as name:
                found = time_verbs(kind, Path(name), size)
            rates = ", ".join(f"{verb} {size / seconds:,.0f}/s" for verb, seconds in found.items())
            print(f"store, {kind}, {size:,} instances: {rates}")


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or list(SIZES))
