import itertools

import pytest

from airdock.errors import RunnerError
from airdock.model.keys import TryKey
from airdock.model.outcome import Deferred, Failed, Lost, Skipped, Succeeded
from airdock.model.usage import Usage, UsageSource
from airdock.model.workload import Workload
from airdock.runner.base import Ended
from airdock.runner.endings import Seen, decide, parse_ending
from airdock.runner.inside.endings import ending_of

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
        ({"kind": "deferred", "trigger": "a.B", "kwargs": {"c": 1}}, Deferred(trigger="a.B", kwargs={"c": 1})),
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
