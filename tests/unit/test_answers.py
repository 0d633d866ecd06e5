"""What running tasks ask beyond XComs, answered from the store."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airdock.answers import StoreTaskApi
from airdock.clock import ManualClock
from airdock.dag.serialized import SerializedDag, SerializedTask
from airdock.errors import InactiveAssetError, RunnerError
from airdock.model.keys import RunKey, TaskKey, TryKey
from airdock.model.states import RunState, TaskState
from airdock.runner.requests import answer
from airdock.secrets.cipher import Cipher
from airdock.secrets.vault import Vault
from airdock.store.memory import MemoryStore
from airdock.store.records import AssetEvent, Instance, Run

AT = datetime(2026, 1, 1, tzinfo=UTC)
DAG = SerializedDag(dag_id="d", fileloc="/d.py", tasks=(SerializedTask(task_id="t", operator="python"),))
KEY = TryKey(dag_id="d", run_id="r", task_id="t")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(at=AT)


@pytest.fixture
def store(clock: ManualClock) -> MemoryStore:
    made = MemoryStore(clock=clock)
    made.save_dag("x", dag_id="d", body=DAG.to_dict())
    return made


@pytest.fixture
def api(store: MemoryStore, tmp_path: Path) -> StoreTaskApi:
    return StoreTaskApi(store=store, vault=Vault(store=store, cipher=Cipher(tmp_path / "key"), environ={}))


def ask(api: StoreTaskApi, op: str, who: TryKey = KEY, /, **fields: Any) -> Any:
    """As a runner asks."""
    answered = answer(api, who, {"id": 1, "op": op, **fields})
    assert answered["ok"], answered
    return answered["value"]


def refused(api: StoreTaskApi, op: str, **fields: Any) -> str:
    answered = answer(api, KEY, {"id": 1, "op": op, **fields})
    assert not answered["ok"], answered
    return str(answered["error"])


def test_variables_are_set_got_and_deleted(api: StoreTaskApi) -> None:
    ask(api, "set_variable", name="v", value="1", description="one")
    assert ask(api, "variable", name="v") == "1"
    ask(api, "delete_variable", name="v")
    ask(api, "delete_variable", name="v")
    assert ask(api, "variable", name="v") is None
    assert "expected value to be text" in refused(api, "set_variable", name="v", value=1)


def test_connections_come_with_their_fields(api: StoreTaskApi, store: MemoryStore, tmp_path: Path) -> None:
    Vault(store=store, cipher=Cipher(tmp_path / "key"), environ={}).set_connection("db", "mysql://a:b@c/d")
    assert ask(api, "connection", conn_id="db")["password"] == "b"
    assert ask(api, "connection", conn_id="none") is None


def test_states_of_a_task_outlive_its_tries(api: StoreTaskApi) -> None:
    ask(api, "state_set", key="job", value={"id": 1})
    ask(api, "state_set", key="none", value=None)
    later = TryKey(dag_id="d", run_id="r", task_id="t", try_number=3)
    assert ask(api, "state_get", key="job") == {"value": {"id": 1}}
    assert answer(api, later, {"id": 1, "op": "state_get", "key": "job"})["value"] == {"value": {"id": 1}}
    assert ask(api, "state_get", key="none") == {"value": None}
    other = TryKey(dag_id="d", run_id="r", task_id="t", map_index=0)
    assert answer(api, other, {"id": 1, "op": "state_get", "key": "job"})["value"] is None
    ask(api, "state_delete", key="job")
    assert ask(api, "state_get", key="job") is None
    ask(api, "state_delete", key=None)
    assert ask(api, "state_get", key="none") is None


def test_states_end_when_their_time_is_over(api: StoreTaskApi, clock: ManualClock) -> None:
    ask(api, "state_set", key="short", value=1, keep_s=60)
    assert ask(api, "state_get", key="short") == {"value": 1}
    clock.advance(timedelta(seconds=61))
    assert ask(api, "state_get", key="short") is None
    assert "expected keep_s" in refused(api, "state_set", key="short", value=1, keep_s="long")


def test_states_of_an_asset_are_everybodys(api: StoreTaskApi) -> None:
    asset = {"name": "orders", "uri": "s3://orders"}
    ask(api, "state_set", key="mark", value=5, asset=asset)
    elsewhere = TryKey(dag_id="e", run_id="s", task_id="u")
    assert answer(api, elsewhere, {"id": 1, "op": "state_get", "key": "mark", "asset": asset})["value"] == {"value": 5}
    assert ask(api, "state_get", key="mark") is None


def test_events_of_an_asset_are_chosen(api: StoreTaskApi, store: MemoryStore) -> None:
    source = TaskKey(dag_id="d", run_id="r", task_id="t")
    days = [AT + timedelta(days=number) for number in range(3)]
    store.add_events([AssetEvent(name="a", uri="u", at=at, extra={"n": n}, source=source) for n, at in enumerate(days)])
    store.add_events([AssetEvent(name="b", uri="v", at=AT, alias="al")])
    events = ask(api, "asset_events", name="a")
    assert [each["extra"]["n"] for each in events] == [0, 1, 2]
    assert events[0]["source_task_id"] == "t"
    assert events[0]["timestamp"] == AT.isoformat()
    newest = ask(api, "asset_events", uri="u", ascending=False, limit=1)
    assert [each["extra"]["n"] for each in newest] == [2]
    some = ask(api, "asset_events", name="a", after=days[1].isoformat(), before=days[1].isoformat())
    assert [each["extra"]["n"] for each in some] == [1]
    assert [each["name"] for each in ask(api, "asset_events", alias="al")] == ["b"]
    assert "expected limit" in refused(api, "asset_events", name="a", limit="x")
    assert "expected after in ISO 8601" in refused(api, "asset_events", name="a", after="soon")


def test_the_run_before_comes_with_its_interval(api: StoreTaskApi, store: MemoryStore) -> None:
    for day, state in ((1, RunState.SUCCESS), (2, RunState.FAILED), (3, RunState.RUNNING)):
        date = AT + timedelta(days=day)
        key = RunKey(dag_id="d", run_id=f"r{day}")
        run = Run(
            key=key, state=state, dag_digest="x", created=AT, logical_date=date, run_type="scheduled",
            interval_start=date - timedelta(days=1), interval_end=date,
        )  # fmt: skip
        store.create_run(run, [Instance(key=TaskKey(dag_id="d", run_id=key.run_id, task_id="t"))])
    newest = TryKey(dag_id="d", run_id="r3", task_id="t")
    assert ask(api, "previous_run", newest)["run_id"] == "r2"
    before = ask(api, "previous_run", newest, state="success")
    assert (before["run_id"], before["run_type"], before["data_interval_start"]) == ("r1", "scheduled", AT.isoformat())
    assert before["data_interval_end"] == (AT + timedelta(days=1)).isoformat()


def test_runs_are_triggered_as_the_task_wants(store: MemoryStore) -> None:
    asked: list[Any] = []

    def trigger(dag_id: str, wanted: Any) -> dict[str, Any]:
        asked.append((dag_id, dict(wanted)))
        return {"run_id": "made"}

    api = StoreTaskApi(store=store, trigger=trigger)
    assert ask(api, "trigger_run", dag_id="e", conf={"a": 1}, logical_date=None, reset=True) == {"run_id": "made"}
    assert asked == [("e", {"conf": {"a": 1}, "logical_date": None, "reset": True, "refuse_paused": False})]
    assert "expected run_after in ISO 8601" in refused(api, "trigger_run", dag_id="e", run_after="soon")
    assert "expected conf to be an object" in refused(api, "trigger_run", dag_id="e", conf=[1])
    with pytest.raises(RunnerError, match="can't be started from here"):
        StoreTaskApi(store=store).trigger_run(KEY, dag_id="e", wanted={})


def _assets(dag_id: str, *assets: tuple[str, str]) -> SerializedDag:
    outlets = tuple({"asset": {"name": name, "uri": uri}} for name, uri in assets)
    task = SerializedTask(task_id="t", operator="python", outlets=outlets)
    return SerializedDag(dag_id=dag_id, fileloc="/d.py", tasks=(task,))


def test_a_task_needs_its_assets_to_be_active(store: MemoryStore) -> None:
    dag = _assets("d", ("one", "s3://one"), ("one", "s3://other"))
    store.save_dag("y", dag_id="d", body=dag.to_dict())
    store.create_run(Run(key=KEY.task.run, state=RunState.RUNNING, dag_digest="y", created=AT), [])
    store.keep_assets([("two", "s3://one")])
    alone, served = StoreTaskApi(store=store), StoreTaskApi(store=store, serves=lambda: True)
    alone.check_assets(KEY, [("one", "s3://one")])
    with pytest.raises(InactiveAssetError, match=r"'one' \(s3://other\), which isn't: the name 'one' belongs to"):
        alone.check_assets(KEY, [("one", "s3://one"), ("one", "s3://other")])
    served.check_assets(KEY, [("two", "s3://one"), ("unheard", "of")])
    with pytest.raises(InactiveAssetError, match="the address 's3://one' belongs to the asset with the name 'two'"):
        served.check_assets(KEY, [("one", "s3://one")])


def test_what_others_are_mapped_over_is_not_too_long(store: MemoryStore) -> None:
    run = Run(key=KEY.task.run, state=RunState.RUNNING, dag_digest="x", created=AT)
    store.create_run(run, [Instance(key=KEY.task, state=TaskState.RUNNING, try_number=1)])
    api = StoreTaskApi(store=store, max_map_length=2)
    ask(api, "xcom_put", key="return_value", value=[1, 2], is_mapped_over=True)
    said = refused(api, "xcom_put", key="return_value", value=[1, 2, 3], is_mapped_over=True)
    assert "expected at most 2 values, found 3 (the setting core.max_map_length)" in said
    ask(api, "xcom_put", key="return_value", value=[1, 2, 3])
