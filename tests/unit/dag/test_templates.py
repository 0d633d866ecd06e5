"""Templates in arguments."""

import sys
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import jinja2.nativetypes
import pytest

from airdock.dag.templates import Templates, awaits_rendering, literal
from airdock.dag.xcom_arg import find_references, resolve
from airdock.operators.empty import EmptyOperator
from airdock.sdk import DAG


def test_text_anywhere_in_a_value_is_rendered() -> None:
    templates = Templates({"ds": "2026-01-02", "n": 3}, macros={"twice": lambda value: value * 2})
    value = {"a": ["{{ ds }}", ("{{ n }}", 5)], "b": "{{ twice(n) }}", "c": None}
    assert templates.render(value) == {"a": ["2026-01-02", ("3", 5)], "b": "6", "c": None}


def test_native_rendering_keeps_types() -> None:
    assert Templates({"n": 3}, options={"native": True}).render("{{ n }}") == 3


def test_native_rendering_takes_plain_text_for_what_it_says_too() -> None:
    templates = Templates({}, options={"native": True})
    for text in ("5", "[1,2]", "{'a': 1}", "2020-01-01", "plain", "'quoted'", ""):
        assert templates.render(text) == jinja2.nativetypes.NativeEnvironment().from_string(text).render()
    assert templates.render(["5", "x"]) == [5, "x"]


def test_other_marks_are_seen() -> None:
    templates = Templates({"ds": "today"}, options={"variable_start_string": "<<", "variable_end_string": ">>"})
    assert templates.render("<< ds >> {{ ds }}") == "today {{ ds }}"


class Pair(NamedTuple):
    a: str
    b: Any


def test_subclasses_of_containers_are_rendered() -> None:
    templates = Templates({"ds": "today"})
    assert templates.render(Pair("{{ ds }}", ["{{ ds }}"])) == Pair("today", ["today"])
    assert templates.render(OrderedDict(a="{{ ds }}")) == {"a": "today"}
    assert templates.render(defaultdict(list, a="{{ ds }}")) == {"a": "today"}
    assert templates.render(UserListed(["{{ ds }}"])) == ["today"]
    assert templates.render({Pair("{{ ds }}", 1)}) == {Pair("today", 1)}


class UserListed(list[str]):
    pass


class Nested:
    template_fields = ("text", "inner", "empty", "made")

    def __init__(self, text: Any) -> None:
        self.text = text
        self.inner: Any = self
        self.other = text
        self.empty = ""
        self.made = lambda context, jinja_env: jinja_env.from_string(context["ds"] + "!").render()


def test_objects_that_name_their_template_fields_are_rendered_in_place() -> None:
    nested = Nested(["{{ ds }}"])
    assert Templates({"ds": "today"}).render({"a": nested}) == {"a": nested}
    assert (nested.text, nested.other, nested.made) == (["today"], ["{{ ds }}"], "today!")


def test_paths_are_rendered() -> None:
    assert Templates({"ds": "today"}).render(Path("/data/{{ ds }}")) == Path("/data/today")


def test_results_are_taken_as_they_are() -> None:
    result = "".join(["{{ ", "ds }}"])
    templates = Templates({"ds": "today", "ti": Ti(result)}, results=[result])
    with DAG("d"):
        source = EmptyOperator(task_id="source").output
    assert templates.render([result, "{{ ds }}", source, literal("{{ ds }}")]) == [result, "today", result, "{{ ds }}"]


class Ti:
    def __init__(self, result: Any) -> None:
        self.result = result

    def xcom_pull(self, **_: Any) -> Any:
        return self.result


def test_results_in_subclasses_of_containers_and_in_objects_are_found_and_resolved() -> None:
    with DAG("d"):
        source = EmptyOperator(task_id="source").output
    nested = Nested(source)  # which holds itself, too
    for value in (OrderedDict(a=source), Pair("x", source), defaultdict(list, a=source), nested):
        assert list(find_references(value)) == [source]
    assert resolve(OrderedDict(a=source), {"ti": Ti(7)}) == {"a": 7}
    assert resolve(Pair("x", source), {"ti": Ti(7)}) == Pair("x", 7)
    assert Templates({"ti": Ti(7), "ds": ""}).render(nested).text == 7


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
    assert awaits_rendering({"a": ["5"]}, keeps_plain=False)
