"""Which callbacks are called away from their tasks, and that each is called at least once (reference 4.7)."""

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from airdock.clock import ManualClock
from airdock.dag.serialized import SerializedDag, SerializedTask
from airdock.errors import StoreError
from airdock.model.keys import RunKey, TaskKey
from airdock.model.outcome import Ending, Failed, Lost, Outcome, Skipped, Succeeded, Times
from airdock.model.states import RunState, TaskState
from airdock.scheduler.calling import Calling
from airdock.scheduler.calls import find_calls
from airdock.scheduler.events import Action
from airdock.scheduler.owner import Owner
from airdock.scheduler.view import RunView
from airdock.store.memory import MemoryStore
from airdock.store.records import CallbackRow, Instance, Run, RunTransition, Transition

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RUN = RunKey(dag_id="d", run_id="r")
KEY = TaskKey(dag_id="d", run_id="r", task_id="t")
EXECUTE = "on_execute_callback"
ALL = ("on_failure_callback", "on_retry_callback", "on_skipped_callback", "on_success_callback")


def course(*, mode: str = "bare", callbacks: tuple[str, ...] = ALL, of_dag: tuple[str, ...] = ()) -> Any:
    task = SerializedTask(task_id="t", operator="python", mode=mode, callbacks=callbacks, payload={"params": {"n": 1}})
    dag = SerializedDag(
        dag_id="d", fileloc="/d.py", tasks=(task,), callbacks=of_dag, params={"n": 1}, loader={"fileloc": "/d.py"}
    )
    rows = [Instance(key=KEY, state=TaskState.RUNNING, try_number=2, max_tries=3)]
    view = RunView(run=RUN, logical_date=None, dag=dag, instances=rows, answers=[], lengths=lambda _task, _name: {})
    run = Run(key=RUN, state=RunState.RUNNING, dag_digest="x", created=NOW, logical_date=NOW)
    return SimpleNamespace(dag=dag, run=run, view=view)


def step(target: TaskState, ending: Ending | None, *, told: bool = True) -> Transition:
    times = Times(user_code=NOW, user_ended=NOW if told else None)
    outcome = None if ending is None else Outcome(ending=ending, times=times)
    return Transition(key=KEY, source=TaskState.RUNNING, target=target, try_number=2, to_try=2, at=NOW, outcome=outcome)


def calls(found: Any, *actions: Action, end: RunTransition | None = None) -> list[Mapping[str, Any]]:
    return [row.call for row in find_calls(found, actions, end)]


@pytest.mark.parametrize(
    ("target", "ending", "name"),
    [
        (TaskState.SUCCESS, Succeeded(), "on_success_callback"),
        (TaskState.FAILED, Failed(reason="no"), "on_failure_callback"),
        (TaskState.UP_FOR_RETRY, Failed(reason="no"), "on_retry_callback"),
        (TaskState.SKIPPED, Skipped(reason="no"), "on_skipped_callback"),
    ],
)
def test_a_task_in_an_image_of_its_own_has_each_called(target: TaskState, ending: Ending, name: str) -> None:
    (call,) = calls(course(), step(target, ending))
    assert (call["name"], call["task_id"], call["try_number"]) == (name, "t", 2)
    assert call["loader"] == {"fileloc": "/d.py"}
    assert call["instance"]["max_tries"] == 3
    assert call["error"] == ("no" if isinstance(ending, Failed) else "")
    assert calls(course(callbacks=()), step(target, ending)) == []


def test_a_task_beside_its_file_calls_its_own_unless_its_process_died() -> None:
    failed = Failed(reason="killed by SIGKILL")
    assert calls(course(mode="sdk"), step(TaskState.FAILED, failed)) == []
    (call,) = calls(course(mode="sdk"), step(TaskState.FAILED, failed, told=False))
    assert (call["name"], call["error"]) == ("on_failure_callback", "killed by SIGKILL")


def test_a_task_that_does_nothing_is_a_success_without_a_try() -> None:
    (call,) = calls(course(mode="none"), step(TaskState.SUCCESS, None))
    assert call["name"] == "on_success_callback"


STARTED = Transition(
    key=KEY, source=TaskState.QUEUED, target=TaskState.RUNNING, try_number=2, to_try=2, at=NOW
)  # fmt: skip


@pytest.mark.parametrize("mode", ["bare", "command", "sdk"])
def test_the_beginning_of_a_try_is_called_in_it_or_in_its_first_step(mode: str) -> None:
    assert calls(course(mode=mode, callbacks=(EXECUTE,)), STARTED) == []


def test_what_is_done_without_a_try_began_too() -> None:
    found = calls(course(mode="none", callbacks=(EXECUTE, "on_success_callback")), step(TaskState.SUCCESS, None))
    assert [call["name"] for call in found] == [EXECUTE, "on_success_callback"]


def test_what_no_try_ended_with_calls_nothing() -> None:
    assert calls(course(), step(TaskState.SKIPPED, None), step(TaskState.FAILED, None)) == []
    assert calls(course(), step(TaskState.SCHEDULED, Lost(reason="gone"))) == []


@pytest.mark.parametrize(
    ("state", "why", "name", "reason"),
    [
        (RunState.SUCCESS, "", "on_success_callback", "success"),
        (RunState.FAILED, "failed: t", "on_failure_callback", "task_failure"),
        (RunState.FAILED, "timed out", "on_failure_callback", "timed_out"),
        (RunState.FAILED, "1 task instances wait for what can't happen any more", "on_failure_callback",
         "all_tasks_deadlocked"),
    ],
)  # fmt: skip
def test_a_dag_is_told_why_its_run_ended(state: RunState, why: str, name: str, reason: str) -> None:
    end = RunTransition(key=RUN, source=RunState.RUNNING, target=state, at=NOW, reason=why)
    both = ("on_failure_callback", "on_success_callback")
    (call,) = calls(course(of_dag=both), end=end)
    assert (call["name"], call["reason"], call["task_id"], call["params"]) == (name, reason, "", {"n": 1})
    assert call["run"]["state"] == state
    assert calls(course(), end=end) == []
    assert call["last"] is None


@pytest.mark.parametrize(("state", "last"), [(RunState.SUCCESS, "b"), (RunState.FAILED, "c")])
def test_a_dag_is_told_of_the_instance_that_ended_last_as_the_run_did(state: RunState, last: str) -> None:
    good, bad = TaskState.SUCCESS, TaskState.FAILED
    ends = {"a": (good, 3), "b": (good, 5), "c": (bad, 4), "d": (TaskState.SKIPPED, 9)}
    tasks = tuple(SerializedTask(task_id=each, operator="python") for each in ends)
    rows = [
        Instance(key=replace(KEY, task_id=each), state=as_is, try_number=1, max_tries=2, started=NOW,
                 ended=NOW + timedelta(seconds=after))
        for each, (as_is, after) in ends.items()
    ]  # fmt: skip
    found = course(of_dag=("on_failure_callback", "on_success_callback"))
    found.dag = replace(found.dag, tasks=tasks)
    found.view = RunView(run=RUN, logical_date=None, dag=found.dag, instances=rows, answers=[], lengths=lambda *_: {})
    (call,) = calls(found, end=RunTransition(key=RUN, source=RunState.RUNNING, target=state, at=NOW))
    told = call["last"]
    assert (told["task_id"], told["map_index"], told["try_number"], told["max_tries"]) == (last, -1, 1, 2)
    assert (told["state"], told["started"]) == (str(ends[last][0]), NOW.isoformat())
    assert told["ended"] == (NOW + timedelta(seconds=ends[last][1])).isoformat()


class Calls:
    """Notes what is to be called."""

    def __init__(self) -> None:
        self.asked: list[tuple[Mapping[str, Any], Callable[[str | None], None]]] = []

    def run(self, call: Mapping[str, Any], done: Callable[[str | None], None]) -> None:
        self.asked.append((call, done))


class Bench:
    def __init__(self, count: int) -> None:
        self.clock = ManualClock(at=NOW)
        self.store = MemoryStore(clock=self.clock)
        self.store.add_callbacks([CallbackRow(call={"n": number}, created=NOW) for number in range(count)])
        self.calls = Calls()
        self.calling = self.another("me")

    def another(self, owner: str) -> Calling:
        return Calling(store=self.store, owner=owner, open=lambda: self.calls)

    def left(self) -> list[int]:
        return [row.call["n"] for row in self.store.list_callbacks()]


def test_calls_are_made_a_few_at_a_time_until_none_is_left() -> None:
    bench = Bench(10)
    bench.calling.take()
    assert [call["n"] for call, _ in bench.calls.asked] == list(range(8))
    bench.calling.take()
    assert len(bench.calls.asked) == 8
    for number in range(10):
        bench.calls.asked[number][1]("")
    assert len(bench.calls.asked) == 10
    assert bench.left() == []
    bench.calling.wait()


def test_a_call_that_cannot_be_made_is_given_up_and_one_that_was_stopped_is_made_again() -> None:
    bench = Bench(2)
    bench.calling.take()
    bench.calling.stop()
    bench.calls.asked[0][1]("there is no such file")
    bench.calls.asked[1][1](None)
    assert bench.left() == [1]
    other = bench.another("other")
    other.take()
    assert len(bench.calls.asked) == 2
    bench.clock.advance(timedelta(hours=1))
    other.take()
    assert [call["n"] for call, _ in bench.calls.asked] == [0, 1, 1]


def test_what_a_dead_caller_of_this_machine_began_is_made_again_at_once_and_that_of_a_living_one_is_not() -> None:
    bench = Bench(3)
    alive = Owner.current()
    with subprocess.Popen(["sleep", "0"]) as process:
        pass
    dead = replace(alive, pid=process.pid, nonce="0")
    elsewhere = replace(dead, place="another machine")
    for owner in (dead, elsewhere, alive):
        bench.store.take_callbacks(owner=str(owner), lease_s=60, limit=1)
    bench.calling.take()
    assert [call["n"] for call, _ in bench.calls.asked] == [0]
    bench.calls.asked[0][1]("")
    assert bench.left() == [1, 2]


def test_a_store_that_is_away_when_a_call_ends_lets_it_be_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(1)

    def away(_numbers: object) -> None:
        raise StoreError("away")

    bench.calling.take()
    with monkeypatch.context() as patch:
        patch.setattr(bench.store, "end_callbacks", away)
        bench.calls.asked[0][1]("")
    assert bench.left() == [0]
    bench.calling.wait()
