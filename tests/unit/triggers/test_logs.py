"""What triggers print is in the log of the try that waits for them; what nobody can be told of is in triggers.log."""

import os
import signal
from pathlib import Path

import pytest

from airdock.clock import SystemClock
from airdock.model.keys import TryKey
from airdock.runner.logs import LINE_LIMIT, LogFile, log_path

from .conftest import Bench
from .test_triggerer import until

SOURCE = """
import asyncio, logging, os, sys, threading, warnings
from airdock.dag.trigger import BaseTrigger, TriggerEvent

log = logging.getLogger(__name__)
gate = asyncio.Event()

class Says(BaseTrigger):
    def __init__(self, what=None):
        self.what = what

    async def run(self):
        print("begin", self.what, end="")
        print(" of", "it")
        await asyncio.sleep(0)
        log.info("looks at %s", self.what)
        log.debug("not shown")
        print("error", self.what, file=sys.stderr)
        await asyncio.to_thread(print, "in a thread", self.what)
        await asyncio.gather(asyncio.create_task(self.part()))
        yield TriggerEvent(self.what)

    async def part(self):
        log.warning("part of %s", self.what)

    async def cleanup(self):
        print("cleaned", self.what)
        print("no end", end="")

class Beside(BaseTrigger):
    def __init__(self, what=None):
        pass

    async def run(self):
        os.write(1, b"around all streams\\n")
        thread = threading.Thread(target=print, args=("of nobody",), kwargs={"flush": True})
        thread.start()
        thread.join()
        yield TriggerEvent(None)

class Long(BaseTrigger):
    def __init__(self, what):
        self.what = what

    async def run(self):
        print("x" * self.what)
        print("a" * 200_000 + "\\n\\n" + "b" * 200_000 + "\\nlast")
        for _ in range(3):
            sys.stdout.write("y" * 200_000)
        print()
        yield TriggerEvent(None)

class Endless(BaseTrigger):
    def __init__(self, what):
        pass

    async def run(self):
        print("pid", os.getpid())
        await asyncio.to_thread(self.shout)
        yield

    def shout(self):
        while True:
            print("z" * 10_000)

class Secret(BaseTrigger):
    def __init__(self, what):
        pass

    async def run(self):
        from airflow.sdk import Variable
        print("the token is", Variable.get("api_token"))
        raise ValueError("refused: " + Variable.get("api_token"))
        yield TriggerEvent(None)
"""


@pytest.fixture
def talking(bench: Bench) -> Bench:
    (bench.home / "modules" / "talks.py").write_text(SOURCE)
    return bench


def expected(what: str) -> list[str]:
    return [
        f"begin {what} of it", f"INFO - looks at {what}", f"error {what}", f"in a thread {what}",
        f"WARNING - part of {what}", f"cleaned {what}", "no end",
    ]  # fmt: skip


def test_each_line_is_in_the_log_of_the_try_whose_trigger_wrote_it(talking: Bench) -> None:
    names = ["one", "two", "three"]
    keys = [talking.add(name, "talks.Says", name) for name in names]
    assert {talking.next()[1] for _ in names} == set(names)
    for key, name in zip(keys, names, strict=True):
        until(lambda key=key: "no end" in talking.log_of(key))  # type: ignore[misc]
        assert talking.log_of(key) == expected(name)
    assert talking.log_of(None) == []


def test_what_a_trigger_says_comes_behind_what_the_task_said_before(talking: Bench, tmp_path: Path) -> None:
    key = TryKey(dag_id="d", run_id="r", task_id="one")
    supervisor = LogFile(log_path(tmp_path / "logs", key), SystemClock())
    supervisor.write([b"the task"])
    talking.add("one", "talks.Says", "it")
    until(lambda: "no end" in talking.log_of(key))
    supervisor.write([b"the task again"])  # it was open all the time, and isn't written over
    supervisor.close()
    assert talking.log_of(key) == ["the task", *expected("it"), "the task again"]


def test_what_no_trigger_can_be_told_of_is_in_the_log_of_all(talking: Bench) -> None:
    key = talking.add("beside", "talks.Beside")
    talking.next()
    until(lambda: len(talking.log_of(None)) == 2)
    assert talking.log_of(None) == ["around all streams", "of nobody"]
    assert talking.log_of(key) == []


def test_what_a_trigger_of_an_asset_prints_is_in_the_log_of_all(bench: Bench) -> None:
    bench.watch("one", "Counts", to=0)
    assert bench.hear() == ("one", "")
    until(lambda: bench.log_of(None) == ["cleaned"])


def test_long_lines_are_broken_and_none_is_lost(talking: Bench) -> None:
    key = talking.add("long", "talks.Long", 3 * LINE_LIMIT + 5)
    talking.next()
    until(lambda: "".join(talking.log_of(key)).count("y") == 600_000)
    lines = talking.log_of(key)
    assert max(map(len, lines)) <= LINE_LIMIT
    assert "".join(lines).count("x") == 3 * LINE_LIMIT + 5
    after = lines[next(number for number, line in enumerate(lines) if line.startswith("a")) :]
    assert after[:4] == ["a" * 200_000, "", "b" * 200_000, "last"]
    assert len([line for line in after if line.startswith("y")]) <= 3


def test_one_that_prints_without_end_keeps_nobody_from_going_on_and_fills_no_memory(talking: Bench) -> None:
    key = talking.add("endless", "talks.Endless")
    until(lambda: len(talking.log_of(key)[:2]) == 2)
    pid = int(talking.log_of(key)[0].split()[1])
    talking.add("other", "talks.Says", "other")
    assert talking.next() == ("other", "other", "")
    resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    os.kill(pid, signal.SIGKILL)
    talking.triggerer.remove(key)
    assert resident < 256 * 1024 * 1024


def test_secrets_that_triggers_ask_for_are_in_no_log_and_in_no_error(talking: Bench) -> None:
    key = talking.add("secret", "talks.Secret")
    _, _, error = talking.next()
    assert error.splitlines()[0] == "ValueError: refused: ***"
    assert "secret of" not in error
    until(lambda: talking.log_of(key) != [])
    assert talking.log_of(key) == ["the token is ***"]
