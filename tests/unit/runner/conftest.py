"""A supervisor over plain processes, a runner that does what its payload says, and a place where answers come from."""

import queue
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from airdock import compat
from airdock.dag.load import load_dag_file
from airdock.dag.serialized import SerializedDag
from airdock.errors import StoreError
from airdock.model.events import Event, Finished
from airdock.model.keys import RunKey, TryKey
from airdock.model.mount import Mount
from airdock.model.outcome import Ending, Outcome
from airdock.model.workload import Workload
from airdock.runner.base import Launch
from airdock.runner.pack import make_runner
from airdock.runner.process import ProcessRunning, ProcessStarter
from airdock.runner.supervisor import Supervisor
from airdock.scheduler import workloads

RUNNER = """
import json, os, socket, struct, sys, time

connection = socket.socket(socket.AF_UNIX)
folder = os.open(os.path.dirname(os.environ["AIRDOCK_CHANNEL"]), os.O_RDONLY)  # addresses of sockets are short
connection.connect("/proc/self/fd/%d/channel.sock" % folder)

def send(**message):
    body = json.dumps(message).encode()
    connection.sendall(struct.pack(">I", len(body)) + body)

def receive():
    size = struct.unpack(">I", exactly(4))[0]
    return json.loads(exactly(size))

def exactly(size):
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            os._exit(9)
        data += part
    return data

def ask(op, **fields):
    send(type="request", id=1, op=op, **fields)
    return receive()

def end(kind="succeeded", **fields):
    send(type="result", ending=dict(fields, kind=kind))

if "shy" not in sys.argv:
    send(type="hello", version=1, python=list(sys.version_info[:3]), pid=os.getpid())
    start = receive()
    exec(start["payload"]["script"])
"""
"""A program that speaks the channel and runs what its payload has under "script"."""


class Answers:
    """A `TaskApi` over a dictionary."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], Any] = {}

    def xcom_get(self, key: TryKey, *, task_id: str, xcom_key: str, map_index: int | None, **place: Any) -> Any:
        return self.values.get((task_id, xcom_key))

    def xcom_count(self, key: TryKey, *, task_id: str, xcom_key: str, **place: Any) -> int | None:
        return None

    def xcom_part(self, key: TryKey, **place: Any) -> list[Any]:
        return []

    def run_state(self, run: RunKey) -> str | None:
        return None

    def runs(self, dag_id: str, **wanted: Any) -> list[str]:
        return []

    def task_states(self, run: RunKey, **wanted: Any) -> list[tuple[str, int, str]]:
        return []

    def previous_run(self, key: TryKey, *, state: str | None = None) -> Mapping[str, Any] | None:
        return None

    def xcom_put(self, key: TryKey, *, xcom_key: str, value: Any) -> None:
        if xcom_key == "refused":
            raise StoreError("the store is shut")
        self.values[key.task_id, xcom_key] = value

    def images(self, run: RunKey) -> Mapping[str, str]:
        return {"task": "process:host"}

    def variable(self, name: str) -> str | None:
        return "opensesame" if name == "door_password" else None

    def connection(self, id: str) -> Mapping[str, Any] | None:
        return {"conn_id": id, "password": "hunter22", "extra": '{"api_key": "k-12345", "region": "eu"}'}


class Bench:
    """A supervisor at work: `run` starts a try and waits for its end."""

    def __init__(self, home: Path, runner: Path, **settings: Any) -> None:
        self.home = home
        self.answers = Answers()
        self.events: queue.Queue[Event] = queue.Queue()
        self.told: list[Event] = []
        self.supervisor = Supervisor(
            starter=ProcessStarter(environments=home / "cache" / "process", environ={"PATH": "/usr/bin:/bin"}),
            tasks=self.answers,
            home=home,
            runner=runner,
            **{"grace_s": 5.0, **settings},
        )
        self.supervisor.start()

    def begin(self, workload: Workload) -> None:
        run_info = {"run_id": workload.key.run_id, "logical_date": None, "conf": {"a": 1}}
        self.supervisor.run(workload, run_info=run_info, emit=self.events.put)

    def outcome(self) -> Outcome:
        """The next ending that is told."""
        while True:
            event = self.events.get(timeout=60)
            self.told.append(event)
            if isinstance(event, Finished):
                return event.outcome

    def run(self, workload: Workload) -> Outcome:
        self.begin(workload)
        return self.outcome()

    def log(self, task_id: str = "task") -> str:
        """The log's lines without their times."""
        path = self.home / "logs" / "dag" / "run" / task_id / "1.log"
        return "\n".join(line.partition(" ")[2] for line in path.read_text().splitlines())

    def close(self) -> None:
        self.supervisor.stop()
        self.supervisor.join()


@pytest.fixture
def runner(tmp_path: Path) -> Path:
    path = tmp_path / "runner.py"
    path.write_text(RUNNER)
    return path


@pytest.fixture
def make_bench(tmp_path: Path, runner: Path) -> Iterator[Callable[..., Bench]]:
    benches: list[Bench] = []

    def make(*, below: str = "home", **settings: Any) -> Bench:
        benches.append(Bench(tmp_path / below, runner, **settings))
        return benches[-1]

    yield make
    for bench in benches:
        bench.close()


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    return make_bench()


@pytest.fixture
def make_workload(tmp_path: Path) -> Callable[..., Workload]:
    """A workload that runs `script` through the runner, or `argv` as it is."""

    def make(script: str = "", *, argv: tuple[str, ...] = (), task_id: str = "task", **fields: Any) -> Workload:
        payload = {"mode": "command"} if argv else {"mode": "bare", "script": script}
        workspace = tmp_path / "workspace"
        workspace.mkdir(exist_ok=True)
        return Workload(
            key=TryKey(dag_id="dag", run_id="run", task_id=task_id),
            digest=fields.pop("digest", "process:host"),
            argv=argv,
            payload={**payload, **fields.pop("payload", {})},
            mounts=(Mount(source=str(workspace), target="/workspace", read_only=False),),
            **fields,
        )

    return make


class Starter(ProcessStarter):
    """Remembers what was started on which image; the packages of an environment are those of the server."""

    def __init__(self, home: Path) -> None:
        super().__init__(environments=home / "cache", environ={"PATH": "/usr/bin:/bin"})
        self.started: list[str] = []

    def start(self, launch: Launch) -> ProcessRunning:
        self.started.append(launch.workload.digest)
        return super().start(launch)

    def _interpreter(self, workload: Any) -> str:
        return sys.executable


class FileBench:
    """Runs tasks of a DAG file, each in the steps that it has."""

    def __init__(self, home: Path, answers: Any) -> None:
        self.home, self.answers = home, answers
        self.starter = Starter(home)
        self.events: queue.Queue[Event] = queue.Queue()
        self.supervisor = Supervisor(
            starter=self.starter, tasks=answers, home=home, runner=make_runner(home), beside=lambda: "process:host"
        )
        self.supervisor.start()
        self.dag: SerializedDag

    def load(self, text: str) -> SerializedDag:
        path = self.home / "first.py"
        path.write_text(textwrap.dedent(text))
        (self.dag,) = load_dag_file(path)
        return self.dag

    def run(self, task_id: str, map_index: int = -1) -> Ending:
        self.begin(task_id, map_index)
        return self.end()

    def begin(self, task_id: str, map_index: int = -1) -> TryKey:
        key = TryKey(dag_id="d", run_id="r", task_id=task_id, map_index=map_index)
        workload = workloads.make_workload(
            self.dag.task(task_id), key, digest="process:own", folders=(), place=(), lease_s=60.0,
            instance={"max_tries": 1},
        )  # fmt: skip
        run = {"run_id": "r", "logical_date": "2026-01-02T03:04:05+00:00", "conf": {}}
        self.supervisor.run(workload, run_info=run, emit=self.events.put)
        return key

    def end(self) -> Ending:
        while not isinstance(event := self.events.get(timeout=60), Finished):
            pass
        self.digest = event.outcome.digest
        return event.outcome.ending

    def log(self, task_id: str) -> str:
        (path,) = (self.home / "logs" / "d" / "r" / task_id).rglob("*.log")
        return "\n".join(line.partition(" ")[2] for line in path.read_text().splitlines())


@pytest.fixture
def file_bench(tmp_path: Path) -> Iterator[FileBench]:
    made = FileBench(tmp_path, Answers())
    yield made
    made.supervisor.stop()
    made.supervisor.join()
    compat.uninstall()
