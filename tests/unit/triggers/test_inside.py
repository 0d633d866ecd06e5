"""The process that runs triggers, over its lines."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SOURCE = """
import asyncio
from airdock.dag.trigger import BaseTrigger, TriggerEvent

class Tells(BaseTrigger):
    def __init__(self, what):
        self.what = what

    async def run(self):
        print("noise")
        yield TriggerEvent(self.what)

    async def cleanup(self):
        print("cleaned", self.what)

class Breaks(Tells):
    async def run(self):
        raise ValueError(self.what)
        yield

class Waits(Tells):
    async def run(self):
        await asyncio.Event().wait()
        yield

class Ends(Tells):
    async def run(self):
        return
        yield
"""


@pytest.fixture
def process(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    (tmp_path / "mine.py").write_text(SOURCE)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    made = subprocess.Popen(
        [sys.executable, "-m", "airdock.triggers.inside"],
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    yield made
    made.kill()
    made.communicate()


def speak(process: "subprocess.Popen[str]", *messages: dict[str, Any], answers: int) -> list[dict[str, Any]]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("".join(json.dumps(message) + "\n" for message in messages))
    process.stdin.flush()
    return [json.loads(process.stdout.readline()) for _ in range(answers)]


def add(id: str, name: str, what: Any) -> dict[str, Any]:
    return {"add": id, "path": f"mine.{name}", "kwargs": {"what": what}}


def test_triggers_run_side_by_side_and_tell(process: "subprocess.Popen[str]") -> None:
    moment = {"__airdock__": "datetime", "value": "2026-01-01T00:00:00+00:00"}
    told = speak(
        process,
        add("w", "Waits", "later"),
        add("a", "Tells", {"at": moment}),
        add("b", "Breaks", "no"),
        add("c", "Ends", 1),
        add("d", "Nothing", 1),
        {"drop": "unknown"},
        answers=5,
    )
    assert told[0] == {"ready": True}
    by_id = {each.get("fired", each.get("failed")): each for each in told[1:]}
    assert by_id["a"] == {"fired": "a", "event": {"at": moment}}
    assert by_id["b"] == {"failed": "b", "error": "ValueError: no"}
    assert by_id["c"] == {"failed": "c", "error": "mine.Ends ended without an event"}
    assert by_id["d"]["error"].startswith("AttributeError: module 'mine' has no attribute 'Nothing'")
    output, errors = process.communicate(timeout=60)
    assert (output, process.returncode) == ("", 0)
    assert "noise" in errors
    assert "cleaned later" in errors  # what still waited at the end of the input
