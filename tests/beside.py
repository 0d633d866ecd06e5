"""Runs some of the tests in a second test runner: `pytest -p tests.beside --beside tests/unit`.

The other tests wait for programs half of the time. What those beside leave on the machine is told apart, see
`tests.apart`, which needs root; `--beside-apart` names tests that run beside only then. What passed there counts in the
closing line; what was skipped is told, and of a failure everything is printed.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Final

import pytest
from tests.apart import leave

_NICENESS: Final = "10"
_FAILED: Final = re.compile(r"^(FAILED|ERROR) (\S+)", re.MULTILINE)
_PASSED: Final = re.compile(r"(\d+) passed")

_runner: "subprocess.Popen[bytes] | None" = None
_said: Path | None = None


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--beside", action="append", default=[], metavar="PATH", help="Run these in a runner of their own."
    )
    parser.addoption(
        "--beside-apart", action="append", default=[], metavar="PATH", help="These too, as root; else with the others."
    )


def pytest_configure(config: pytest.Config) -> None:
    global _runner, _said
    folders = _folders(config)
    if not folders or config.getoption("collectonly"):
        return
    with tempfile.NamedTemporaryFile(prefix="airdock-beside-", delete=False) as said:
        _said = Path(said.name)
        apart = [sys.executable, "-m", "tests.apart", _mark()] if os.geteuid() == 0 else []
        argv = [*apart, "nice", "-n", _NICENESS, sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *folders]
        _runner = subprocess.Popen(argv, cwd=config.rootpath, stdin=subprocess.DEVNULL, stdout=said, stderr=said)


def _folders(config: pytest.Config) -> list[str]:
    apart: list[str] = config.getoption("--beside-apart") if os.geteuid() == 0 else []
    return [*config.getoption("--beside"), *apart]


def _mark() -> str:
    return f"apart-{os.getpid()}"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    folders = [config.rootpath / each for each in _folders(config)]
    return True if any(collection_path.is_relative_to(folder) for folder in folders) else None


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _runner is not None and _runner.wait() not in (0, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if _runner is None or _said is None:
        return
    text = _said.read_text(errors="replace")
    terminalreporter.section("beside: " + " ".join(_folders(config)))
    if _runner.returncode:
        terminalreporter.write(text)
        names = _FAILED.findall(text) or [("FAILED", "the test runner")]
        failed = [pytest.TestReport(name, ("", 0, name), {}, "failed", "told above", "call") for _, name in names]
        terminalreporter.stats.setdefault("failed", []).extend(failed)
    before, _, summary = text.rstrip().partition("short test summary info")
    *skips, closing = (summary or before).splitlines() or [""]
    if not _runner.returncode:
        for line in [*skips[1:], closing.strip("= ")] if summary else [closing.strip("= ")]:
            terminalreporter.write_line(line)
    passed = _PASSED.search(closing)
    counted = [SimpleNamespace(count_towards_summary=True)] * int(passed[1] if passed else 0)
    terminalreporter.stats.setdefault("passed", []).extend(counted)


def pytest_unconfigure() -> None:
    if _runner is not None and _runner.poll() is None:  # interrupted
        _runner.terminate()
        _runner.wait()
    if _runner is not None and os.geteuid() == 0:
        leave(_mark())
    if _said is not None:
        _said.unlink(missing_ok=True)
