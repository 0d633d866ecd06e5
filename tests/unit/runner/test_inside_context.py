"""What a running task may ask about itself."""

import functools
from datetime import UTC, datetime
from typing import Any

import pytest

from airdock.runner.inside.context import Context
from airdock.runner.inside.mapping import choose

KEY = {"dag_id": "d", "task_id": "t", "run_id": "r", "map_index": -1, "try_number": 2}


class Answers:
    """The channel's side that answers, over a dictionary of values."""

    def __init__(self, values: dict[tuple[str, str, int | None], Any]) -> None:
        self.values = values

    def ask(self, op: str, **fields: Any) -> Any:
        if op == "images":
            return {"t": "sha256:0"}
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
    assert ti.xcom_pull(task_ids="mapped") == [1, 2]
    assert ti.xcom_pull(task_ids="mapped", map_indexes=1) == 2
    assert ti.xcom_pull(task_ids="mapped", map_indexes=[1, 7], default="d") == [2, "d"]
    assert ti.xcom_pull(key="nothing") is None


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
    assert {"ti", "ds", "run_id", "params"} <= set(context.keywords_for(all_of_it, [1], {}))
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
