"""Reference 4.1, assets: what DAGs wait for, what tasks read and make, and functions that make an asset."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from airdock.dag.asset_function import AssetOperator
from airdock.dag.assets import (
    Asset,
    AssetAlias,
    AssetAll,
    AssetAny,
    AssetWatcher,
    Dataset,
    Metadata,
    condition_of,
    is_asset,
    list_assets,
)
from airdock.dag.load import load_dag_file
from airdock.dag.serialized import SerializedDag
from airdock.errors import DagError
from airdock.runner.inside import standin_assets
from airdock.runner.inside.assets import exhaust, outlet_events
from airdock.runner.inside.wire import unpack

Load = Callable[[str], SerializedDag]

HEAD = "from airflow.sdk import DAG, Asset, AssetAlias, AssetOrTimeSchedule, CronTriggerTimetable, asset, task\n"
TASK = "\n    @task\n    def t(): ...\n    t()\n"


def asset(name: str, uri: str = "", group: str = "asset") -> dict[str, Any]:
    return {"asset": {"name": name, "uri": uri or name, "group": group, "extra": {}}}


def test_name_and_uri_stand_for_each_other() -> None:
    assert Asset("a").to_json() == asset("a")
    assert Asset(uri="s3://a").to_json() == asset("s3://a")
    assert Asset("a", uri="s3://a", group="g", extra={"k": 1}).to_json() == {
        "asset": {"name": "a", "uri": "s3://a", "group": "g", "extra": {"k": 1}}
    }
    assert Dataset("s3://a", extra={"k": 1}).to_json()["asset"] == {
        "name": "s3://a", "uri": "s3://a", "group": "dataset", "extra": {"k": 1},
    }  # fmt: skip
    assert Asset("a") == Asset("a", extra={"k": 1})
    assert len({Asset("a"), Asset("a"), Asset("a", uri="b")}) == 2


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Asset(), "needs a name or a uri"),
        (lambda: Asset(" "), "a text of 1 to 1500 characters"),
        (lambda: Asset("a" * 1501), "a text of 1 to 1500 characters"),
        (lambda: Asset("ä"), "to be ASCII"),
        (lambda: Asset(uri="airflow://a"), "reserved"),
        (lambda: AssetAlias(""), "a text of 1 to 1500 characters"),
        (lambda: Asset.ref(), "either name= or uri="),
        (lambda: Asset("a") & "b", "expected an asset beside &"),
        (lambda: Asset("a", extra={"k": object()}).to_json(), "expected the extra of asset 'a' to be JSON"),
    ],
)
def test_what_is_none(make: Callable[[], Any], says: str) -> None:
    with pytest.raises(DagError, match=says):
        make()


def test_conditions() -> None:
    a, b, c = Asset("a"), Asset("b"), AssetAlias("c")
    assert (a & b & c).to_json() == {"all": [asset("a"), asset("b"), {"alias": "c"}]}
    assert (a | b | c).to_json() == {"any": [asset("a"), asset("b"), {"alias": "c"}]}
    assert (a & (b | c)).to_json() == {"all": [asset("a"), {"any": [asset("b"), {"alias": "c"}]}]}
    assert ((a | b) & c).to_json() == {"all": [{"any": [asset("a"), asset("b")]}, {"alias": "c"}]}
    assert condition_of([a, b]) == AssetAll(a, b).to_json()
    assert [each.to_json() for each in AssetAny(a, AssetAll(b, c)).members()] == [
        asset("a"), asset("b"), {"alias": "c"},
    ]  # fmt: skip
    assert [is_asset(each) for each in (a, c, [a], a | b, [], ["a"], "a", None)] == [True] * 4 + [False] * 4


@pytest.mark.parametrize(
    ("schedule", "condition", "timetable"),
    [
        ("Asset('a')", asset("a"), {"type": "asset"}),
        ("[Asset('a'), AssetAlias('b')]", {"all": [asset("a"), {"alias": "b"}]}, {"type": "asset"}),
        ("Asset('a') | Asset('b')", {"any": [asset("a"), asset("b")]}, {"type": "asset"}),
        (
            "AssetOrTimeSchedule(timetable=CronTriggerTimetable('0 1 * * *', timezone='UTC'), assets=[Asset('a')])",
            {"all": [asset("a")]},
            {
                "type": "asset_or_time",
                "timetable": {"type": "cron", "expression": "0 1 * * *", "timezone": "UTC"},
            },
        ),
        ("None", None, {"type": "none"}),
    ],
)
def test_as_a_schedule(load: Load, schedule: str, condition: Any, timetable: Any) -> None:
    found = load(f"{HEAD}\nwith DAG('d', schedule={schedule}):{TASK}")
    assert (found.asset_condition, found.timetable) == (condition, timetable)


def test_inlets_and_outlets(load: Load) -> None:
    found = load(f"""{HEAD}
with DAG("d"):
    @task(inlets=[Asset("a")], outlets=[Asset("b") | Asset("c"), AssetAlias("d")])
    def t(): ...
    t()
    @task(outlets=Asset("e"))
    def u(): ...
    u()
""")
    t, u = found.tasks
    assert (t.inlets, t.outlets) == ((asset("a"),), (asset("b"), asset("c"), {"alias": "d"}))
    assert (u.inlets, u.outlets) == ((), (asset("e"),))
    with pytest.raises(DagError, match="expected outlets to be assets, found str 'a'"):
        list_assets(["a"], "outlets", "f:1")


def test_names_of_airflow_2(load: Load) -> None:
    found = load(
        "from airflow import DAG, Dataset\nfrom airflow.datasets import DatasetAll, DatasetAlias\n"
        "from airflow.datasets.metadata import Metadata\n"
        "from airflow.timetables.datasets import DatasetOrTimeSchedule\n"
        "from airflow.timetables.trigger import CronTriggerTimetable\nfrom airflow.decorators import task\n"
        "s = DatasetOrTimeSchedule(timetable=CronTriggerTimetable('@daily', timezone='UTC'), datasets=[Dataset('a')])\n"
        f"with DAG('d', schedule=s):{TASK}"
    )
    assert found.asset_condition == {"all": [asset("a", group="dataset")]}


def test_a_watcher_names_its_trigger() -> None:
    class Trigger:
        def serialize(self) -> tuple[str, dict[str, Any]]:
            return "a.Trigger", {"path": "/x", "wait": timedelta(seconds=3)}

    made = Asset("a", watchers=[AssetWatcher(name="w", trigger=Trigger())])
    (told,) = made.to_json()["asset"]["watchers"]
    assert (told["name"], told["classpath"]) == ("w", "a.Trigger")
    assert unpack(json.loads(json.dumps(told["kwargs"]))) == {"path": "/x", "wait": timedelta(seconds=3)}


def test_metadata() -> None:
    assert Metadata(Asset("a")).extra == {}
    assert Metadata(Asset("a"), {"k": 1}, alias=AssetAlias("b")).alias == AssetAlias("b")


FUNCTIONS = f"""{HEAD}
@asset(uri="s3://raw", schedule="@daily", group="g")
def raw(): ...

@asset(schedule=raw, name="named", dag_id="other", dag_display_name="Other", tags=["x"])
def cooked(self, context, outlet_events, raw, more=3):
    "What it does."
    return [self.name, context["run_id"], raw.name, more]

@asset.multi(schedule=None, outlets=[Asset("one"), Asset("two")])
def several(): ...
"""


def test_functions_that_make_assets(tmp_path: Path) -> None:
    (tmp_path / "f.py").write_text(FUNCTIONS)
    raw, cooked, several = load_dag_file(tmp_path / "f.py")
    assert (raw.dag_id, raw.schedule, [each.task_id for each in raw.tasks]) == ("raw", "@daily", ["raw"])
    assert raw.tasks[0].outlets == (asset("raw", "s3://raw", "g"),)
    assert (cooked.dag_id, cooked.display_name, cooked.tags) == ("other", "Other", ("x",))
    assert cooked.asset_condition == asset("raw", "s3://raw", "g")
    assert cooked.doc == "What it does."
    (task,) = cooked.tasks
    assert (task.task_id, task.operator, task.outlets) == ("cooked", "@asset", (asset("named"),))
    assert task.inlets == ({"asset": {"name": "raw", "uri": ""}},)
    assert several.tasks[0].outlets == (asset("one"), asset("two"))


def test_what_such_a_function_gets() -> None:
    def cooked(self: Any, context: Any, outlet_events: Any, raw: Any, more: int = 3) -> list[Any]:
        return [self, context["run_id"], outlet_events, raw.name, more]

    made = AssetOperator(task_id="t", python_callable=cooked, definition="the definition")
    assert made.execute({"run_id": "r", "outlet_events": "out"}) == ["the definition", "r", "out", "raw", 3]


def test_it_gets_the_asset_as_its_file_defines_it() -> None:
    defined = Asset("with_a_uri", uri="s3://x")
    made = AssetOperator(task_id="t", python_callable=lambda with_a_uri, other: (with_a_uri, other.uri))
    assert made.execute({}) == (defined, "other")


def test_mistakes_in_such_functions(tmp_path: Path) -> None:
    (tmp_path / "f.py").write_text(f"{HEAD}\n@asset.multi(schedule=None, outlets=[])\ndef f(): ...\n")
    with pytest.raises(DagError, match=r"expected @asset\.multi to have outlets"):
        load_dag_file(tmp_path / "f.py")
    (tmp_path / "f.py").write_text(f"{HEAD}\n@asset(schedule=None, shedule=1)\ndef f(): ...\n")
    with pytest.raises(DagError, match="@asset takes no argument 'shedule'"):
        load_dag_file(tmp_path / "f.py")


def test_where_the_file_is_not_the_runner_is_told_of_assets(load: Load) -> None:
    plain, away = load(f"""{HEAD}
with DAG("d"):
    for name, needs in (("plain", None), ("away", [])):
        @task(task_id=name, requirements=needs, inlets=[Asset("a")], outlets=[Asset("b"), AssetAlias("c")])
        def t(): ...
        t()
""").tasks
    assert "outlets" not in plain.payload
    assert away.payload["inlets"] == [asset("a")]
    assert away.payload["outlets"] == [asset("b"), {"alias": "c"}]


def test_a_function_there_says_what_it_made() -> None:
    context: dict[str, Any] = {"outlets": [asset("b", "s3://b"), {"alias": "c"}]}
    context["outlet_events"] = events = outlet_events(context)

    def work() -> Any:
        yield standin_assets.Metadata(standin_assets.Asset("b"), {"rows": 3})
        yield standin_assets.Metadata(standin_assets.Dataset("s3://d"), {}, standin_assets.AssetAlias("c"))
        events["b"].extra["more"] = 1
        return "result"

    assert exhaust(work(), context) == "result"
    assert events.events() == [
        {"name": "b", "uri": "s3://b", "extra": {"rows": 3, "more": 1}},
        {"name": "s3://d", "uri": "s3://d", "extra": {}, "alias": "c"},
    ]
