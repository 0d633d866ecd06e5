import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airdock.errors import RunnerError
from airdock.model.keys import TryKey
from airdock.model.outcome import Deferred, Failed, Lost, Rescheduled, Skipped, Succeeded
from airdock.model.usage import Usage, UsageSource
from airdock.model.workload import Workload
from airdock.runner.base import Ended
from airdock.runner.endings import Seen, decide, parse_ending
from airdock.runner.inside.endings import ending_of
from airdock.runner.inside.wire import pack, unpack

USAGE = Usage(memory_peak_bytes=255 << 20, cpu_s=1.0, source=UsageSource.CGROUP)
FINE = Ended(exit_code=0, signal=None, usage=USAGE)
KILLED = Ended(exit_code=137, signal=9, usage=USAGE)
OOM = Ended(exit_code=137, signal=9, usage=USAGE, oom=True, memory_limit_bytes=256 << 20)
OOM_REASON = "killed by the memory limit: limit 256.0 MiB, peak 255.0 MiB"


def workload(mode: str, **payload: object) -> Workload:
    key = TryKey(dag_id="d", run_id="r", task_id="t")
    return Workload(key=key, digest="sha256:0", payload={"mode": mode, **payload})


@pytest.mark.parametrize(
    ("seen", "ended", "ending"),
    [
        (Seen(result=Succeeded()), FINE, Succeeded()),
        (Seen(result=Succeeded()), KILLED, Succeeded()),
        (Seen(result=Succeeded()), OOM, Succeeded()),  # a child was killed, and the task lived with it
        (Seen(result=Failed(reason="MemoryError")), FINE, Failed(reason="MemoryError")),
        (Seen(), OOM, Failed(reason=OOM_REASON)),
        (Seen(broken="noise"), OOM, Failed(reason=OOM_REASON)),
        (Seen(stop=Lost(reason="cancelled")), KILLED, Lost(reason="cancelled")),
        (Seen(stop=Lost(reason="cancelled"), result=Succeeded()), FINE, Lost(reason="cancelled")),
        (Seen(broken="noise"), KILLED, Failed(reason="the runner broke the channel's contract: noise")),
        (Seen(heard=True), KILLED, Failed(reason="killed by SIGKILL before it reported a result")),
        (Seen(), FINE, Failed(reason="exited with code 0 before the runner reported")),
    ],
)
def test_with_a_runner(seen: Seen, ended: Ended, ending: object) -> None:
    assert decide(workload("bare"), seen, ended) == ending


def test_a_failure_that_the_memory_limit_explains() -> None:
    ended = Ended(exit_code=1, signal=None, usage=USAGE, oom=True, memory_limit_bytes=256 << 20)
    assert decide(workload("bare"), Seen(result=Failed(reason="worker died")), ended) == Failed(reason=OOM_REASON)


@pytest.mark.parametrize(
    ("ended", "ending"),
    [
        (FINE, Succeeded()),
        (Ended(exit_code=99, signal=None, usage=None), Skipped(reason="exited with code 99")),
        (Ended(exit_code=1, signal=None, usage=None), Failed(reason="exited with code 1")),
        (Ended(exit_code=128 + 40, signal=40, usage=None), Failed(reason="killed by signal 40")),
        (KILLED, Failed(reason="killed by SIGKILL")),
        (OOM, Failed(reason=OOM_REASON)),
        (
            Ended(exit_code=137, signal=9, usage=None, oom=True),
            Failed(reason="killed by the memory limit: limit unknown, peak unknown"),
        ),
    ],
)
def test_of_a_command(ended: Ended, ending: object) -> None:
    assert decide(workload("command", skip_exit_code=[99]), Seen(), ended) == ending


def test_what_stops_a_try_counts_more_than_anything_it_says() -> None:
    for result, ended in itertools.product([None, Succeeded(), Failed(reason="x")], [FINE, KILLED, OOM]):
        seen = Seen(result=result, stop=Failed(reason="too long"))
        assert decide(workload("sdk"), seen, ended) == Failed(reason="too long")


@pytest.mark.parametrize(
    ("value", "ending"),
    [
        ({"kind": "succeeded"}, Succeeded()),
        ({"kind": "failed", "reason": "x", "more": 1}, Failed(reason="x")),
        ({"kind": "failed", "reason": "x", "retryable": False}, Failed(reason="x", retryable=False)),
        ({"kind": "skipped"}, Skipped()),
        ({"kind": "failed", "reason": "half \udcff"}, Failed(reason="half ?")),
        ({"kind": "failed", "reason": "y" * 5000}, Failed(reason="y" * 4000 + " …")),
        ({"kind": "failed", "reason": "x", "delay_s": 3}, Failed(reason="x", delay_s=3.0)),
        (
            {"kind": "succeeded", "skip": [["a", -1], ["b", 2]], "events": [{"name": "n"}], "label": "one"},
            Succeeded(skip=(("a", -1), ("b", 2)), events=({"name": "n"},), label="one"),
        ),
        (
            {"kind": "rescheduled", "at": "2026-01-01T00:00:00+00:00"},
            Rescheduled(at=datetime(2026, 1, 1, tzinfo=UTC)),
        ),
        ({"kind": "deferred", "trigger": "a.B", "kwargs": {"c": 1}}, Deferred(trigger="a.B", kwargs={"c": 1})),
        (
            {"kind": "deferred", "trigger": "a.B", "method": "go", "method_kwargs": {"d": 2}, "timeout_s": 1.5},
            Deferred(trigger="a.B", method="go", method_kwargs={"d": 2}, timeout_s=1.5),
        ),
    ],
)
def test_endings_that_runners_report(value: dict, ending: object) -> None:
    assert parse_ending(value) == ending


@pytest.mark.parametrize(
    "value",
    [
        None,
        "succeeded",
        {},
        {"kind": "lost", "reason": "x"},
        {"kind": "failed"},
        {"kind": "failed", "reason": 1},
        {"kind": "failed", "reason": "x", "retryable": "no"},
        {"kind": "skipped", "reason": None},
        {"kind": "rescheduled"},
        {"kind": "rescheduled", "at": "tomorrow"},
        {"kind": "rescheduled", "at": "2026-01-01T00:00:00"},
        {"kind": ["failed"]},
        {"kind": "failed", "reason": "x", "delay_s": -1},
        {"kind": "failed", "reason": "x", "delay_s": True},
        {"kind": "failed", "reason": "x", "delay_s": float("nan")},
        {"kind": "succeeded", "skip": ["a"]},
        {"kind": "succeeded", "skip": [["a", -2]]},
        {"kind": "succeeded", "events": [{}]},
        {"kind": "deferred"},
        {"kind": "deferred", "trigger": "a.B", "method_kwargs": []},
        {"kind": "deferred", "trigger": "a.B", "timeout_s": "1"},
    ],
)
def test_what_a_runner_may_not_report(value: object) -> None:
    with pytest.raises(RunnerError, match="expected"):
        parse_ending(value)


def test_an_exception_that_cannot_be_said_is_an_ending_too() -> None:
    class SilentError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    name = SilentError.__qualname__
    assert ending_of(SilentError())["reason"] == f"{name}: (and RuntimeError while it was being said)"


class TaskDeferred(BaseException):
    """As Airflow's: known by its name."""

    def __init__(self, trigger: object, kwargs: dict[str, Any], timeout: timedelta | None) -> None:
        self.trigger, self.method_name, self.kwargs, self.timeout = trigger, "resume", kwargs, timeout


class At:
    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "m.At", {"moment": datetime(2026, 1, 1, tzinfo=UTC), "every": timedelta(seconds=90)}


def test_a_deferral_is_told_with_values_that_come_back() -> None:
    said = ending_of(TaskDeferred(At(), {"seen": {1, 2}}, timedelta(minutes=1)))
    ending = parse_ending(said)
    assert isinstance(ending, Deferred)
    assert (ending.trigger, ending.method, ending.timeout_s) == ("m.At", "resume", 60.0)
    assert unpack(ending.kwargs) == At().serialize()[1]
    assert unpack(ending.method_kwargs) == {"seen": {1, 2}}


def test_a_deferral_that_cannot_be_kept_fails_the_try() -> None:
    said = ending_of(TaskDeferred(At(), {"file": object()}, None))
    assert said["reason"].startswith("TypeError: kwargs of the method['file'] is a object, which can't be kept")


def test_a_sensor_that_is_rescheduled_says_until_when() -> None:
    class AirflowRescheduleException(Exception):  # noqa: N818  Airflow's name
        reschedule_date = datetime(2026, 1, 1)

    assert parse_ending(ending_of(AirflowRescheduleException())) == Rescheduled(at=datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("value", [(1, (2,)), {"__airdock__": "set"}, b"\xff", frozenset({"a"}), [None, 1.5, "x"]])
def test_what_is_kept_for_later_comes_back_as_it_was(value: object) -> None:
    assert unpack(pack(value)) == value
