"""Reference §4.1: assets that triggers watch, and those that are inactive."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from airdock.clock import ManualClock
from airdock.dag.named_assets import find_clash, first_assets
from airdock.dag.serialized import SerializedDag
from airdock.model.keys import WatchKey
from airdock.scheduler.assets import ActiveAssets
from airdock.scheduler.watching import AssetWatch
from airdock.store.memory import MemoryStore

from .conftest import make_dag, make_task

WATCHER = {"name": "w", "classpath": "mine.Polls", "kwargs": {"path": "/inbox"}}


def asset(name: str, uri: str = "", *watchers: Mapping[str, Any]) -> dict[str, Any]:
    more = {"watchers": list(watchers)} if watchers else {}
    return {"asset": {"name": name, "uri": uri or name, "group": "asset", "extra": {}, **more}}


@dataclass
class Triggers:
    """Runs nothing: says what was asked for, and tells what a test has it tell."""

    running: dict[WatchKey, tuple[Mapping[str, Any], Mapping[str, Any]]] = field(default_factory=dict)
    heard: Callable[[WatchKey, Any], None] = print
    ended: Callable[[WatchKey, str], None] = print

    def attend(self, heard: Callable[[WatchKey, Any], None], ended: Callable[[WatchKey, str], None]) -> None:
        self.heard, self.ended = heard, ended

    def watch(self, key: WatchKey, trigger: Mapping[str, Any], *, loader: Mapping[str, Any]) -> None:
        assert key not in self.running
        self.running[key] = (trigger, loader)

    def unwatch(self, key: WatchKey) -> None:
        del self.running[key]

    def end(self, error: str = "") -> None:
        (key,) = self.running
        del self.running[key]
        self.ended(key, error)


class Server:
    """One of those on a store; `look` is counted."""

    def __init__(self, store: MemoryStore, clock: ManualClock, owner: str, *dags: SerializedDag) -> None:
        self.dags, self.inactive, self.looks = list(dags), set[tuple[str, str]](), 0
        self.triggers, self.clock = Triggers(), clock
        self.duty = AssetWatch(
            store=store,
            dags=lambda: {dag.dag_id: dag for dag in self.dags},
            inactive=lambda: self.inactive,
            open=lambda: self.triggers,
            owner=owner,
            lease_s=10,
            look=self.look,
            clock=clock,
        )

    def look(self) -> None:
        self.looks += 1

    def plan(self) -> float | None:
        return self.duty.plan(self.clock.now())

    @property
    def watched(self) -> list[str]:
        return sorted(key.name for key in self.triggers.running)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(clock: ManualClock) -> MemoryStore:
    return MemoryStore(clock=clock)


def waits_for(condition: Mapping[str, Any], dag_id: str = "d", **fields: Any) -> SerializedDag:
    return make_dag(make_task("t"), dag_id=dag_id, asset_condition=condition, loader={"fileloc": "/d.py"}, **fields)


def test_an_asset_is_watched_while_a_dag_waits_for_it(store: MemoryStore, clock: ManualClock) -> None:
    server = Server(store, clock, "a", waits_for({"all": [asset("one", "", WATCHER), asset("two")]}))
    assert server.plan() == pytest.approx(10 / 3)
    (key,) = server.triggers.running
    assert (key.name, key.uri, key.trigger, key.label) == ("one", "one", "mine.Polls", "Polls of asset 'one'")
    assert server.triggers.running[key] == (WATCHER, {"fileloc": "/d.py"})
    server.plan()
    server.dags = []
    assert server.plan() is None
    assert server.watched == []
    assert Server(store, clock, "b", waits_for(asset("x", "", WATCHER))).plan() is not None


def test_the_watchers_may_be_said_where_the_asset_is_made(store: MemoryStore, clock: ManualClock) -> None:
    maker = make_dag(make_task("t", outlets=(asset("one", "s3://one", WATCHER), asset("two", "", WATCHER))), dag_id="m")
    server = Server(store, clock, "a", maker, waits_for({"asset": {"name": "", "uri": "s3://one"}}))
    server.plan()
    assert server.watched == ["one"]


def test_one_trigger_of_an_asset_runs_once_whoever_waits_and_anew_when_it_changes(
    store: MemoryStore, clock: ManualClock
) -> None:
    condition = asset("one", "", WATCHER)
    server = Server(store, clock, "a", waits_for(condition), waits_for({"any": [condition, condition]}, "e"))
    server.plan()
    assert server.watched == ["one"]
    server.dags = [waits_for(asset("one", "", {**WATCHER, "kwargs": {"path": "/outbox"}}))]
    server.plan()
    assert [trigger["kwargs"] for trigger, _ in server.triggers.running.values()] == [{"path": "/outbox"}]


def test_each_event_is_one_of_the_asset(store: MemoryStore, clock: ManualClock) -> None:
    server = Server(store, clock, "a", waits_for(asset("one", "s3://one", WATCHER)))
    server.plan()
    (key,) = server.triggers.running
    server.triggers.heard(key, {"file": "a"})
    server.triggers.heard(key, True)
    assert server.looks == 2
    assert store.list_events() == []
    server.plan()
    found = [(event.name, event.uri, event.extra, event.at) for event in store.list_events()]
    extras = [{"from_trigger": True, "payload": payload} for payload in ({"file": "a"}, True)]
    assert found == [("one", "s3://one", extra, clock.now()) for extra in extras]
    server.plan()
    assert len(store.list_events()) == 2


def test_a_trigger_that_ended_is_begun_again_and_later_each_time_it_fails(
    store: MemoryStore, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(store, clock, "a", waits_for(asset("one", "", WATCHER)))
    server.plan()
    server.triggers.end()
    assert server.plan() == 1.0
    assert server.watched == []
    clock.advance(timedelta(seconds=1))
    server.plan()
    assert server.watched == ["one"]
    pauses = []
    for _ in range(8):
        server.triggers.end("ValueError: no")
        server.plan()
        pauses.append(0)
        while not server.watched:
            clock.advance(timedelta(seconds=1))
            pauses[-1] += 1
            server.plan()
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    assert "Polls of asset 'one' failed, and is begun again in 1 s: ValueError: no" in caplog.text
    (key,) = server.triggers.running
    server.triggers.heard(key, 1)
    server.triggers.end("ValueError: no")
    assert server.plan() == 1.0


def test_one_server_watches_for_all(store: MemoryStore, clock: ManualClock) -> None:
    dag = waits_for(asset("one", "", WATCHER))
    first, second = Server(store, clock, "a", dag), Server(store, clock, "b", dag)
    first.plan()
    assert second.plan() == pytest.approx(10 / 3)
    assert (first.watched, second.watched) == (["one"], [])
    clock.advance(timedelta(seconds=10))
    second.plan()
    first.plan()
    assert (first.watched, second.watched) == ([], ["one"])
    (key,) = second.triggers.running
    second.triggers.heard(key, 1)
    second.duty.leave()
    first.plan()
    assert (first.watched, second.watched, len(store.list_events())) == (["one"], [], 1)


def test_an_inactive_asset_is_not_watched(store: MemoryStore, clock: ManualClock) -> None:
    server = Server(store, clock, "a", waits_for(asset("one", "", WATCHER)))
    server.inactive = {("one", "one")}
    assert server.plan() is None
    assert server.watched == []


def test_of_one_name_or_address_the_first_is_active(store: MemoryStore, clock: ManualClock) -> None:
    told: list[str] = []
    dags = {"a": make_dag(make_task("t", outlets=(asset("one", "s3://one"),)), dag_id="a")}
    duty = ActiveAssets(store=store, dags=lambda: dags, tell=told.append)
    duty.plan(clock.now())
    assert (duty.inactive, told) == (frozenset(), [])
    dags["b"] = make_dag(make_task("t", inlets=(asset("one", "s3://other"),)), dag_id="b")
    dags["c"] = waits_for({"any": [asset("copy", "s3://one"), {"alias": "x"}, asset("fine")]}, "c")
    duty.plan(clock.now())
    assert duty.inactive == {("one", "s3://other"), ("copy", "s3://one")}
    assert told == [
        "asset 'copy' (s3://one) of c is inactive: the address 's3://one' belongs to the asset with the name 'one'; "
        "tasks that make or use it fail",
        "asset 'one' (s3://other) of b is inactive: the name 'one' belongs to the asset with the address 's3://one'; "
        "tasks that make or use it fail",
    ]
    dags.pop("a")
    duty.plan(clock.now())
    assert (duty.inactive, len(told)) == (frozenset(), 2)
    assert store.list_active_assets() == [("copy", "s3://one"), ("fine", "fine"), ("one", "s3://other")]


def test_of_one_dag_alone_the_first_is_active_too() -> None:
    dag = make_dag(make_task("t", outlets=(asset("one", "s3://one"), asset("one", "s3://other"), asset("two"))))
    assert first_assets(dag) == [("one", "s3://one"), ("two", "two")]
    assert find_clash(("one", "s3://other"), first_assets(dag))
    assert not find_clash(("one", "s3://one"), first_assets(dag))
    assert not find_clash(("three", "s3://three"), first_assets(dag))
