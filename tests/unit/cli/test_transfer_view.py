"""How far a pull or push is: on a terminal, as lines, as JSON, not at all."""

import io
import json
import sys

import pytest

from airdock.cli.transfer_view import TransferView
from airdock.remote.base import Transfer

ONE, TWO = "sha256:" + "1" * 64, "sha256:" + "2" * 64
EVENTS = [
    Transfer(state="waiting", digest=ONE, total=2000),
    Transfer(state="moving", digest=ONE, done=0, total=2000),
    Transfer(state="exists", digest=TWO, done=10, total=10),
    Transfer(state="moving", digest=ONE, done=1000, total=2000),
    Transfer(state="note", text="the registry warns: soon closed"),
    Transfer(state="done", digest=ONE, done=2000, total=2000),
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def show(form: str, events: list[Transfer] = EVENTS) -> None:
    with TransferView("pulling", form=form) as view:
        for event in events:
            view(event)


def test_lines_say_what_changes_once(capsys: pytest.CaptureFixture[str]) -> None:
    show("auto")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines() == [
        "111111111111: pulling 2kB",
        "222222222222: already there (10B)",
        "the registry warns: soon closed",
        "111111111111: done (2kB)",
    ]


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    show("quiet")
    assert capsys.readouterr() == ("", "")


def test_json_is_an_object_per_event_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    show("json")
    shown = capsys.readouterr()
    assert shown.err == ""
    found = [json.loads(line) for line in shown.out.splitlines()]
    assert len(found) == len(EVENTS)
    assert found[3] == {"event": "blob", "digest": ONE, "state": "moving", "done": 1000, "total": 2000}
    assert found[4] == {"event": "note", "text": "the registry warns: soon closed"}


def test_a_blob_from_a_neighbour_says_from_where(capsys: pytest.CaptureFixture[str]) -> None:
    show("plain", [Transfer(state="mounted", digest=ONE, done=5, total=5, text="team/base")])
    assert capsys.readouterr().err == "111111111111: taken over from team/base\n"


def test_a_terminal_has_a_line_per_blob_that_is_drawn_over(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "40")
    show("auto")
    text = terminal.getvalue()
    assert "the registry warns: soon closed\n" in text  # stays above what is drawn
    last = text.rpartition("\x1b[J")[2].splitlines()
    assert last == ["111111111111: done (2kB)", "222222222222: already there (10B)"]
    assert all(len(line) <= 40 for line in last)


def test_an_empty_blob_is_no_division_by_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    show("live", [Transfer(state="moving", digest=ONE, done=0, total=0)])
    assert "=" * 24 in terminal.getvalue()


def test_nothing_is_drawn_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    show("auto", [])
    assert terminal.getvalue() == ""
