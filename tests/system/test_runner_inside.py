"""The packed runner on every CPython from 3.7 up that this machine has, over a real socket."""

import os
import select
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from airdock.dag.load import load_dag_file
from airdock.errors import StoreError
from airdock.model.keys import RunKey, TryKey
from airdock.model.outcome import Deferred
from airdock.runner import inside
from airdock.runner.channel import VERSION, Channel, open_listener
from airdock.runner.endings import parse_ending
from airdock.runner.pack import make_runner, runner_argv
from airdock.runner.requests import answer

LIMIT_S = 60.0


@lru_cache(maxsize=1)
def pythons() -> dict[str, str]:
    """Version → interpreter, from the search path, pyenv's folder and the one that runs the tests."""
    folders = [Path(each) for each in os.environ.get("PATH", "").split(os.pathsep) if each]
    found = [path for folder in folders for path in folder.glob("python3*") if path.name[7:].replace(".", "").isdigit()]
    found += Path.home().glob(".pyenv/versions/3*/bin/python3")
    code = "import platform, sys; print(sys.implementation.name, platform.python_version())"
    versions: dict[str, str] = {}
    for path in [Path(sys.executable), *found]:
        asked = subprocess.run([path, "-I", "-c", code], capture_output=True, text=True)
        name, _, version = asked.stdout.strip().partition(" ")
        if name == "cpython" and tuple(map(int, version.split(".")[:2])) >= (3, 7):
            versions.setdefault(version, str(path))
    return versions


@pytest.fixture(params=sorted(pythons(), key=lambda version: [int(part) for part in version.split(".")]))
def python(request: pytest.FixtureRequest) -> str:
    return pythons()[request.param]


@dataclass
class Api:
    """A `TaskApi` over a dictionary, and what was put there."""

    values: dict[tuple[str, str, int | None], Any] = field(default_factory=dict)
    pushed: dict[str, Any] = field(default_factory=dict)
    kept: dict[str, str | None] = field(default_factory=dict)

    def xcom_get(self, key: TryKey, *, task_id: str, xcom_key: str, map_index: int | None, **place: Any) -> Any:
        return self.values.get((task_id, xcom_key, map_index))

    def xcom_count(self, key: TryKey, *, task_id: str, xcom_key: str, **place: Any) -> int | None:
        found = self.values.get((task_id, xcom_key, None))
        return None if found is None else len(found)

    def xcom_part(self, key: TryKey, *, task_id: str, xcom_key: str, start: int, stop: int, **place: Any) -> list[Any]:
        return list(self.values[task_id, xcom_key, None][start:stop])

    def run_state(self, run: RunKey) -> str | None:
        return "success" if run.dag_id == "other" else None

    def runs(self, dag_id: str, **wanted: Any) -> list[str]:
        return ["one", "two"]

    def task_states(self, run: RunKey, **wanted: Any) -> list[tuple[str, int, str]]:
        return [("a", -1, "success"), ("b", 0, "failed"), ("b", 1, "success")]

    def previous_run(self, key: TryKey, *, state: str | None = None) -> dict[str, Any] | None:
        return {"run_id": "before", "logical_date": "2026-01-01T00:00:00+00:00", "end_date": "2026-01-01T00:05:00Z"}

    def xcom_put(self, key: TryKey, *, xcom_key: str, value: Any) -> None:
        if xcom_key == "refused":
            raise StoreError("the database is full")
        self.pushed[xcom_key] = value

    def images(self, run: RunKey) -> dict[str, str]:
        return {"t": "sha256:0"}

    def variable(self, name: str) -> str | None:
        return {"greeting": "hello", "config": '{"depth": [1, 2]}'}.get(name)

    def set_variable(self, name: str, value: str, *, description: str | None = None) -> None:
        self.kept[name] = value

    def delete_variable(self, name: str) -> None:
        self.kept[name] = None

    def connection(self, id: str) -> dict[str, Any] | None:
        return {"conn_id": id, "conn_type": "http", "host": "h", "extra": '{"a": 1}'} if id == "web" else None


@dataclass
class Seen:
    """How a try went."""

    ending: dict[str, Any] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    hello: dict[str, Any] = field(default_factory=dict)
    output: str = ""
    errors: str = ""
    code: int = 0


@dataclass
class Try:
    """One try: a process, and the supervisor's end of its channel."""

    folder: Path
    python: str
    payload: dict[str, Any]
    api: Api
    map_index: int = -1
    stop_at: str = ""
    hang_up_at: str = ""

    def run(self) -> Seen:
        key = TryKey(dag_id="d", run_id="r", task_id="t", map_index=self.map_index, try_number=1)
        argv = runner_argv(self.payload["mode"], self.python, str(make_runner(self.folder)))
        with open_listener(self.folder) as listener:
            process = subprocess.Popen(
                argv,
                env={**os.environ, "AIRDOCK_CHANNEL": str(self.folder / "channel.sock")},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            try:
                assert select.select([listener], [], [], LIMIT_S)[0], "the runner didn't connect"
                connection, _ = listener.accept()
                seen = Seen()
                channel = Channel(connection)
                self._speak(channel, key, process, seen)
                channel.close()
                seen.output, seen.errors = process.communicate(timeout=LIMIT_S)
                seen.code = process.returncode
                return seen
            finally:
                process.kill()
                process.communicate()
                (self.folder / "channel.sock").unlink()

    def _speak(self, channel: Channel, key: TryKey, process: "subprocess.Popen[str]", seen: Seen) -> None:
        while channel.is_open:
            assert select.select([channel], [channel] if channel.has_unsent else [], [], LIMIT_S)[0], "silence"
            for message in channel.receive():
                seen.told.append(message["type"])
                if message["type"] == self.hang_up_at:
                    return
                if message["type"] == "hello":
                    seen.hello = message
                    channel.send(self._start(key))
                elif message["type"] == "request":
                    channel.send(answer(self.api, key, message))
                elif message["type"] == "result":
                    seen.ending = message["ending"]
                    parse_ending(seen.ending)
                if message["type"] == self.stop_at:
                    process.send_signal(signal.SIGTERM)

    def _start(self, key: TryKey) -> dict[str, Any]:
        run = {"run_id": "r", "logical_date": "2026-01-02T03:04:05+00:00", "conf": {"n": 2}}
        return {"type": "start", "version": VERSION, "key": key.to_dict(), "payload": self.payload, "run": run,
                "paths": {"workspace": "/workspace"}}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    made = tmp_path / "try"
    made.mkdir()
    yield made


def bare(source: str, *args: Any, **fields: Any) -> dict[str, Any]:
    """The payload of a function `work`."""
    return {"mode": "bare", "dag_id": "d", "task_id": "t", "params": {"n": 1}, "execution_timeout_s": None,
            "do_xcom_push": True, "multiple_outputs": False, "source": textwrap.dedent(source), "function": "work",
            "file": "/dags/pipeline.py", "args": list(args), "kwargs": {}, **fields}  # fmt: skip


def run(folder: Path, python: str, source: str, *args: Any, api: Api | None = None, **fields: Any) -> Seen:
    return Try(folder=folder, python=python, payload=bare(source, *args, **fields), api=api or Api()).run()


def xcom(task_id: str, map_index: int | None = -1) -> dict[str, Any]:
    return {"__airdock__": "xcom", "task_id": task_id, "key": "return_value", "map_index": map_index}


def test_a_function_gets_its_arguments_and_its_result_is_pushed(folder: Path, python: str) -> None:
    api = Api({("up", "return_value", -1): 4, ("many", "return_value", None): [1, 2]})
    source = """
        import sys
        def work(x, inner, many, size, ds, params, *, ti: "Any | None" = None) -> "dict[str, int]":
            print("on", ds)
            print("ü", file=sys.stderr)
            ti.xcom_push("extra", [ti.task_id, ti.try_number, ti.map_index])
            return {"sum": x + inner["deep"][0] + sum(many) + size, "n": params["n"], "t": (1, 2)}
    """
    arguments = (xcom("up"), {"deep": [xcom("up")]}, xcom("many", None), {"__airdock__": "param", "name": "n"})
    seen = run(folder, python, source, *arguments, api=api, multiple_outputs=True)
    assert (seen.ending, seen.code) == ({"kind": "succeeded"}, 0)
    result = {"sum": 13, "n": 2, "t": [1, 2]}
    assert api.pushed == {"extra": ["t", 1, -1], **result, "return_value": result}
    assert (seen.output, seen.errors) == ("on 2026-01-02\n", "ü\n")
    assert seen.told[0] == "hello"
    assert seen.told.index("user_code") < seen.told.index("user_ended") < seen.told.index("result")
    assert seen.hello["python"] == [int(part) for part in _version(python).split(".")]
    assert seen.hello["version"] == VERSION


def test_an_exception_is_shown_without_the_runners_frames(folder: Path, python: str) -> None:
    seen = run(
        folder, python, "\n\ndef inner():\n    raise ValueError('no\\nsecond line')\n\ndef work():\n    inner()\n"
    )
    assert seen.ending == {"kind": "failed", "reason": "ValueError: no", "retryable": True}
    assert seen.code == 1
    assert seen.errors.startswith(
        'Traceback (most recent call last):\n  File "/dags/pipeline.py", line 7, in work\n    inner()\n'
    )
    assert "    raise ValueError('no\\nsecond line')" in seen.errors
    assert "runner" not in seen.errors
    assert seen.errors.endswith("ValueError: no\nsecond line\n")


def test_airflows_exceptions_come_from_the_stand_in(folder: Path, python: str) -> None:
    skip = run(folder, python, """
        from airflow.sdk import get_current_context
        def work():
            from airflow.exceptions import AirflowSkipException
            raise AirflowSkipException(get_current_context()["ti"].task_id + " has nothing to do")
    """)  # fmt: skip
    assert skip.ending == {"kind": "skipped", "reason": "t has nothing to do"}
    assert skip.code == 0
    fail = run(folder, python, """
        from airdock.sdk import AirflowFailException
        def work():
            class Own(AirflowFailException):
                pass
            raise Own("for good")
    """)  # fmt: skip
    assert (fail.ending["retryable"], fail.ending["reason"].endswith("Own: for good")) == (False, True)
    missing = run(folder, python, "def work():\n    from airflow.sdk import DAG\n")
    assert "airflow.sdk.DAG isn't there in an image without Airdock; there are AirflowException" in missing.errors


def test_airdock_on_the_images_path_knows_nothing_of_the_task(folder: Path, python: str) -> None:
    """As in an image made FROM host: there the server's own Airdock can be imported."""
    source = Path(__file__).parents[2] / "src"
    seen = run(folder, python, f"""
        import sys
        sys.path.insert(0, {str(source)!r})
        def work():
            from airdock.sdk import get_current_context
            return get_current_context()["ti"].task_id
    """)  # fmt: skip
    assert seen.ending == {"kind": "succeeded"}, seen.errors


def test_what_is_not_json_fails_the_try(folder: Path, python: str) -> None:
    source = "import datetime\ndef work():\n    return {'a': [1, 2, datetime.date(2020, 1, 1)]}\n"
    api = Api()
    seen = run(folder, python, source, api=api)
    expected = "what task 't' returned isn't JSON: result['a'][2] is a `datetime.date`; return .isoformat()"
    assert seen.ending == {"kind": "failed", "reason": expected, "retryable": True}
    assert seen.errors == expected + "\n"
    assert api.pushed == {}
    seen = run(folder, python, "def work():\n    return 1\n", multiple_outputs=True)
    assert "expected a dict, because of multiple_outputs" in seen.ending["reason"]
    seen = run(folder, python, source, do_xcom_push=False)
    assert seen.ending == {"kind": "succeeded"}


def test_syntax_of_another_python_is_named(folder: Path, python: str) -> None:
    seen = run(folder, python, "\ndef work():\n    print 'two'\n")
    version = ".".join(_version(python).split(".")[:2])
    assert f"line 3 of pipeline.py isn't Python {version}, which is what the image has: " in seen.ending["reason"]
    assert "in `print 'two'`" in seen.ending["reason"]
    assert "user_code" not in seen.told


def test_a_time_limit_stops_the_function(folder: Path, python: str) -> None:
    source = "import time\ndef work():\n    try:\n        time.sleep(60)\n    finally:\n        print('cleaned')\n"
    seen = run(folder, python, source, execution_timeout_s=0.1)
    assert seen.ending == {
        "kind": "failed",
        "reason": "AirflowTaskTimeout: Timeout after 0.1 s",
        "retryable": True,
    }
    assert seen.output == "cleaned\n"


def test_a_termination_lets_the_function_clean_up(folder: Path, python: str) -> None:
    source = "import time\ndef work():\n    try:\n        time.sleep(60)\n    finally:\n        print('cleaned')\n"
    seen = Try(folder=folder, python=python, payload=bare(source), api=Api(), stop_at="user_code").run()
    assert seen.ending == {"kind": "failed", "reason": "stopped by SIGTERM", "retryable": True}
    assert seen.code == 1


def test_an_exit_fails_the_try(folder: Path, python: str) -> None:
    seen = run(folder, python, "import sys\ndef work():\n    sys.exit(0)\n")
    assert seen.ending["reason"] == "SystemExit: 0 (a task ends by returning, not by exiting)"


def test_a_fork_of_the_functions_does_not_speak_for_it(folder: Path, python: str) -> None:
    source = """
        import os
        def work():
            pid = os.fork()
            if pid:
                return os.waitpid(pid, 0)[1]
            return "child"
    """
    api = Api()
    seen = run(folder, python, source, api=api)
    assert api.pushed == {"return_value": 0}
    assert (seen.told.count("user_ended"), seen.told.count("result")) == (1, 1)


def test_a_coroutine_is_run(folder: Path, python: str) -> None:
    api = Api()
    run(folder, python, "import asyncio\nasync def work():\n    await asyncio.sleep(0)\n    return 5\n", api=api)
    assert api.pushed == {"return_value": 5}


def test_an_instance_of_a_mapped_task_gets_its_values(folder: Path, python: str) -> None:
    api = Api({("up", "return_value", -1): [10, 20]})
    source = "def work(x, y, z):\n    return [x, y, z]\n"
    expand = {"x": xcom("up"), "y": {"a": 1, "b": 2}}
    payload = bare(source, kwargs={"z": 0}, expand=expand, expand_into="function")
    Try(folder=folder, python=python, payload=payload, api=api, map_index=2).run()
    assert api.pushed == {"return_value": [20, ["a", 1], 0]}
    payload = bare(source, expand={"**": [{"x": 1, "y": 2, "z": 3}]}, expand_into="function")
    Try(folder=folder, python=python, payload=payload, api=api, map_index=0).run()
    assert api.pushed == {"return_value": [1, 2, 3]}


def test_what_the_supervisor_refuses_fails_the_try(folder: Path, python: str) -> None:
    seen = run(folder, python, "def work(ti):\n    ti.xcom_push('refused', 1)\n")
    assert seen.ending["reason"] == "the database is full"


def test_a_supervisor_that_is_gone_ends_the_runner(folder: Path, python: str) -> None:
    payload = bare("def work(ti):\n    ti.xcom_push('a', 1)\n")
    seen = Try(folder=folder, python=python, payload=payload, api=Api(), hang_up_at="user_code").run()
    assert (seen.ending, seen.code) == ({}, 1)


def test_little_is_imported_before_the_function(folder: Path, python: str) -> None:
    api = Api()
    run(folder, python, "import sys\ndef work():\n    return sorted(sys.modules)\n", api=api)
    loaded = set(api.pushed["return_value"])
    assert (
        not loaded & {"re", "json", "socket", "signal", "traceback", "inspect", "airdock", "importlib.util"} - _site()
    )


def test_the_images_own_path_counts_and_the_runners_folder_does_not(
    folder: Path, python: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = folder / "packages"
    packages.mkdir()
    (packages / "only_here.py").write_text("X = 7\n")
    monkeypatch.setenv("PYTHONPATH", str(packages))
    api = Api()
    source = "import only_here, sys\ndef work():\n    return [only_here.X, sys.path[0]]\n"
    run(folder, python, source, api=api)
    assert api.pushed == {"return_value": [7, str(packages)]}


PIPELINE = """
from airdock.operators.bash import BashOperator
from airflow.sdk import DAG, get_current_context, task
from airflow.providers.standard.operators.python import PythonOperator

@task
def add(x, y, **context):
    return [x + y, context["ds"], context["params"]["n"], context["task"].task_id, str(context["logical_date"])]

@task
def fails():
    raise KeyError("gone")

@task
def plain(value):
    return value

@task
def nested():
    return [plain(3), get_current_context()["images"]]

with DAG("d", params={"n": 1}):
    up = plain(1)
    add(up, y=2)
    add.override(task_id="mapped").partial(y=1).expand(x=up)
    fails()
    nested()
    BashOperator(task_id="bash", bash_command="echo '{{ ds }} {{ params.n }} {{ ti.xcom_pull(\\"plain\\") }}'")
    BashOperator(task_id="sleeps", bash_command="echo up; trap 'echo down; exit 5' TERM; sleep 60 & wait")
    PythonOperator(task_id="python", python_callable=add.function, op_args=["{{ ds }}", "!"])
"""


def run_sdk(
    folder: Path,
    task_id: str,
    api: Api,
    *,
    source: str = PIPELINE,
    dag_id: str = "",
    instance: dict[str, Any] | None = None,
    **fields: Any,
) -> Seen:
    path = folder / "pipeline.py"
    path.write_text(source)
    modules, paths = set(sys.modules), list(sys.path)
    try:
        dag = next(each for each in load_dag_file(path) if dag_id in ("", each.dag_id))
    finally:
        sys.path[:] = paths
        for name in set(sys.modules) - modules:
            del sys.modules[name]
    payload = {**dag.task(task_id).payload, "instance": instance}
    return Try(folder=folder, python=sys.executable, payload=payload, api=api, **fields).run()


def test_beside_airdock_any_operator_runs(folder: Path) -> None:
    values = {("plain", "return_value", -1): 5}
    api = Api(values)
    assert run_sdk(folder, "add", api).ending == {"kind": "succeeded"}
    moment = "2026-01-02 03:04:05+00:00"
    assert api.pushed == {"return_value": [7, "2026-01-02", 2, "add", moment]}
    api = Api(values)
    seen = run_sdk(folder, "bash", api)
    assert (seen.output, api.pushed) == ("2026-01-02 2 5\n", {"return_value": "2026-01-02 2 5"})
    api = Api({("plain", "return_value", -1): [10, 20]})
    run_sdk(folder, "mapped", api, map_index=1)
    assert api.pushed == {"return_value": [21, "2026-01-02", 2, "mapped", moment]}
    api = Api()
    run_sdk(folder, "nested", api)
    assert api.pushed == {"return_value": [3, {"t": "sha256:0"}]}
    api = Api()
    run_sdk(folder, "python", api)
    assert api.pushed["return_value"][0] == "2026-01-02!"


def test_beside_airdock_frames_of_both_are_hidden(folder: Path) -> None:
    seen = run_sdk(folder, "fails", Api())
    assert seen.ending == {"kind": "failed", "reason": "KeyError: 'gone'", "retryable": True}
    lines = seen.errors.splitlines()
    assert lines[:3] == [
        "Traceback (most recent call last):",
        f'  File "{folder}/pipeline.py", line 12, in fails',
        '    raise KeyError("gone")',
    ]
    assert "airdock" not in seen.errors.replace(str(folder), "")


def test_beside_airdock_a_termination_reaches_the_operator(folder: Path) -> None:
    seen = run_sdk(folder, "sleeps", Api(), stop_at="user_code")
    assert seen.ending == {"kind": "failed", "reason": "stopped by SIGTERM", "retryable": True}


CONTEXT = """
from datetime import datetime, timezone
from airflow.sdk import DAG, BaseOperator, task
from airflow.sdk.exceptions import TaskDeferred

class At:
    def serialize(self):
        return ("m.At", {"moment": datetime(2026, 1, 1, tzinfo=timezone.utc)})

class Waits(BaseOperator):
    def execute(self, context):
        raise TaskDeferred(trigger=At(), method_name="go_on", kwargs={"seen": (1, 2)})

    def go_on(self, context, event=None, seen=None):
        return [event, list(seen)]

def tell(context):
    print("told", context["ti"].task_id, repr(context.get("exception")), context.get("reason"))

class Shows(BaseOperator):
    template_fields = ("text",)

    def __init__(self, *, text, **kwargs):
        super().__init__(**kwargs)
        self.text = text

    def execute(self, context):
        return self.text

with DAG("d"):
    Waits(task_id="waits", on_success_callback=tell)

    @task(on_failure_callback=[tell], on_execute_callback=tell)
    def breaks():
        raise KeyError("gone")

    @task(on_failure_callback=tell, on_retry_callback=tell)
    def sleeps():
        import time
        time.sleep(60)

    breaks(), sleeps()
    Shows(task_id="shows", text=[
        "{{ var.value.greeting }} {{ var.json.config.depth[1] }} {{ var.value.get('none', 'fallback') }}",
        "{{ conn.web.host }} {{ conn.web.extra_dejson.a }}",
        "{{ macros.ds_add(ds, 2) }} {{ dag_run.run_type }} {{ task_instance_key_str }} {{ ti.try_number }}",
        "{{ data_interval_start | ds }} {{ logical_date | ts_nodash }}",
        "{{ ti.get_dagrun_state('other', 'r') }} {{ ti.get_ti_count('other', states=['success']) }}",
        "{{ prev_end_date_success | ds }} {{ expanded_ti_count is none }} {{ images.t }}",
    ])
"""


def test_a_deferred_task_goes_on_where_it_said(folder: Path) -> None:
    seen = run_sdk(folder, "waits", Api(), source=CONTEXT)
    ending = parse_ending(seen.ending)
    assert isinstance(ending, Deferred)
    assert (ending.trigger, ending.method, seen.code) == ("m.At", "go_on", 0)
    api = Api()
    resumed = {"method": ending.method, "kwargs": dict(ending.method_kwargs), "event": {"x": 1}}
    seen = run_sdk(folder, "waits", api, source=CONTEXT, instance={"next": resumed})
    assert (seen.ending, api.pushed) == ({"kind": "succeeded"}, {"return_value": [{"x": 1}, [1, 2]]})
    assert seen.output == "told t None None\n"
    late = {"method": "go_on", "error": "the trigger didn't fire in time", "timed_out": True}
    seen = run_sdk(folder, "waits", Api(), source=CONTEXT, instance={"next": late})
    assert seen.ending["reason"] == "TaskDeferralTimeout: the trigger didn't fire in time"


def test_a_task_that_is_stopped_calls_nobody(folder: Path) -> None:
    """Whoever stopped it knows whether it is tried anew, was ended by a person, or was out of time."""
    seen = run_sdk(folder, "sleeps", Api(), source=CONTEXT, stop_at="user_code")
    assert (seen.ending["reason"], seen.output) == ("stopped by SIGTERM", "")


AT_START = """
from datetime import timedelta
from airflow.sdk import DAG, BaseSensorOperator, ExceptionRetryPolicy, Param, RetryAction, RetryRule, task
from airflow.triggers.base import StartTriggerArgs

POLICY = ExceptionRetryPolicy(rules=[
    RetryRule(exception=ConnectionError, retry_delay=timedelta(seconds=30)),
    RetryRule(exception="builtins.KeyError", action=RetryAction.FAIL, reason="never comes"),
])

class Waits(BaseSensorOperator):
    def go_on(self, context, event=None):
        return event

class Begins(Waits):
    start_from_trigger = True
    start_trigger_args = StartTriggerArgs(
        trigger_cls="airflow.providers.standard.triggers.file.FileTrigger", next_method="go_on",
        trigger_kwargs={"filepath": "/a", "recursive": False}, timeout=timedelta(seconds=9))

with DAG("d", params={"n": Param(5, type="integer", minimum=3)}):
    @task
    def wants_more():
        pass
    wants_more()

with DAG("e", params={"n": 1}):
    @task(retry_policy=POLICY, retries=3)
    def calls(what):
        raise {"gone": KeyError, "away": ConnectionResetError, "other": ValueError}[what]("no")
    for what in ("gone", "away", "other"):
        calls.override(task_id=what)(what)
    Waits(task_id="soft", soft_fail=True)
    Waits(task_id="hard")
    Begins(task_id="begins")
"""


def test_params_are_checked_when_a_task_starts(folder: Path) -> None:
    seen = run_sdk(folder, "wants_more", Api(), source=AT_START, dag_id="d")
    assert (seen.ending["retryable"], "user_code" in seen.told) == (False, False)
    assert seen.ending["reason"] == "AirflowFailException: param 'n': expected at least 3, found 2"


def test_a_retry_policy_decides_by_the_exception(folder: Path) -> None:
    ends = {
        task_id: run_sdk(folder, task_id, Api(), source=AT_START, dag_id="e").ending
        for task_id in ("gone", "away", "other")
    }
    assert (ends["gone"]["retryable"], ends["gone"].get("delay_s")) == (False, None)
    assert (ends["away"]["retryable"], ends["away"].get("delay_s")) == (True, 30.0)
    assert (ends["other"]["retryable"], ends["other"].get("delay_s")) == (True, None)


def test_a_task_may_begin_deferred(folder: Path) -> None:
    begun = run_sdk(folder, "begins", Api(), source=AT_START, dag_id="e")
    assert (begun.ending["kind"], begun.ending["method"], begun.ending["timeout_s"]) == ("deferred", "go_on", 9.0)
    fired = {"next": {"method": "go_on", "event": "there"}}
    ended = run_sdk(folder, "begins", Api(), source=AT_START, dag_id="e", instance=fired)
    assert ended.ending["kind"] == "succeeded"


def test_a_trigger_that_fails_or_ends_the_task_reaches_it(folder: Path) -> None:
    failed = {"next": {"method": "go_on", "error": "ValueError: no\nTraceback: where"}}
    hard = run_sdk(folder, "hard", Api(), source=AT_START, dag_id="e", instance=failed)
    assert (hard.ending["kind"], hard.ending["reason"]) == ("failed", "TaskDeferralError: ValueError: no")
    assert "the trigger failed:\nTraceback: where" in hard.errors
    soft = run_sdk(folder, "soft", Api(), source=AT_START, dag_id="e", instance=failed)
    assert soft.ending == {"kind": "skipped", "reason": "ValueError: no"}
    api = Api()
    for state, kind in (("success", "succeeded"), ("skipped", "skipped"), ("failed", "failed")):
        event = {"__airdock__": "end", "state": state, "xcoms": {"a": 1}}
        ended = {"next": {"method": "go_on", "event": event}}
        assert run_sdk(folder, "hard", api, source=AT_START, dag_id="e", instance=ended).ending["kind"] == kind
    assert api.pushed == {"a": 1}


def test_callbacks_are_called_around_the_task(folder: Path) -> None:
    seen = run_sdk(folder, "breaks", Api(), source=CONTEXT)
    assert seen.output.splitlines() == ["told t None None", "told t KeyError('gone') KeyError: 'gone'"]
    assert seen.told[-1] == "result"


def test_templates_have_what_airflows_have(folder: Path) -> None:
    api = Api()
    seen = run_sdk(folder, "shows", api, source=CONTEXT)
    assert seen.ending == {"kind": "succeeded"}, seen.errors
    assert api.pushed["return_value"] == [
        "hello 2 fallback",
        "h 1",
        "2026-01-04 manual d__t__20260102 1",
        "2026-01-02 20260102T030405",
        "success 4",
        "2026-01-01 True sha256:0",
    ]


def test_a_function_in_an_image_has_variables_connections_and_macros(folder: Path, python: str) -> None:
    api = Api({("many", "return_value", None): [1, 2]})
    seen = run(folder, python, """
        def work(var, conn, macros, ti, prev_data_interval_start_success, prev_end_date_success, **context):
            return [var.value.greeting, var.json.get("none", 5), conn.web.host, conn.get("nowhere", None),
                    macros.ds_add(context["ds"], -1), ti.get_task_states("other")["one"], ti.xcom_pull("many"),
                    str(prev_data_interval_start_success), str(prev_end_date_success), context["run_id"]]
    """, api=api)  # fmt: skip
    assert seen.ending == {"kind": "succeeded"}, seen.errors
    assert api.pushed["return_value"] == [
        "hello", 5, "h", None, "2026-01-01", {"a": "success", "b_0": "failed", "b_1": "success"}, [1, 2],
        "2026-01-01 00:00:00+00:00", "2026-01-01 00:05:00+00:00", "r",
    ]  # fmt: skip


def test_a_function_in_an_image_asks_by_airflows_classes(folder: Path, python: str) -> None:
    api = Api()
    seen = run(folder, python, """
        from airflow.models import Variable
        from airflow.hooks.base import BaseHook
        from airdock.sdk import Connection
        def work():
            Variable.set("made", {"a": 1}, serialize_json=True)
            Variable.delete("gone")
            try:
                Variable.get("nowhere")
            except KeyError as error:
                missing = str(error)
            return [Variable.get("greeting"), Variable.get("config", deserialize_json=True)["depth"],
                    Variable.get("none", default_var=1), Connection.get("web").host,
                    BaseHook.get_connection("web").conn_type, Connection(conn_id="own").conn_id, missing]
    """, api=api)  # fmt: skip
    assert seen.ending == {"kind": "succeeded"}, seen.errors
    assert api.pushed["return_value"] == [
        "hello", [1, 2], 1, "h", "http", "own", "'Variable nowhere does not exist'",
    ]  # fmt: skip
    assert api.kept == {"made": '{"a": 1}', "gone": None}


def test_a_retry_policy_of_rules_decides_in_an_image(folder: Path, python: str) -> None:
    rule = {"names": ["dag_1_pipeline.Own", "Own"], "action": "RETRY", "delay_s": 9.0, "reason": "", "subclasses": True}
    seen = run(folder, python, """
        class Own(Exception):
            pass
        def work():
            raise Own("no")
    """, retry_rules={"rules": [rule], "default": "FAIL"})  # fmt: skip
    assert (seen.ending["retryable"], seen.ending["delay_s"]) == (True, 9.0)
    other = run(folder, python, "def work():\n    raise ValueError('no')\n",
                retry_rules={"rules": [rule], "default": "FAIL"})  # fmt: skip
    assert other.ending["retryable"] is False


def test_what_a_function_did_to_assets_is_told(folder: Path, python: str) -> None:
    outlets = [{"name": "sales", "uri": "s3://sales"}]
    seen = run(folder, python, """
        def work(outlet_events, ti):
            outlet_events["sales"].extra["rows"] = 3
            ti.skip(["later", ("other", 1)])
    """, outlets=outlets)  # fmt: skip
    assert seen.ending == {
        "kind": "succeeded",
        "skip": [["later", -1], ["other", 1]],
        "events": [{"name": "sales", "uri": "s3://sales", "extra": {"rows": 3}}],
    }


def _version(python: str) -> str:
    return next(version for version, path in pythons().items() if path == python)


@lru_cache(maxsize=1)
def _site() -> set[str]:
    """What any interpreter here imports before it runs anything: .pth files of a machine can import what they like."""
    code = "import sys; print(' '.join(sys.modules))"
    return {
        name
        for python in pythons().values()
        for name in subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    }


@pytest.mark.parametrize("before", ["", "import logging"])
def test_what_tasks_log_comes_out_from_info_on(python: str, before: str) -> None:
    code = f"""
        import sys
        {before}
        sys.path.insert(0, {str(Path(inside.__file__).parents[1])!r})
        from inside import logged
        logged.listen()
        assert {bool(before)} or "logging" not in sys.modules
        import logging, inspect, io
        logging.basicConfig(level=logging.ERROR)  # as in Airflow somebody has set it up already
        logging.getLogger("mine").info("told %d", 1)
        logging.getLogger("mine").debug("untold")
        assert "class LogRecord" in inspect.getsource(logging)
        assert not hasattr(logging.__spec__.loader, "_loader")
        stderr, sys.stderr = sys.stderr, io.StringIO()
        logging.warning("elsewhere")
        assert "elsewhere" in sys.stderr.getvalue()
        logging.getLogger().handlers.clear()
    """
    ran = subprocess.run([python, "-I", "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.splitlines() == ["{<string>:10} INFO - told 1"]
