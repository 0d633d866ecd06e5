"""A paused container stands still, all of it, takes no commands, and can be let go on or killed; by every account."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Account = Any
"""`conftest.Account`; conftest can't be imported by name."""

pytestmark = pytest.mark.usefixtures("unchanged_machine")
COUNT = "(while :; do echo >> /b/child; sleep 0.01; done) & while :; do echo >> /b/first; sleep 0.01; done"
"""Two processes that count by lines; each starts others all the time."""


def said(account: Account, *argv: str, code: int = 0) -> str:
    ended = account.airdock("container", *argv)
    assert ended.returncode == code, ended.stderr
    return str(ended.stdout)


@pytest.fixture
def counted(account: Account) -> Iterator[Path]:
    """The folder in which a container named "counter" counts."""
    folder = account.home / "counted"
    account.run("mkdir", "-p", str(folder))
    try:
        said(account, "run", "-d", "--name", "counter", "-v", f"{folder}:/b", "host", "sh", "-c", COUNT)
        until(lambda: all(counts(folder)))
        yield folder
    finally:
        account.airdock("container", "rm", "-f", "counter")
        account.run("rm", "-rf", str(folder))


def counts(folder: Path) -> tuple[int, int]:
    first, child = (folder / name for name in ("first", "child"))
    return tuple(path.stat().st_size if path.exists() else 0 for path in (first, child))  # type: ignore[return-value]


def until(condition: Callable[[], bool], *, timeout_s: float = 20) -> None:
    """Wait for what another process does."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it didn't come about"
        time.sleep(0.02)


def test_everybody_in_it_stands_still_and_goes_on(account: Account, counted: Path) -> None:
    said(account, "pause", "counter")
    before = counts(counted)
    time.sleep(0.3)  # thirty lines of each, would they run
    assert counts(counted) == before
    assert "(Paused)" in said(account, "ps", "--format", "{{.Status}}")
    assert said(account, "ps", "-q", "--filter", "status=paused").strip()
    said(account, "unpause", "counter")
    until(lambda: all(now > then for now, then in zip(counts(counted), before, strict=True)))
    assert "(Paused)" not in said(account, "ps", "--format", "{{.Status}}")


def test_what_makes_no_sense_is_refused(account: Account, counted: Path) -> None:
    refused = account.airdock("container", "unpause", "counter")
    assert refused.returncode != 0 and "paused" in refused.stderr
    said(account, "pause", "counter")
    refused = account.airdock("container", "exec", "counter", "true")
    assert refused.returncode != 0 and "paused" in refused.stderr
    refused = account.airdock("container", "pause", "counter")
    assert refused.returncode != 0 and "paused" in refused.stderr
    said(account, "unpause", "counter")
    said(account, "exec", "counter", "true")


def test_it_can_be_killed_as_it_stands(account: Account, counted: Path) -> None:
    said(account, "pause", "counter")
    said(account, "kill", "counter")
    until(lambda: said(account, "inspect", "-f", "{{.State.Status}}", "counter").strip() == "exited")
    assert said(account, "inspect", "-f", "{{.State.ExitCode}}", "counter").strip() == "137"
    before = counts(counted)
    time.sleep(0.1)
    assert counts(counted) == before


def test_it_can_be_removed_as_it_stands(account: Account, counted: Path) -> None:
    said(account, "pause", "counter")
    said(account, "rm", "-f", "counter")
    assert said(account, "ps", "-aq").strip() == ""
