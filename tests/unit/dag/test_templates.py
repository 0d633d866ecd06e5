"""Templates in arguments."""

import sys
from pathlib import Path

import jinja2
import pytest

from airdock.dag.templates import Templates, awaits_rendering, literal


def test_text_anywhere_in_a_value_is_rendered() -> None:
    templates = Templates({"ds": "2026-01-02", "n": 3}, macros={"twice": lambda value: value * 2})
    value = {"a": ["{{ ds }}", ("{{ n }}", 5)], "b": "{{ twice(n) }}", "c": None}
    assert templates.render(value) == {"a": ["2026-01-02", ("3", 5)], "b": "6", "c": None}


def test_native_rendering_keeps_types() -> None:
    assert Templates({"n": 3}, options={"native": True}).render("{{ n }}") == 3


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError, match="'nothing' is undefined"):
        Templates({}).render("{{ nothing }}")


def test_names_of_files_are_read_where_their_ending_says_so(tmp_path: Path) -> None:
    (tmp_path / "script.sh").write_text("echo {{ ds }}")
    templates = Templates({"ds": "today"}, folders=(str(tmp_path),), extensions=(".sh",))
    assert templates.render("script.sh") == "echo today"
    assert templates.render("script.txt") == "script.txt"


def test_filters_of_airflow_are_there() -> None:
    from datetime import UTC, datetime

    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    text = "{{ t | ds }} {{ t | ds_nodash }} {{ t | ts }} {{ t | ts_nodash }} {{ t | ts_nodash_with_tz }}"
    assert Templates({"t": moment}).render(text) == (
        "2026-01-02 20260102 2026-01-02T03:04:05+00:00 20260102T030405 20260102T030405+0000"
    )


def test_jinja_is_not_imported_for_plain_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert Templates({}).render(["echo { }", {"a": 1}]) == ["echo { }", {"a": 1}]


def test_it_is_known_what_awaits_rendering() -> None:
    assert awaits_rendering({"a": ["{% if x %}"]})
    assert awaits_rendering([literal("{{ ds }}")])
    assert awaits_rendering(["script.sh"], (".sh",))
    assert not awaits_rendering({"a": ["{ x }", 5]}, (".sh",))
    assert awaits_rendering({"a": ["5"]}, native=True)
