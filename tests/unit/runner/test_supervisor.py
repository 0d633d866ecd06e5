import itertools
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from airdock.errors import StoreError
from airdock.model.events import Event, Finished, Started
from airdock.model.keys import TryKey
from airdock.model.outcome import Failed, Lost, Rescheduled, Skipped, Succeeded, Times
from airdock.model.usage import UsageSource
from airdock.model.workload import Workload
from airdock.runner.spool import Process, Record, Spool

MakeWorkload = Callable[..., Workload]


def left_over(home: Path) -> list[str]:
    return [path.name for path in (home / "run" / "tries").iterdir()]


def is_alive(pid: int) -> bool:
    """Whether the process does anything still: one that only waits for its parent to ask is dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_try_that_reports_success(bench, make_workload: MakeWorkload) -> None:
    script = "send(type='user_code'); print('hello'); send(type='user_ended'); end()"
    outcome = bench.run(make_workload(script))
    assert outcome.ending == Succeeded()
    assert (outcome.isolation, outcome.digest) == ("process", "process:host")
    assert outcome.usage is not None
    assert outcome.usage.source is UsageSource.RUSAGE
    assert outcome.usage.memory_peak_bytes > 0
    times = outcome.times
    order = [times.queued, times.started, times.user_code, times.user_ended, times.ended]
    assert all(earlier <= later for earlier, later in itertools.pairwise(order))
    assert [type(event) for event in bench.told] == [Started, Finished]
    assert bench.log() == "hello"


def test_what_a_runner_is_given(bench, make_workload: MakeWorkload) -> None:
    script = "print(start['run'], start['paths']['workspace'] == os.getcwd(), start['key']['task_id']); end()"
    bench.run(make_workload(script))
    assert bench.log() == "{'run_id': 'run', 'logical_date': None, 'conf': {'a': 1}} True task"


def test_requests_are_answered(bench, make_workload: MakeWorkload) -> None:
    script = """
print(ask("xcom_put", key="rows", value=[1, 2]))
print(ask("xcom_get", task_id="task", key="rows", map_index=-1, run_id=None)["value"])
print(ask("xcom_put", key="refused", value=1)["error"])
print(ask("images")["value"], ask("heartbeat")["ok"], ask("dance")["error"][:18])
end()
"""
    assert bench.run(make_workload(script)).ending == Succeeded()
    assert bench.log().splitlines() == [
        "{'type': 'response', 'id': 1, 'ok': True, 'value': None}",
        "[1, 2]",
        "the store is shut",
        "{'task': 'process:host'} True expected a request",
    ]


def test_secrets_that_were_asked_for_are_not_in_the_log(bench, make_workload: MakeWorkload) -> None:
    script = """
found = ask("connection", conn_id="db")["value"]
print(found["password"], found["extra"])
print(ask("variable", name="door_password")["value"])
ask("mask", secret="own-secret"); print("own-secret", file=sys.stderr)
end("failed", reason="can't use " + found["password"])
"""
    assert bench.run(make_workload(script)).ending == Failed(reason="can't use ***")
    assert bench.log().splitlines() == ['*** {"api_key": "***", "region": "eu"}', "***", "***"]


def test_other_runs_are_asked_about(bench, make_workload: MakeWorkload) -> None:
    script = """
print(ask("runs", dag_id="d", logical_dates=["2026-01-01T00:00:00+00:00"], run_ids=None, states=["success"])["value"])
print(ask("runs", dag_id="d", logical_dates=["soon"])["error"])
print(ask("runs", dag_id="d", states="success")["error"])
print(ask("run_state", dag_id="d", run_id="r")["value"], ask("previous_run", state=None)["value"])
print(ask("task_states", run_id="r", task_ids=["a"])["value"])
print(ask("xcom_count", task_id="task")["value"], ask("xcom_part", task_id="task", start=0, stop=2)["value"])
print(ask("xcom_part", task_id="task", start=2, stop=0)["error"])
end()
"""
    assert bench.run(make_workload(script)).ending == Succeeded()
    assert bench.log().splitlines() == [
        "[]",
        "expected logical_dates in ISO 8601, found ['soon']",
        "expected states to be a list of text or null, found 'success'",
        "None None",
        "[]",
        "None []",
        "expected start and stop to be two places in order, found 2 and 0",
    ]


def test_large_values_pass_both_ways(bench, make_workload: MakeWorkload) -> None:
    bench.answers.values["other", "return_value"] = "x" * 20_000_000
    script = """
value = ask("xcom_get", task_id="other", key="return_value", map_index=-1)["value"]
print(len(value), ask("xcom_put", key="return_value", value=value)["ok"])
end()
"""
    assert bench.run(make_workload(script)).ending == Succeeded()
    assert bench.log() == "20000000 True"
    assert len(bench.answers.values["task", "return_value"]) == 20_000_000


@pytest.mark.parametrize(
    ("script", "ending"),
    [
        ("end('failed', reason='ValueError: no')", Failed(reason="ValueError: no")),
        ("end('failed', reason='no', retryable=False); sys.exit(1)", Failed(reason="no", retryable=False)),
        ("end('skipped', reason='not today')", Skipped(reason="not today")),
        ("sys.exit(3)", Failed(reason="exited with code 3 before it reported a result")),
        ("os.kill(os.getpid(), 11)", Failed(reason="killed by SIGSEGV before it reported a result")),
        ("end(); sys.exit(1)", Succeeded()),
    ],
)
def test_endings(bench, make_workload: MakeWorkload, script: str, ending: object) -> None:
    assert bench.run(make_workload(script)).ending == ending


def test_a_sensor_reschedules_itself(bench, make_workload: MakeWorkload) -> None:
    ending = bench.run(make_workload("end('rescheduled', at='2026-01-02T03:04:05+00:00')")).ending
    assert isinstance(ending, Rescheduled)
    assert ending.at.isoformat() == "2026-01-02T03:04:05+00:00"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("connection.sendall(b'\\xff\\xff\\xff\\xff'); time.sleep(60)", "at most 67108864 bytes"),
        ("connection.sendall(b'\\0\\0\\0\\2no'); time.sleep(60)", "expected a JSON message"),
        ("send(type='dance'); time.sleep(60)", "found 'dance'"),
        ("end('won'); time.sleep(60)", "found 'won'"),
        ("end('failed'); time.sleep(60)", "expected reason of a failed ending to be str"),
        ("send(type='hello', version=1); time.sleep(60)", "expected one hello"),
    ],
)
def test_a_runner_that_breaks_the_contract_is_ended(
    bench, make_workload: MakeWorkload, script: str, reason: str
) -> None:
    ending = bench.run(make_workload(script)).ending
    assert isinstance(ending, Failed)
    assert ending.reason.startswith("the runner broke the channel's contract: ")
    assert reason in ending.reason


def test_another_version_of_the_channel_is_refused(bench, make_workload: MakeWorkload, runner: Path) -> None:
    runner.write_text(runner.read_text().replace("version=1", "version=9"))
    ending = bench.run(make_workload("end()")).ending
    assert isinstance(ending, Failed)
    assert "expected version 1 of the channel, found 9" in ending.reason


def test_a_command_needs_no_runner(bench, make_workload: MakeWorkload) -> None:
    outcome = bench.run(make_workload(argv=("/bin/sh", "-c", "pwd; echo done")))
    assert outcome.ending == Succeeded()
    assert bench.log().splitlines()[1] == "done"
    assert outcome.times.user_code is not None
    assert outcome.times.user_ended is not None
    assert bench.answers.values == {}


def test_the_last_line_of_stdout_becomes_the_value(bench, make_workload: MakeWorkload) -> None:
    script = "echo first; echo loud >&2; printf 'last'; echo warning >&2"
    workload = make_workload(argv=("/bin/sh", "-c", script), payload={"push_last_line": True})
    assert bench.run(workload).ending == Succeeded()
    assert bench.answers.values["task", "return_value"] == "last"
    assert sorted(bench.log().splitlines()) == ["first", "last", "loud", "warning"]


@pytest.mark.parametrize("skip", [99, [98, 99]])
def test_an_exit_code_can_mean_skipped(bench, make_workload: MakeWorkload, skip: object) -> None:
    workload = make_workload(argv=("/bin/sh", "-c", "exit 99"), payload={"skip_exit_code": skip})
    assert bench.run(workload).ending == Skipped(reason="exited with code 99")


def test_how_a_command_failed(bench, make_workload: MakeWorkload) -> None:
    assert bench.run(make_workload(argv=("/bin/sh", "-c", "exit 7"))).ending == Failed(reason="exited with code 7")
    assert bench.log() == "airdock: exited with code 7"


def test_a_program_that_is_not_there(bench, make_workload: MakeWorkload) -> None:
    ending = bench.run(make_workload(argv=("/no/such/program",))).ending
    assert ending == Failed(
        reason="could not be started: expected a program on the path, found no /no/such/program", retryable=False
    )
    bench.close()
    assert left_over(bench.home) == []


def test_images_are_refused_without_containers(bench, make_workload: MakeWorkload) -> None:
    ending = bench.run(make_workload("end()", digest="sha256:" + "0" * 64)).ending
    assert isinstance(ending, Failed)
    assert "--isolation process" in ending.reason


def test_a_task_that_runs_too_long_is_ended(bench, make_workload: MakeWorkload) -> None:
    outcome = bench.run(make_workload("send(type='user_code'); time.sleep(600)", deadline_s=0.2))
    assert outcome.ending == Failed(reason="ran longer than its execution_timeout of 0.2 s")
    assert bench.log().endswith("airdock: ran longer than its execution_timeout of 0.2 s")


def test_what_ignores_sigterm_is_killed(make_bench, make_workload: MakeWorkload) -> None:
    bench = make_bench(grace_s=0.2)
    script = "import signal; signal.signal(signal.SIGTERM, lambda *_: print('no')); send(type='user_code')\n"
    script += "while True: time.sleep(0.05)"
    assert isinstance(bench.run(make_workload(script, deadline_s=0.1)).ending, Failed)


def test_the_deadline_bounds_the_users_code_only(bench, make_workload: MakeWorkload) -> None:
    script = "time.sleep(0.4); send(type='user_code'); send(type='user_ended'); time.sleep(0.4); end()"
    assert bench.run(make_workload(script, deadline_s=0.3)).ending == Succeeded()


def test_cancel(bench, make_workload: MakeWorkload) -> None:
    workload = make_workload("print('up', flush=True); time.sleep(600)")
    bench.begin(workload)
    bench.supervisor.cancel(workload.key)
    bench.supervisor.cancel(workload.key)
    bench.supervisor.cancel(TryKey(dag_id="no", run_id="such", task_id="try"))
    assert bench.outcome().ending == Lost(reason="cancelled")


def test_stop_ends_what_runs(bench, make_workload: MakeWorkload) -> None:
    for number in range(3):
        bench.begin(make_workload("time.sleep(600)", task_id=f"t{number}"))
    bench.supervisor.stop()
    bench.supervisor.stop()
    bench.supervisor.join()
    assert [bench.outcome().ending for _ in range(3)] == [Lost(reason="the supervisor was stopped")] * 3
    assert left_over(bench.home) == []
    assert bench.run(make_workload("end()")).ending == Lost(reason="the supervisor was stopped")


def test_a_lease_that_is_renewed_lets_the_try_live(make_bench, make_workload: MakeWorkload) -> None:
    renewed: list[TryKey] = []
    bench = make_bench(renew=renewed.append)
    workload = make_workload("time.sleep(1); end()", lease_s=0.6)
    assert bench.run(workload).ending == Succeeded()
    assert len(renewed) >= 3


def test_a_lease_that_is_not_renewed_ends_the_try_before_it_ends(make_bench, make_workload: MakeWorkload) -> None:
    def renew(key: TryKey) -> None:
        raise StoreError("not reachable")

    bench = make_bench(renew=renew, grace_s=60.0)
    started = time.monotonic()
    script = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    outcome = bench.run(make_workload(script, lease_s=1.0))
    assert outcome.ending == Lost(reason="its lease of 1 s could not be renewed")
    assert time.monotonic() - started < 30


def test_children_that_left_the_session_are_ended_too(bench, make_workload: MakeWorkload, tmp_path: Path) -> None:
    code = f"import os; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); import time; time.sleep(600)"
    script = f"""
import subprocess
subprocess.Popen([sys.executable, "-c", {code!r}], start_new_session=True)
while not os.path.exists({str(tmp_path / "pid")!r}) or not open({str(tmp_path / "pid")!r}).read(): time.sleep(0.01)
end()
"""
    assert bench.run(make_workload(script)).ending == Succeeded()
    bench.close()
    assert not is_alive(int((tmp_path / "pid").read_text()))


def test_many_at_once(bench, make_workload: MakeWorkload) -> None:
    for number in range(30):
        bench.begin(make_workload(f"print({number}); end()", task_id=f"t{number}"))
    assert {bench.outcome().ending for _ in range(30)} == {Succeeded()}
    assert {bench.log(f"t{number}") for number in range(30)} == {str(number) for number in range(30)}


def test_the_same_try_runs_again_as_soon_as_its_end_was_told(bench, make_workload: MakeWorkload) -> None:
    for _ in range(10):
        workload = make_workload("end('rescheduled', at='2026-01-02T03:04:05+00:00')")
        assert isinstance(bench.run(workload).ending, Rescheduled)
        bench.supervisor.ack(workload.key)


def test_an_ending_is_told_again_until_it_is_acknowledged(bench, make_bench, make_workload: MakeWorkload) -> None:
    workload = make_workload("end()")
    outcome = bench.run(workload)
    told: list[Event] = []
    later = make_bench()
    later.supervisor.recover(emit=told.append)
    assert told == [Finished(key=workload.key, outcome=outcome)]
    later.supervisor.ack(workload.key)
    later.supervisor.ack(workload.key)
    told.clear()
    later.supervisor.recover(emit=told.append)
    assert told == []


OWNER = """
import sys, threading
from pathlib import Path
from airdock.model.keys import TryKey
from airdock.model.workload import Workload
from airdock.runner.process import ProcessStarter
from airdock.runner.supervisor import Supervisor

home, runner, pid_file = map(Path, sys.argv[1:])
starter = ProcessStarter(environments=home, environ={"PATH": "/usr/bin:/bin"})
supervisor = Supervisor(starter=starter, tasks=None, home=home, runner=runner)
supervisor.start()
script = f"open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
key = TryKey(dag_id="dag", run_id="run", task_id="task")
workload = Workload(key=key, digest="process:host", payload={"mode": "bare", "script": script})
supervisor.run(workload, run_info={}, emit=lambda event: None)
threading.Event().wait()
"""


def test_what_a_dead_owner_left_is_ended_and_told_as_lost(tmp_path: Path, runner: Path, make_bench) -> None:
    pid_file = tmp_path / "pid"
    owner = subprocess.Popen([sys.executable, "-c", OWNER, tmp_path / "home", runner, pid_file])
    while not pid_file.exists() or not pid_file.read_text():
        time.sleep(0.01)
    owner.kill()
    owner.wait()
    bench = make_bench()
    told: list[Event] = []
    bench.supervisor.recover(emit=told.append)
    assert not is_alive(int(pid_file.read_text()))
    [event] = told
    assert isinstance(event, Finished)
    assert event.key.task_id == "task"
    assert event.outcome.ending == Lost(reason="the process that ran it died")
    assert event.outcome.times.started is not None
    assert left_over(bench.home) == []


def test_what_a_living_owner_runs_is_left_alone(bench, make_bench, make_workload: MakeWorkload) -> None:
    bench.begin(make_workload("time.sleep(0.5); end()"))
    assert isinstance(bench.events.get(timeout=60), Started)
    told: list[Event] = []
    make_bench().supervisor.recover(emit=told.append)
    assert told == []
    assert bench.outcome().ending == Succeeded()


def test_an_owner_that_died_before_it_wrote_anything(bench, tmp_path: Path) -> None:
    dead = Process(pid=2**22 - 1, start_time=1)
    spool = Spool(tmp_path / "home" / "run", owner=dead)
    spool.open()
    key = TryKey(dag_id="d", run_id="r", task_id="t")
    folder = spool.begin(Record(key=key, digest="", isolation="process", times=Times()))
    (folder / "try.json").unlink()
    told: list[Event] = []
    bench.supervisor.recover(emit=told.append)
    assert told == []
    assert left_over(bench.home) == []


def test_deep_folders_have_a_channel_too(make_bench, make_workload: MakeWorkload) -> None:
    bench = make_bench(below="deep" * 40)
    assert bench.run(make_workload("end()")).ending == Succeeded()


def test_python_is_the_servers(bench, make_workload: MakeWorkload) -> None:
    bench.run(make_workload("print(sys.executable); end()"))
    assert bench.log() == sys.executable
