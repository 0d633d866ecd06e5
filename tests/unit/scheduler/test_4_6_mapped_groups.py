"""Reference §4.6: mapped task groups, what is mapped over, and what becomes of both when a run goes again."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from airdock.model.outcome import Ending, Skipped, Succeeded
from airdock.model.states import RunState, TaskState
from airdock.scheduler.decide import conclude, decide
from airdock.scheduler.events import Settled
from airdock.store.records import Expansion, Instance

from .drive import FAILED, NOW, Drive, key

Make = Callable[..., Any]
S = TaskState
OVER_A = {"g": {"expand": {"x": {"xcom": "a"}}}}
THREE = {"g": {"expand": {"x": {"length": 3}}}}


@pytest.fixture
def pair(make_dag: Make, make_task: Make) -> Any:
    """a; then in a group mapped over it x >> y; then b."""
    return make_dag(
        make_task("a"), make_task("x", "a", map_group="g"), make_task("y", "x", map_group="g"), make_task("b", "y"),
        groups=OVER_A,
    )  # fmt: skip


def test_inner_tasks_pair_by_index(pair: Any) -> None:
    drive = Drive(pair, lengths={"a": {-1: 2}})
    drive.end("a")
    drive.end("x", index=1)
    assert drive.states() == {
        "a": "success", "x[0]": "queued", "x[1]": "success", "y[0]": "none", "y[1]": "queued", "b": "none"
    }  # fmt: skip


def test_a_failure_concerns_its_own_index_and_all_outside(pair: Any) -> None:
    drive = Drive(pair, lengths={"a": {-1: 2}})
    drive.end("a")
    drive.end("x", FAILED, index=0)
    assert drive.states() == {
        "a": "success", "x[0]": "failed", "x[1]": "queued", "y[0]": "upstream_failed", "y[1]": "none",
        "b": "upstream_failed",
    }  # fmt: skip


def test_from_outside_a_group_is_all_of_its_instances(pair: Any) -> None:
    drive = Drive(pair, lengths={"a": {-1: 2}})
    drive.end("a")
    for index in (0, 1):
        assert drive.states()["b"] == "none"
        drive.end("x", index=index)
        drive.end("y", index=index)
    assert drive.states()["b"] == "queued"


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("all_success", "upstream_failed"),
        ("none_failed", "upstream_failed"),
        ("all_failed", "skipped"),
        ("one_failed", "queued"),
        ("one_success", "queued"),
        ("one_done", "queued"),
        ("all_done", "none"),
        ("none_skipped", "none"),
        ("always", "queued"),
    ],
)
def test_rules_outside_count_every_instance(rule: str, expected: str, make_dag: Make, make_task: Make) -> None:
    """One of three failed, one succeeded, one goes on."""
    drive = Drive(make_dag(make_task("x", map_group="g"), make_task("b", "x", trigger_rule=rule), groups=THREE))
    drive.end("x", FAILED, index=0)
    drive.end("x", index=1)
    assert drive.states()["b"] == expected


@pytest.mark.parametrize("rule", ["one_success", "one_failed", "one_done", "none_failed_min_one_success"])
def test_early_rules_inside_wait_for_expansion(rule: str, make_dag: Make, make_task: Make) -> None:
    """What another upstream says early must not run the task as one instance."""
    dag = make_dag(
        make_task("a"), make_task("o"), make_task("x", "a", "o", map_group="g", trigger_rule=rule), groups=OVER_A
    )
    drive = Drive(dag, lengths={"a": {-1: 2}})
    drive.end("o", FAILED if rule == "one_failed" else Succeeded())
    assert drive.states()["x"] == "none"
    drive.end("a")
    assert drive.states() == {"a": "success", "o": drive.states()["o"], "x[0]": "queued", "x[1]": "queued"}


def test_what_is_upstream_of_one_task_inside_concerns_all_its_indexes(make_dag: Make, make_task: Make) -> None:
    dag = make_dag(make_task("o"), make_task("x", map_group="g"), make_task("y", "x", "o", map_group="g"), groups=THREE)
    drive = Drive(dag)
    drive.end("x", index=0)
    assert drive.states()["y[0]"] == "none"
    drive.end("o")
    assert [drive.states()[f"y[{index}]"] for index in range(3)] == ["queued", "none", "none"]


@pytest.mark.parametrize(
    ("ending", "lengths", "expected"),
    [
        (Succeeded(), {-1: 0}, "skipped"),
        (Succeeded(), {}, "upstream_failed"),
        (Skipped(), {}, "skipped"),
        (FAILED, {}, "upstream_failed"),
    ],
)
def test_zero_length_and_bad_upstream_settle_the_group(
    ending: Ending, lengths: dict[int, int | None], expected: str, pair: Any
) -> None:
    drive = Drive(pair, lengths={"a": lengths})
    drive.end("a", ending)
    assert [drive.states()[name] for name in ("x", "y", "b")] == [expected] * 3


def test_an_inner_task_that_waits_for_nobody_inside_looks_at_the_length(make_dag: Make, make_task: Make) -> None:
    dag = make_dag(
        make_task("a"), make_task("x", "a", map_group="g"),
        make_task("y", "x", map_group="g", trigger_rule="always"), groups=OVER_A,
    )  # fmt: skip
    drive = Drive(dag, lengths={"a": {-1: 2}})
    drive.end("a")
    assert drive.states() == {"a": "success", **dict.fromkeys(["x[0]", "x[1]", "y[0]", "y[1]"], "queued")}


def test_a_branch_inside_skips_its_own_index(make_dag: Make, make_task: Make) -> None:
    dag = make_dag(make_task("x", map_group="g"), make_task("y", "x", map_group="g"), groups=THREE)
    drive = Drive(dag)
    drive.end("x", Succeeded(skip=(("y", 1),)), index=1)
    drive.end("x", index=0)
    assert [drive.states()[f"y[{index}]"] for index in range(3)] == ["queued", "skipped", "none"]


# A run goes again


def cleared(drive: Drive, *task_ids: str) -> list[Instance]:
    rows = drive.rows()
    return [replace(row, state=S.NONE) if row.key.task_id in task_ids else row for row in rows]


@pytest.fixture
def mapped(make_dag: Make, make_task: Make) -> Any:
    return make_dag(make_task("a"), make_task("m", "a", expand={"x": {"xcom": "a"}}), make_task("b", "m"))


@pytest.mark.parametrize(
    ("length", "states"),
    [
        (3, {"m[0]": "queued", "m[1]": "queued", "m[2]": "queued"}),
        (2, {"m[0]": "queued", "m[1]": "queued", "m[2]": "removed"}),
        (5, {f"m[{index}]": "queued" for index in range(5)}),
    ],
)
def test_a_rerun_has_as_many_as_it_asks_for(length: int, states: dict[str, str], mapped: Any) -> None:
    lengths: dict[str, dict[int, int | None]] = {"a": {-1: 3}}
    first = Drive(mapped, lengths=lengths)
    first.end("a")
    for index in range(3):
        first.end("m", index=index)
    first.end("b")
    again = Drive(mapped, lengths=lengths, rows=cleared(first, "a", "m", "b"))
    lengths["a"] = {-1: length}
    again.end("a")
    assert {label: state for label, state in again.states().items() if label.startswith("m")} == states
    for label, state in states.items():
        if state == "queued":
            again.end("m", index=int(label[2:-1]))
    again.end("b")  # removed instances are excused
    end = conclude(again.view, NOW)
    assert end is not None and end.target is RunState.SUCCESS


def test_a_rerun_with_none_removes_all(mapped: Any) -> None:
    lengths: dict[str, dict[int, int | None]] = {"a": {-1: 1}}
    first = Drive(mapped, lengths=lengths)
    first.end("a")
    first.end("m", index=0)
    again = Drive(mapped, lengths=lengths, rows=cleared(first, "a", "m", "b"))
    lengths["a"] = {-1: 0}
    again.end("a")
    assert again.states()["m[0]"] == "removed"


def test_a_rerun_whose_upstream_fails_removes_none(mapped: Any) -> None:
    first = Drive(mapped, lengths={"a": {-1: 2}})
    first.end("a")
    again = Drive(mapped, rows=cleared(first, "a", "m"))
    again.end("a", FAILED)
    assert again.states() == {"a": "failed", **dict.fromkeys(["m[0]", "m[1]", "b"], "upstream_failed")}


def test_a_group_in_a_rerun_grows_and_shrinks(pair: Any) -> None:
    lengths: dict[str, dict[int, int | None]] = {"a": {-1: 2}}
    first = Drive(pair, lengths=lengths)
    first.end("a")
    for index in (0, 1):
        first.end("x", index=index)
        first.end("y", index=index)
    rows = cleared(first, "a", "x", "y", "b")
    grown, shrunk = Drive(pair, lengths=lengths, rows=rows), Drive(pair, lengths=lengths, rows=rows)
    lengths["a"] = {-1: 3}
    grown.end("a")
    grown.end("x", index=2)
    assert (grown.states()["x[2]"], grown.states()["y[2]"]) == ("success", "queued")
    lengths["a"] = {-1: 1}
    shrunk.end("a")
    shrunk.end("x", index=0)
    assert shrunk.states() == {
        "a": "success", "x[0]": "success", "x[1]": "removed", "y[0]": "queued", "y[1]": "removed", "b": "none"
    }  # fmt: skip


def test_one_index_begins_again_alone(mapped: Any) -> None:
    lengths: dict[str, dict[int, int | None]] = {"a": {-1: 2}}
    first = Drive(mapped, lengths=lengths)
    first.end("a")
    first.end("m", FAILED, index=0)
    first.end("m", index=1)
    rows = [replace(row, state=S.NONE) if row.key in (key("m", 0), key("b")) else row for row in first.rows()]
    again = Drive(mapped, lengths=lengths, rows=rows)
    assert again.states() == {"a": "success", "m[0]": "queued", "m[1]": "success", "b": "none"}
    member = again.view.member(key("m", 0))
    assert member is not None and member.try_number == 2


# What it costs


class Counting:
    """A view that counts what it is asked."""

    def __init__(self, view: Any) -> None:
        self._view, self.count = view, 0

    def __getattr__(self, name: str) -> Any:
        self.count += 1
        return getattr(self._view, name)


@pytest.mark.parametrize("size", [100, 100_000])
def test_an_ending_inside_costs_the_same_whatever_the_length(size: int, make_dag: Make, make_task: Make) -> None:
    dag = make_dag(
        make_task("x", map_group="g"), make_task("y", "x", map_group="g"), make_task("b", "y"),
        groups={"g": {"expand": {"x": {"length": size // 2}}}},
    )  # fmt: skip
    drive = Drive(dag)
    drive.end("x", index=7)
    drive.end("y", index=7)
    for task_id in ("x", "y"):
        counting = Counting(drive.view)
        decide(counting, Settled(key=key(task_id, 7)), NOW)  # type: ignore[arg-type]
        assert counting.count <= 16, task_id


def test_as_many_as_there_are_is_asked_once(pair: Any) -> None:
    lengths: dict[str, dict[int, int | None]] = {"a": {-1: 3}}
    first = Drive(pair, lengths=lengths)
    first.end("a")
    again = Drive(pair, lengths=lengths, rows=cleared(first, "x", "y"))
    asked = [action for action in again.end("x", index=0) if isinstance(action, Expansion)]
    assert asked == []
