"""The files of a folder are loaded in one container, as each kind of account, whatever one of them does."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

GOOD = """
from airdock.operators.empty import EmptyOperator
from airdock.sdk import DAG
with DAG("NAME"):
    EmptyOperator(task_id="a")
"""
HOSTILE = {
    "broken": "import airdock\ndag = 1 / 0\n",
    "writes": "import airdock\nopen(__file__, 'a')  # a dag\n",
    "kills": "# nobody else is there where it is loaded alone\nimport contextlib, os\n"
    "with contextlib.suppress(ProcessLookupError):\n    os.kill(-1, 9)\n" + GOOD.replace("NAME", "kills"),
    "stays": "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(1000)\n"
    + GOOD.replace("NAME", "stays"),
    "looks": """
import os

def looks_into(pid):
    try:
        return bool(os.readlink(f"/proc/{pid}/fd/0"))
    except PermissionError:
        return False

others = [pid for pid in os.listdir("/proc") if pid.isdigit() and int(pid) != os.getpid()]
assert len(others) > 1 and looks_into(os.getpid())
"""
    + GOOD.replace('"NAME"', '"sees_" + ("others" if any(map(looks_into, others)) else "nobody")'),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for each in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        each.chmod(0o755)
    (tmp_path / "dags").mkdir()
    for number in range(3):
        (tmp_path / "dags" / f"good_{number}.py").write_text(GOOD.replace("NAME", f"good_{number}"))
    for name, text in HOSTILE.items():
        (tmp_path / "dags" / f"{name}.py").write_text(text)
    return tmp_path / "dags"


def test_no_file_keeps_another_from_being_loaded_or_looks_into_it(
    account: Any, folder: Path, unchanged_machine: Callable[[], None]
) -> None:
    told = account.airdock("dags", "import", str(folder), "--json", env={"AIRDOCK_HOME": str(account.home / "folder")})
    assert told.returncode == 1, told.stderr
    found = {Path(each["file"]).stem: each for each in map(json.loads, told.stdout.splitlines())}
    assert {name for name, each in found.items() if not each["loads"]} == {"broken", "writes"}
    assert len(found) == 8
    assert "ZeroDivisionError" in found["broken"]["error"]["message"]
    assert any(why in found["writes"]["error"]["message"] for why in ("Read-only file system", "Permission denied"))
    assert list(found["looks"]["dags"]) == ["sees_nobody"]
    unchanged_machine()
