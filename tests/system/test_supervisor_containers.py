"""The supervisor over real containers, for each kind of account."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

PARTS = """
import json, os, queue, sys, threading, time
from pathlib import Path
from airdock.clock import SystemClock
from airdock.engine import Engine
from airdock.environments.host import HostImage
from airdock.environments.python import Pythons
from airdock.images.store import ImageStore
from airdock.model.events import Finished, Started
from airdock.model.keys import TryKey
from airdock.model.usage import Resources
from airdock.model.mount import Mount
from airdock.model.workload import Workload
from airdock.runner.container import ContainerStarter
from airdock.runner.pack import make_runner
from airdock.runner.supervisor import Supervisor
from airdock.runtime.launcher import Launcher

home = Path.home() / "supervisor-test"
(home / "run").mkdir(parents=True, exist_ok=True)
workspace = home / "workspace"
workspace.mkdir(exist_ok=True)
launcher = Launcher(folder=home / "run")
launcher.start()
images = ImageStore(root=home / "images", calls=launcher)
pythons = Pythons(memory=home / "pythons.json", home=Path.home(), path=os.environ["PATH"])
host = HostImage(images=images, pythons=pythons, memory=home / "cache")
engine = Engine(images=lambda: images, launcher=lambda: launcher, containers=home / "run/containers",
                cache=home / "cache/build", clock=SystemClock(), builtin=host.find, trusts=host.made)
digest = str(host.ensure().digest)


class Answers:
    def __init__(self):
        self.values = {}
    def xcom_get(self, key, *, task_id, xcom_key, map_index):
        return self.values.get(task_id)
    def xcom_put(self, key, *, xcom_key, value):
        self.values[key.task_id] = value
    def images(self, run):
        return {"task": digest}


answers = Answers()
events = queue.Queue()
supervisor = Supervisor(starter=ContainerStarter(engine=engine), tasks=answers, home=home,
                        runner=make_runner(home / "run"), grace_s=float(os.environ.get("GRACE", "5")))
supervisor.start()

def workload(*argv, task="task", payload=None, digest=digest, **more):
    return Workload(key=TryKey(dag_id="dag", run_id="run", task_id=task), digest=digest, argv=argv,
                    payload={"mode": "command", "entrypoint": [], **(payload or {})},
                    mounts=(Mount(source=str(workspace), target="/workspace", read_only=False),), **more)

def shell(script, **more):
    return workload("sh", "-c", script, **more)

def python(source, *args, **more):
    payload = {"mode": "bare", "dag_id": "dag", "task_id": "task", "source": source, "function": "task",
               "args": list(args), "kwargs": {}, "do_xcom_push": True, "multiple_outputs": False,
               "file": "/dags/dag.py", "execution_timeout_s": None}
    return workload(payload=payload, **more)

def begin(work):
    supervisor.run(work, run_info={"run_id": "run", "logical_date": None, "conf": {}}, emit=events.put)

def finished():
    while True:
        event = events.get(timeout=120)
        if isinstance(event, Finished):
            return event

def run(work):
    begin(work)
    return finished().outcome.to_dict()

def log(task="task"):
    path = home / "logs/dag/run" / task / "1.log"
    return [line.partition(" ")[2] for line in path.read_text().splitlines()]

result = {}
try:
    exec(os.environ["PROGRAM"])
finally:
    supervisor.stop()
    supervisor.join()
    images.close()
    launcher.stop()
    launcher.join()
result["left"] = sorted(path.name for folder in ("containers", "tries") for path in (home / "run" / folder).glob("*"))
print(json.dumps(result))
"""

Do = Callable[..., dict[str, Any]]


@pytest.fixture
def do(account, unchanged_machine) -> Iterator[Do]:
    """Runs a program over the parts above as the account, and checks that it left nothing."""

    def do(program: str, **env: str) -> dict[str, Any]:
        done = account.run(account.python, "-c", PARTS, env={"PROGRAM": program, **env})
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout.splitlines()[-1])
        assert result.pop("left") == []
        return result

    yield do
    shutil.rmtree(account.home / "supervisor-test", ignore_errors=True)


def test_a_command(do: Do) -> None:
    result = do("""
result["outcome"] = run(shell("echo $$; echo oops >&2; echo last", payload={"push_last_line": True}))
result["log"] = log()
result["values"] = answers.values
""")
    outcome = result["outcome"]
    assert (outcome["kind"], outcome["isolation"]) == ("succeeded", "container")
    assert outcome["digest"].startswith("sha256:")
    assert outcome["usage"]["memory_peak_bytes"] > 0
    assert all(outcome["times"][name] for name in ("queued", "started", "user_code", "user_ended", "ended"))
    assert sorted(result["log"])[1:] == ["last", "oops"]
    assert result["values"] == {"task": "last"}


def test_a_function_in_the_bare_runner(do: Do) -> None:
    result = do("""
source = "import os, sys\\ndef task(value):\\n    print('in', os.getcwd())\\n    return value + 1\\n"
result["outcome"] = run(python(source, 41))
result["log"] = log()
result["values"] = answers.values
result["failed"] = run(python("def task():\\n    raise ValueError('no')\\n", task="failed"))
result["failed log"] = log("failed")
""")
    assert result["outcome"]["kind"] == "succeeded", result
    assert result["values"] == {"task": 42}
    assert result["log"][0].startswith("in /")
    assert result["failed"]["kind"] == "failed"
    assert "ValueError: no" in result["failed"]["ending"]["reason"]
    assert any("ValueError: no" in line for line in result["failed log"])


def test_files_pass_through_the_workspace_and_nothing_else(do: Do) -> None:
    result = do("""
result["write"] = run(shell("echo from one > /workspace/file; echo private > /tmp/file", task="one"))["kind"]
result["read"] = run(shell("cat /workspace/file; ls /tmp /run/airdock; ls -la /run/airdock/..", task="two"))["kind"]
result["log"] = log("two")
result["owned"] = (workspace / "file").stat().st_uid == os.getuid()
""")
    assert (result["write"], result["read"], result["owned"]) == ("succeeded", "succeeded", True)
    assert "from one" in result["log"]
    assert "file" not in result["log"]


def test_endings(do: Do) -> None:
    result = do("""
result["code"] = run(shell("exit 3", task="code"))
result["skip"] = run(shell("exit 99", task="skip", payload={"skip_exit_code": [99]}))
result["signal"] = run(shell("kill -SEGV $$", task="signal"))
result["missing"] = run(workload("no-such-program", task="missing"))
result["unknown"] = run(workload("true", digest="sha256:" + "0" * 64, task="unknown"))
result["deadline"] = run(shell("sleep 600", deadline_s=0.3, task="deadline"))
begin(shell("sleep 600", task="cancelled"))
while not isinstance(events.get(timeout=60), Started): pass
supervisor.cancel(TryKey(dag_id="dag", run_id="run", task_id="cancelled"))
result["cancelled"] = finished().outcome.to_dict()
""")
    endings = {name: (outcome["kind"], outcome["ending"].get("reason")) for name, outcome in result.items()}
    missing, unknown = endings.pop("missing"), endings.pop("unknown")
    assert endings == {
        "code": ("failed", "exited with code 3"),
        "skip": ("skipped", "exited with code 99"),
        "signal": ("failed", "killed by SIGSEGV"),
        "deadline": ("failed", "ran longer than its execution_timeout of 0.3 s"),
        "cancelled": ("lost", "cancelled"),
    }
    assert missing[0] == unknown[0] == "failed"
    assert "no-such-program" in missing[1]
    assert "expected an image of this machine" in unknown[1]
    assert not result["missing"]["ending"]["retryable"]


def test_what_ignores_sigterm_is_killed(do: Do) -> None:
    result = do("result['it'] = run(shell('trap \"\" TERM; while :; do sleep 0.1; done', deadline_s=0.2))", GRACE="0.3")
    assert result["it"]["ending"]["reason"] == "ran longer than its execution_timeout of 0.2 s"


def test_the_memory_limit_is_named(do: Do, account) -> None:
    result = do("""
source = "def task():\\n    return len(bytearray(400 << 20))\\n"
result["it"] = run(python(source, resources=Resources(memory_bytes=96 << 20)))
""")
    if result["it"]["kind"] == "succeeded":
        pytest.skip(f"no memory limit can be set for {account.name} on this machine")
    assert result["it"]["kind"] == "failed"
    assert "killed by the memory limit: limit 96.0 MiB, peak" in result["it"]["ending"]["reason"]


def test_many_at_once(do: Do) -> None:
    result = do("""
for number in range(20):
    begin(shell(f"echo {number}", task=f"t{number}"))
result["kinds"] = sorted(finished().outcome.to_dict()["kind"] for _ in range(20))
result["logs"] = [log(f"t{number}") for number in range(20)]
""")
    assert result["kinds"] == ["succeeded"] * 20
    assert result["logs"] == [[str(number)] for number in range(20)]


def test_a_killed_owner_leaves_nothing_and_its_try_is_lost(do: Do, account) -> None:
    """kill -9 of the process that supervises, while its task runs; then another process takes up."""
    program = """
begin(shell("echo up; exec sleep 600"))
while "up" not in (log() if (home / "logs/dag/run/task/1.log").exists() else []): time.sleep(0.01)
[state] = engine.containers.states()
print(json.dumps({"pid": state.pid}), flush=True)
threading.Event().wait()
"""
    owner = subprocess.Popen(
        [*account.become, account.python, "-c", PARTS],
        env={**account.environment, "PROGRAM": program},
        cwd=account.home,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout is not None
    pid = json.loads(owner.stdout.readline())["pid"]
    os.kill(owner.pid, signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    result = do("""
supervisor.recover(emit=events.put)
event = finished()
result["told"] = [event.key.task_id, event.outcome.to_dict()]
supervisor.ack(event.key)
supervisor.recover(emit=events.put)
result["again"] = events.qsize()
""")
    task, outcome = result["told"]
    assert task == "task"
    assert (outcome["kind"], outcome["ending"]["reason"]) == ("lost", "the process that ran it died")
    assert outcome["times"]["started"]
    assert result["again"] == 0
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not Path(f"/proc/{pid}").exists()
