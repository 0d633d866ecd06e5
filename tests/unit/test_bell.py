"""Commands tell the servers of their home that they changed something."""

import threading
from pathlib import Path

import pytest

from airdock import bell
from airdock.bell import Bell


def test_who_listens_hears_each_ring(tmp_path: Path) -> None:
    heard = threading.Semaphore(0)
    with Bell(tmp_path).listening(heard.release), Bell(tmp_path).listening(heard.release):
        for _ in range(2):
            Bell(tmp_path).ring()
            assert heard.acquire(timeout=10) and heard.acquire(timeout=10), "both servers hear it"
            while heard.acquire(timeout=0.05):
                """One ring may be several changes of a file."""


def test_nobody_needs_to_listen(tmp_path: Path) -> None:
    Bell(tmp_path / "nowhere").ring()
    assert not (tmp_path / "nowhere").exists()


def test_where_watching_fails_it_is_said_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def used_up(folder: Path) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(bell, "_watch", used_up)
    with Bell(tmp_path).listening(lambda: None):
        Bell(tmp_path).ring()
    assert "is seen some seconds later" in caplog.text
