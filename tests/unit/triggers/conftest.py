"""A triggerer over plain processes, and a file with triggers."""

import os
import queue
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import airdock
from airdock.model.keys import RunKey, TryKey, WatchKey
from airdock.runner.logs import log_path
from airdock.runner.process import ProcessStarter
from airdock.triggers.triggerer import Triggerer

SOURCE = """
import asyncio, os
from airdock.dag.trigger import BaseEventTrigger, BaseTrigger, TaskSuccessEvent, TriggerEvent

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

class Counts(BaseEventTrigger):
    def __init__(self, to, path=""):
        self.to, self.path = to, path

    async def run(self):
        for number in range(self.to):
            yield TriggerEvent({"number": number})
        if self.path:
            print("watches", os.getpid(), flush=True)
            await asyncio.Event().wait()

    async def cleanup(self):
        print("cleaned", flush=True)

class CountsAndBreaks(Counts):
    async def run(self):
        yield TriggerEvent(self.asset_state_store.get("seen"))
        self.asset_state_store.set("seen", 3)
        raise ValueError("no more")

class Asks(Tells):
    async def run(self):
        state = self.task_instance.get_dagrun_state("other", "r1")
        yield TriggerEvent([state, self.task_instance.task_id])
"""


class Answers:
    """What triggers may ask, as far as they do here."""

    def variable(self, name: str) -> str | None:
        return f"secret of {name}"

    def run_state(self, run: RunKey) -> str | None:
        return f"state of {run.dag_id} {run.run_id}"

    def state_get(self, key: TryKey, name: str, *, asset: Mapping[str, str] | None) -> Mapping[str, Any] | None:
        return {"value": [name, asset]}

    def state_set(
        self, key: TryKey, name: str, value: Any, *, keep_s: float | None, asset: Mapping[str, str] | None
    ) -> None:
        pass


class Bench:
    """A triggerer at work."""

    def __init__(self, home: Path, **settings: Any) -> None:
        self.home = home
        self.told: queue.Queue[tuple[TryKey, Any, str]] = queue.Queue()
        self.heard: queue.Queue[tuple[str, Any]] = queue.Queue()
        source = Path(airdock.__file__).parents[1]  # wherever another Airdock is installed
        environ = {**os.environ, "PYTHONPATH": f"{home / 'modules'}{os.pathsep}{source}"}
        self.triggerer = Triggerer(
            starter=ProcessStarter(environments=home / "cache", environ=environ),
            image=lambda: "process:host",
            place=lambda _fileloc: (),
            tasks=Answers(),  # type: ignore[arg-type]  # triggers ask nothing else here
            home=home,
            **settings,
        )
        self.triggerer.subscribe(lambda key, event, error: self.told.put((key, event, error)))
        self.triggerer.attend(
            lambda key, event: self.heard.put((key.name, event)), lambda key, error: self.heard.put((key.name, error))
        )
        self.triggerer.start()

    def add(self, task_id: str, name: str, what: Any = None, *, loader: Mapping[str, Any] | None = None) -> TryKey:
        key = TryKey(dag_id="d", run_id="r", task_id=task_id)
        path = name if "." in name else f"mine.{name}"
        self.triggerer.add(key, {"classpath": path, "kwargs": {"what": what}}, loader=loader or {})
        return key

    def watch(self, asset: str, name: str, **kwargs: Any) -> WatchKey:
        key = WatchKey(name=asset, uri=f"s3://{asset}", trigger=f"mine.{name}", digest=str(kwargs))
        self.triggerer.watch(key, {"classpath": key.trigger, "kwargs": kwargs}, loader={})
        return key

    def hear(self) -> tuple[str, Any]:
        return self.heard.get(timeout=60)

    def next(self) -> tuple[str, Any, str]:
        key, event, error = self.told.get(timeout=60)
        return key.task_id, event, error

    def log(self) -> str:
        """All that was printed."""
        return "".join(path.read_text() for path in sorted((self.home / "logs").rglob("*.log")))

    def log_of(self, key: TryKey | None) -> list[str]:
        """The lines of a try's log, or of what belongs to none, without their times."""
        folder = self.home / "logs"
        path = folder / "triggers.log" if key is None else log_path(folder, key)
        lines = path.read_text().splitlines() if path.exists() else []
        return [line.partition("Z ")[2] for line in lines]


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
