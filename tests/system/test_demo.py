"""The demo, whole and twice, with real packages from the package index, as each kind of account."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "library_conflict"
MADE = {"tools", "extract", "legacy_report", "modern_report", "chart", "compare"}


@pytest.fixture
def example(account: Any) -> Path:
    """A copy of the example that the account may read; the checkout may lie where it can't."""
    folder: Path = account.home / "library_conflict"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(EXAMPLE, folder)
    account.run("true")
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


def run(account: Any, example: Path) -> dict[str, Any]:
    done = account.airdock("run", str(example), "--json", timeout_s=600)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    return next(event for event in events if event["event"] == "summary")


def test_the_demo_twice(account: Any, example: Path, unchanged_machine: Callable[[], None]) -> None:
    first = run(account, example)
    tasks = {task["task_id"]: task for task in first["tasks"]}
    assert set(tasks) >= MADE
    assert all(task["state"] == "success" and task["isolation"] == "container" for task in tasks.values())
    assert len({tasks[name]["digest"] for name in MADE}) == len(MADE)
    assert all(task["memory_peak_bytes"] > 0 for task in tasks.values())
    assert Path(first["workspace"], "chart.png").read_bytes().startswith(b"\x89PNG")
    assert len(Path(first["workspace"], "seattle-weather.csv").read_text().splitlines()) == 1462
    said = Path(first["logs"], "compare", "1.log").read_text()
    assert "both reports agree on 4 years" in said
    assert all(tasks[name]["digest"] in said for name in MADE)
    unchanged_machine()

    second = run(account, example)
    assert all(image["reused"] for image in second["images"])
    assert {task["task_id"]: task["digest"] for task in second["tasks"]} == {
        name: task["digest"] for name, task in tasks.items()
    }
