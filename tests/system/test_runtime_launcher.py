"""The launcher on the real kernel: every case of `launcher_cases.py` by every kind of account, nothing left behind."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CASES = Path(__file__).with_name("launcher_cases.py")
NAMES = re.findall(r"^def case_(\w+)", CASES.read_text(), re.MULTILINE)

Account = Any
"""`conftest.Account`; conftest can't be imported by name."""


@pytest.mark.parametrize("name", NAMES)
def test_a_launcher(account: Account, name: str, unchanged_machine: Callable[[], None]) -> None:
    script = account.home / "launcher_cases.py"
    script.write_text(CASES.read_text())
    script.chmod(0o644)
    folder = f"cases/{name}"
    try:
        account.run("mkdir", "-p", folder)
        ended = account.run(account.python, "-W", "error", str(script), str(account.home / folder), name, timeout_s=120)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert not ended.stderr
    finally:
        account.run("chmod", "-R", "u+rwX", "cases")
        account.run("rm", "-rf", "cases")
    if ended.stdout.startswith("skipped: "):
        pytest.skip(ended.stdout.removeprefix("skipped: ").strip())
