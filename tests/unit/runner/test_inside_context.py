"""What a running task may ask about itself."""

import functools
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from airdock.runner.inside import callbacks
from airdock.runner.inside.connection import Connection
from airdock.runner.inside.context import Context
from airdock.runner.inside.mapping import choose
from airdock.runner.inside.messages import encode

KEY = {"dag_id": "d", "task_id": "t", "run_id": "r", "map_index": -1, "try_number": 2}


class Answers:
    """The channel's side that answers, over a dictionary of values."""

    def __init__(self, values: dict[tuple[str, str, int | None], Any]) -> None:
        self.values = values

    def ask(self, op: str, **fields: Any) -> Any:
        if op == "images":
            return {"t": "sha256:0"}
        if op == "previous_run":
            return None
        if op == "xcom_count":
            found = self.values.get((fields["task_id"], fields["key"], None))
            return None if found is None else len(found)
        if op == "xcom_part":
            return self.values[fields["task_id"], fields["key"], None][fields["start"] : fields["stop"]]
        return self.values.get((fields["task_id"], fields["key"], fields["map_index"]))


def make(logical_date: str | None = "2026-01-02T03:04:05.678Z", **values: Any) -> Context:
    start = {
        "key": KEY,
        "payload": {"params": {"a": 1, "b": 2}},
        "run": {"run_id": "r", "logical_date": logical_date, "conf": {"b": 3}},
    }
    return Context(start, Answers({("other", "return_value", -1): 5, ("mapped", "return_value", None): [1, 2],
                                   ("mapped", "return_value", 1): 2}))  # fmt: skip


def test_times_are_made_from_the_logical_date() -> None:
    context = make()
    assert context["logical_date"] == datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
    assert [context[name] for name in ("ds", "ds_nodash", "ts_nodash")] == ["2026-01-02", "20260102", "20260102T030405"]
    assert context["ts"] == "2026-01-02T03:04:05.678000+00:00"


def test_without_a_logical_date_there_are_no_times() -> None:
    context = make(logical_date=None)
    assert "ds" not in context
    assert context.get("ds", "none") == "none"
    with pytest.raises(KeyError):
        context["ts"]
    assert "ds" not in context.complete()


def test_parameters_are_those_of_the_dag_under_the_runs() -> None:
    assert make()["params"] == {"a": 1, "b": 3}
    assert make()["dag_run"].conf == {"b": 3}


def test_values_of_other_tasks_are_pulled() -> None:
    ti = make()["ti"]
    assert ti.xcom_pull("other") == ti.xcom_pull(task_ids="other", map_indexes=-1) == 5
    assert ti.xcom_pull(task_ids=["other", "nothing"], default=0) == [5, 0]
    assert ti.xcom_pull(task_ids=["mapped", "other"]) == [1, 2, 5]
    assert ti.xcom_pull(task_ids="mapped") == [1, 2]
    assert ti.xcom_pull(task_ids="mapped", map_indexes=1) == 2
    assert ti.xcom_pull(task_ids="mapped", map_indexes=[1, 7], default="d") == [2, "d"]
    assert ti.xcom_pull(key="nothing") is None


def test_values_of_a_mapped_task_are_asked_for_as_they_are_needed() -> None:
    answers = Answers({("many", "return_value", None): list(range(250))})
    asked: list[str] = []
    start = {"key": KEY, "payload": {}, "run": {"run_id": "r"}}

    class Counting:
        def ask(self, op: str, **fields: Any) -> Any:
            asked.append(op)
            return answers.ask(op, **fields)

    values = Context(start, Counting())["ti"].xcom_pull("many")
    assert (len(values), values[-1], values[1:3], values[0]) == (250, 249, [1, 2], 0)
    asked.clear()
    assert list(values) == list(range(250))
    assert asked == ["xcom_part"] * 2  # the first hundred was known
    assert encode({"a": values[:2], "b": Context(start, Counting())["ti"].xcom_pull("many")}).startswith(b'{"a":[0,1]')
    with pytest.raises(IndexError, match="expected an index below 250, found 250"):
        values[250]


def test_skips_are_collected() -> None:
    ti = make()["ti"]
    ti.skip("a")
    ti.skip(["a", ("b", 2)])
    assert ti.skipped == [["a", -1], ["b", 2]]


def test_macros() -> None:
    macros = make()["macros"]
    assert macros.ds_add("2026-02-27", 3) == "2026-03-02"
    assert macros.ds_add("2026-03-02", -3) == "2026-02-27"
    assert macros.ds_format("2026-01-02", "%Y-%m-%d", "%d.%m.%y") == "02.01.26"
    assert macros.datetime(2026, 1, 1) + macros.timedelta(days=1) == datetime(2026, 1, 2)
    assert macros.json.loads("[1]") == [1]
    assert macros.datetime_diff_for_humans(datetime(2026, 1, 1), datetime(2026, 1, 3)) == "2 days before"
    assert 0 <= macros.random() < 1
    assert macros.uuid.UUID(int=0).int == 0
    assert hasattr(macros.dateutil, "__version__")
    with pytest.raises(AttributeError, match="there is no macro 'nothing'"):
        getattr(macros, "nothing")  # noqa: B009  what a template does


def test_macros_of_packages_that_are_not_there_say_where_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("yaml", "babel"):
        monkeypatch.setitem(sys.modules, name, None)
    macros = make()["macros"]
    with pytest.raises(ModuleNotFoundError, match=r"needs PyYAML, .*pip install 'airdock\[airflow\]'"):
        macros.yaml.safe_load("1")
    with pytest.raises(ModuleNotFoundError, match=r"needs Babel, .*pip install 'airdock\[airflow\]'"):
        macros.ds_format_locale("2026-01-02", "%Y-%m-%d", "EEEE", "de")


def test_macros_of_the_packages_of_airflow() -> None:
    pytest.importorskip("yaml")
    pytest.importorskip("babel")
    macros = make()["macros"]
    assert macros.yaml.safe_load("a: 1") == {"a": 1}
    assert macros.ds_format_locale("2026-01-02", "%Y-%m-%d", "EEEE", "de") == "Freitag"


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("postgresql://me:p%40ss@db:5432/sales?sslmode=on", ("postgres", "me", "p@ss", "db", 5432, "sales", "on")),
        (
            '{"conn_type": "http", "host": "h", "extra": {"sslmode": "off"}}',
            ("http", None, None, "h", None, None, "off"),
        ),
    ],
)
def test_connections_are_read(text: str, fields: tuple[object, ...]) -> None:
    found = Connection.parse("db", text)
    parts = (found.conn_type, found.login, found.password, found.host, found.port, found.schema)
    assert (*parts, found.extra_dejson["sslmode"]) == fields
    again = Connection.parse("db", found.get_uri())
    assert (again.host, again.password, again.extra_dejson) == (found.host, found.password, found.extra_dejson)


def test_events_of_assets_are_told_with_the_success() -> None:
    class AssetAlias:
        name = "later"

    context = make()
    context["outlets"] = [{"name": "sales", "uri": "s3://sales"}, AssetAlias()]
    context["outlet_events"]["s3://sales"].extra["rows"] = 5
    context["outlet_events"][AssetAlias()].add({"name": "made", "uri": "s3://made"}, {"n": 1})
    assert context["outlet_events"].events() == [
        {"name": "sales", "uri": "s3://sales", "extra": {"rows": 5}},
        {"name": "made", "uri": "s3://made", "extra": {"n": 1}, "alias": "later"},
    ]


def test_callbacks_are_chosen_by_the_ending() -> None:
    told: list[tuple[str, object]] = []

    class Task:
        on_retry_callback = [lambda context: told.append(("retry", context["exception"]))]
        on_failure_callback = [
            lambda context: 1 / 0,
            lambda context: told.append(("failure", context["reason"])),
        ]
        on_success_callback = staticmethod(lambda context: told.append(("success", context.get("exception"))))

    context, error = make(), ValueError("x")
    failed = {"kind": "failed", "reason": "r", "retryable": True}
    context["ti"].max_tries = 2
    callbacks.after(Task, context, failed, error)
    callbacks.after(Task, context, {**failed, "retryable": False}, error)
    context["ti"].max_tries = 1
    callbacks.after(Task, context, failed, error)
    callbacks.after(Task, make(), {"kind": "succeeded"}, None)
    callbacks.after(Task, make(), {"kind": "skipped", "reason": ""}, error)
    callbacks.after(Task, make(), {"kind": "deferred"}, error)
    assert told == [("retry", error), ("failure", "r"), ("failure", "r"), ("success", None)]


def test_images_are_asked_for_only_when_wanted() -> None:
    context = make()
    assert "images" in context
    assert "images" not in context.complete()
    assert context["images"] == {"t": "sha256:0"}


def test_a_function_gets_what_it_names() -> None:
    context = make()

    def named(x: int, ti: Any, ds: str = "") -> None:
        """Names some."""

    def all_of_it(x: int, **rest: Any) -> None:
        """Takes all."""

    assert set(context.keywords_for(named, [1], {})) == {"ti", "ds"}
    assert context.keywords_for(named, [1], {"ds": "own"})["ds"] == "own"
    assert set(context.keywords_for(named, [1, "mine"], {})) == {"ds"}
    assert {"ti", "ds", "run_id", "params", "prev_start_date_success"} <= set(context.keywords_for(all_of_it, [1], {}))
    assert "images" not in context.keywords_for(all_of_it, [1], {})


def test_wrapped_and_built_in_callables_are_understood() -> None:
    context = make()

    def named(ds: str) -> None:
        """Names one."""

    @functools.wraps(named)
    def wrapper(*args: Any, **kwargs: Any) -> None:
        """Looks like it takes all."""

    class Callable:
        def __call__(self, run_id: str) -> None:
            """Is an object."""

        def method(self, ts: str) -> None:
            """Is bound."""

    assert set(context.keywords_for(wrapper, [], {})) == {"ds"}
    assert set(context.keywords_for(Callable(), [], {})) == {"run_id"}
    assert set(context.keywords_for(Callable().method, [], {})) == {"ts"}
    assert set(context.keywords_for(functools.partial(named), [], {})) == {"ds"}
    assert context.keywords_for(print, ["x"], {}) == {}


def test_the_last_keyword_varies_fastest() -> None:
    values = {"x": [1, 2], "y": {"a": 10, "b": 20}, "z": (True,)}
    chosen = [choose(values, index) for index in range(4)]
    assert [(each["x"], each["y"], each["z"]) for each in chosen] == [
        (1, ("a", 10), True),
        (1, ("b", 20), True),
        (2, ("a", 10), True),
        (2, ("b", 20), True),
    ]
    for index in (4, -1):
        with pytest.raises(IndexError, match=f"no instance with map index {index}"):
            choose(values, index)
    with pytest.raises(IndexError, match="'x' has nothing to expand over"):
        choose({"x": []}, 0)
    with pytest.raises(TypeError, match="expected 'x' to expand over a list or a dict, found int"):
        choose({"x": 5}, 0)
