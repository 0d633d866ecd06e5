"""A triggerer over plain processes, and a file with triggers."""

import os
import queue
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from airdock.model.keys import RunKey, TryKey
from airdock.runner.process import ProcessStarter
from airdock.triggers.triggerer import Triggerer

SOURCE = """
import asyncio, os
from airdock.dag.trigger import BaseTrigger, TaskSuccessEvent, TriggerEvent

class Tells(BaseTrigger):
    def __init__(self, what=None):
        self.what = what

    async def run(self):
        print("noise")
        yield TriggerEvent(self.what)

    async def on_kill(self):
        print("killed", self.what, flush=True)

    async def cleanup(self):
        print("cleaned", self.what, flush=True)

class Breaks(Tells):
    async def run(self):
        raise ValueError(self.what)
        yield

class Waits(Tells):
    async def run(self):
        await asyncio.Event().wait()
        yield

class WaitsForFile(Tells):
    async def run(self):
        print("waits", self.what, os.getpid(), flush=True)
        while not os.path.exists(self.what):
            await asyncio.sleep(0.01)
        yield TriggerEvent(os.getpid())

class Ends(Tells):
    async def run(self):
        return
        yield

class Kills(Tells):
    async def run(self):
        os._exit(3)
        yield

class Succeeds(Tells):
    async def run(self):
        yield TaskSuccessEvent(xcoms={"a": 1})

class Asks(Tells):
    async def run(self):
        state = self.task_instance.get_dagrun_state("other", "r1")
        yield TriggerEvent([state, self.task_instance.task_id])
"""


class Answers:
    """What triggers may ask, as far as they do here."""

    def run_state(self, run: RunKey) -> str | None:
        return f"state of {run.dag_id} {run.run_id}"


class Bench:
    """A triggerer at work."""

    def __init__(self, home: Path, **settings: Any) -> None:
        self.home = home
        self.told: queue.Queue[tuple[TryKey, Any, str]] = queue.Queue()
        environ = {**os.environ, "PYTHONPATH": str(home / "modules")}
        self.triggerer = Triggerer(
            starter=ProcessStarter(environments=home / "cache", environ=environ),
            image=lambda: "process:host",
            place=lambda _fileloc: (),
            tasks=Answers(),  # type: ignore[arg-type]  # triggers ask nothing else here
            home=home,
            **settings,
        )
        self.triggerer.subscribe(lambda key, event, error: self.told.put((key, event, error)))
        self.triggerer.start()

    def add(self, task_id: str, name: str, what: Any = None, *, loader: Mapping[str, Any] | None = None) -> TryKey:
        key = TryKey(dag_id="d", run_id="r", task_id=task_id)
        path = name if "." in name else f"mine.{name}"
        self.triggerer.add(key, {"classpath": path, "kwargs": {"what": what}}, loader=loader or {})
        return key

    def next(self) -> tuple[str, Any, str]:
        key, event, error = self.told.get(timeout=60)
        return key.task_id, event, error

    def log(self) -> str:
        path = self.home / "logs" / "triggers.log"
        return path.read_text() if path.exists() else ""


@pytest.fixture
def make_bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "mine.py").write_text(SOURCE)
    made: list[Bench] = []

    def make(**settings: Any) -> Bench:
        made.append(Bench(tmp_path, **settings))
        return made[-1]

    yield make
    for bench in made:
        bench.triggerer.stop()
        bench.triggerer.join()


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    return make_bench()
