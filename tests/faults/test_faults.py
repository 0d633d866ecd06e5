"""A real scheduler is killed at named points and at random moments: all is done, once, and nothing stays.

`make soak` does the same at length.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.contract.postgres import find_programs

SOAK = Path(__file__).with_name("soak.py")


def soak(*arguments: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("faults are tried on root's containers")
    done = subprocess.run(
        [sys.executable, str(SOAK), *arguments], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


def test_kills_lose_nothing_and_repeat_nothing() -> None:
    soak("--seed", "4", "--kills", "12", "--tasks", "60")


def test_a_database_that_goes_away_is_waited_for() -> None:
    if not find_programs():
        pytest.skip("needs PostgreSQL 15 or newer (apt-get install postgresql)")
    soak("--seed", "5", "--kills", "0", "--tasks", "18", "--fault", "away:3")


def test_what_passes_is_outlasted() -> None:
    faults = ("--fault", "lock:3", "--fault", "full:4", "--fault", "clock:3600")
    soak("--seed", "7", "--kills", "0", "--tasks", "36", *faults)
