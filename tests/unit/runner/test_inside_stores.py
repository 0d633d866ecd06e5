"""What a task keeps between its tries and with assets, and the events that it reads (reference 4.7)."""

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from airdock.runner.inside import assets
from airdock.runner.inside.context import Context
from airdock.runner.inside.values import NotJsonError

KEY = {"dag_id": "d", "task_id": "t", "run_id": "r", "map_index": -1, "try_number": 1}


class Answers:
    """Keeps states as the store does, by scope and name."""

    def __init__(self) -> None:
        self.states: dict[tuple[str, str], Any] = {}
        self.asked: list[dict[str, Any]] = []

    def ask(self, op: str, **fields: Any) -> Any:
        self.asked.append({"op": op, **fields})
        scope = str(fields.get("asset"))
        match op:
            case "state_set":
                self.states[scope, fields["key"]] = fields["value"]
            case "state_get" if (scope, fields["key"]) in self.states:
                return {"value": self.states[scope, fields["key"]]}
            case "state_delete":
                gone = [each for each in self.states if each[0] == scope and fields["key"] in (None, each[1])]
                for each in gone:
                    del self.states[each]
            case "asset_events":
                return [
                    {"name": "a", "uri": "u", "extra": {"n": n}, "timestamp": "2026-01-01T00:00:00Z"} for n in (1, 2)
                ]
        return None


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def context(answers: Answers) -> Context:
    made = Context({"key": KEY, "payload": {}, "run": {"run_id": "r"}}, answers)
    made["inlets"] = [SimpleNamespace(name="orders", uri="s3://orders")]
    return made


def test_events_that_made_the_run_are_found_by_asset_and_by_alias(answers: Answers) -> None:
    told = [{"name": "a", "uri": "u", "alias": "al"}, {"name": "a", "uri": "u"}, {"name": "b", "uri": "v"}]
    run = {"run_id": "r", "asset_events": [{**each, "timestamp": "2026-01-01T00:00:00Z"} for each in told]}
    found = Context({"key": KEY, "payload": {}, "run": run}, answers)["triggering_asset_events"]
    assert {each.name: len(events) for each, events in found.items()} == {"a": 2, "al": 1, "b": 1}
    assert (len(found["a"]), len(found["al"]), len(found["v"])) == (2, 1, 1)


def test_a_task_keeps_values_by_name(context: Context, answers: Answers) -> None:
    store = context["task_state_store"]
    assert store.get("job", default="none") == "none"
    store.set("job", {"id": 1}, retention=timedelta(minutes=1))
    assert answers.asked[-1]["keep_s"] == 60.0
    assert store.get("job") == {"id": 1}
    store.set("nothing", None)
    assert store.get("nothing", default="other") is None
    store.delete("job")
    assert store.get("job") is None
    store.clear()
    assert answers.states == {}
    with pytest.raises(NotJsonError, match="what task 't' keeps as 'bad' isn't JSON"):
        store.set("bad", object())


def test_coroutines_have_their_own_words(context: Context) -> None:
    async def work() -> Any:
        store = context["task_state_store"]
        await store.aset("a", 1)
        before = await store.aget("a")
        await store.adelete("a")
        return before, await store.aget("a", 2)

    assert asyncio.run(work()) == (1, 2)


def test_an_asset_keeps_values_for_all_who_ask(context: Context, answers: Answers) -> None:
    state = context["asset_state_store"]
    state[SimpleNamespace(name="orders", uri="s3://orders")].set("watermark", 5)
    assert answers.asked[-1]["asset"] == {"name": "orders", "uri": "s3://orders"}
    assert state["orders"].get("watermark") == 5
    assert state.get("watermark") == 5
    assert state.for_asset(uri="other").get("watermark") is None


def test_events_of_inlets_are_read_when_they_are_looked_at(context: Context, answers: Answers) -> None:
    events = context["inlet_events"]["orders"]
    assert answers.asked == []
    assert [each.extra["n"] for each in events] == [1, 2]
    assert events[-1].extra == {"n": 2}
    assert len(events[:1]) == 1
    assert answers.asked == [{"op": "asset_events", "name": "orders", "uri": "s3://orders"}]
    list(context["inlet_events"].for_asset_alias("al").after(datetime(2026, 1, 1, tzinfo=UTC)).limit(1))
    assert answers.asked[-1] == {
        "op": "asset_events", "alias": "al", "after": "2026-01-01T00:00:00+00:00", "limit": 1,
    }  # fmt: skip


def test_what_a_function_yields_goes_with_the_events_of_its_outlets(
    context: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    outlet = SimpleNamespace(name="out", uri="s3://out")
    context["outlets"] = [outlet]

    def work() -> Any:
        yield SimpleNamespace(asset=outlet, extra={"rows": 1}, alias=None)
        yield 5
        return "value"

    assert assets.exhaust(work(), context) == "value"  # type: ignore[no-untyped-call]
    assert context["outlet_events"].events() == [{"name": "out", "uri": "s3://out", "extra": {"rows": 1}}]
    assert "5 isn't Metadata" in capsys.readouterr().err
