"""What the demo asks for on machines with other Pythons than this one."""

import runpy
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from airdock.dag.environ import PYTHONS_VARIABLE

EXAMPLE = Path(__file__).parents[2] / "examples/library_conflict/library_conflict.py"


class Version(NamedTuple):
    major: int
    minor: int
    micro: int = 0


def load(monkeypatch: pytest.MonkeyPatch, server: Version, pythons: str) -> dict[str, Any]:
    monkeypatch.setenv(PYTHONS_VARIABLE, pythons)
    with monkeypatch.context() as changed:
        changed.setattr(sys, "version_info", server)
        return runpy.run_path(str(EXAMPLE))


@pytest.mark.parametrize(
    ("server", "pythons", "legacy", "python", "other"),
    [
        (Version(3, 11), "3.11", ["pandas==1.5.3", "numpy<2"], None, None),
        (Version(3, 12), "3.9,3.11,3.12", ["pandas==1.5.3", "numpy<2"], "3.11", "3.9"),
        (Version(3, 13), "3.11,3.13", ["pandas==1.5.3", "numpy<2"], "3.11", "3.11"),
        (Version(3, 12), "3.12", ["pandas==2.3.3", "numpy<2"], None, None),
        (Version(3, 13), "3.12,3.13", ["pandas==2.3.3"], None, "3.12"),
    ],
    ids=lambda value: ".".join(map(str, value)) if isinstance(value, Version) else None,
)
def test_what_the_reports_ask_for(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    server: Version,
    pythons: str,
    legacy: list[str],
    python: str | None,
    other: str | None,
) -> None:
    made = load(monkeypatch, server, pythons)
    assert (made["LEGACY"], made["LEGACY_PYTHON"], made["OTHER"]) == (legacy, python, other)
    said = capsys.readouterr().out
    assert ("pandas==2.3.3 against pandas 3 instead" in said) == (legacy[0] == "pandas==2.3.3")
    assert (f"no Python other than {server.major}.{server.minor} is on this machine" in said) == (other is None)
