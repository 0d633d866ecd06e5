"""Triggers that watch assets: all their events, and their ends."""

import os
import signal
from collections.abc import Callable

from .conftest import Bench
from .test_triggerer import until


def test_every_event_is_told_and_then_the_end(bench: Bench) -> None:
    bench.watch("one", "Counts", to=3)
    assert [bench.hear() for _ in range(4)] == [*(("one", {"number": number}) for number in range(3)), ("one", "")]
    until(lambda: "cleaned" in bench.log())
    bench.watch("one", "Counts", to=0)
    assert bench.hear() == ("one", "")


def test_a_failure_is_told_and_what_a_trigger_keeps_is_kept_with_its_asset(bench: Bench) -> None:
    bench.watch("two", "CountsAndBreaks", to=1)
    assert bench.hear() == ("two", ["seen", {"name": "two", "uri": "s3://two"}])
    name, error = bench.hear()
    assert (name, error.splitlines()[0]) == ("two", "ValueError: no more")
    bench.watch("three", "Nothing", to=1)
    assert "has no attribute 'Nothing'" in bench.hear()[1]


def test_what_is_unwatched_is_cleaned_up_and_told_of_no_more(bench: Bench) -> None:
    key = bench.watch("one", "Counts", to=1, path="/x")
    bench.watch("one", "Counts", to=1, path="/x")  # it runs already
    assert bench.hear() == ("one", {"number": 0})
    until(lambda: "watches" in bench.log())
    bench.triggerer.unwatch(key)
    until(lambda: "cleaned" in bench.log())
    bench.watch("two", "Counts", to=0)
    assert bench.hear() == ("two", "")
    assert bench.heard.empty()


def test_what_a_watching_trigger_does_to_its_process_is_not_done_to_tasks(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    bench.add("waits", "WaitsForFile", "/nowhere")
    bench.watch("one", "Counts", to=1, path="/x")
    bench.hear()
    until(lambda: "watches" in bench.log() and "waits" in bench.log())
    pids = {line.split()[-1] for line in bench.log().splitlines() if "watches" in line or "waits" in line}
    assert len(pids) == 2
    watching = next(line.split()[-1] for line in bench.log().splitlines() if "watches" in line)
    os.kill(int(watching), signal.SIGKILL)
    assert bench.hear() == ("one", {"number": 0})  # begun again in a new process
    until(lambda: bench.log().count("watches") == 2)
    assert bench.log().count("waits") == 1


def test_one_that_kills_its_process_each_time_is_given_up(make_bench: Callable[..., Bench], monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("airdock.triggers.triggerer._DEATHS", 2)
    bench = make_bench()
    bench.watch("one", "Kills", what=1)
    assert bench.hear() == ("one", "the process of its trigger ended 2 times while it waited")
