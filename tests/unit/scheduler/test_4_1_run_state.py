"""Reference §4.1: how a run ends, by how its effective leaves did."""

from collections.abc import Callable
from typing import Any

from airdock.model.outcome import Skipped
from airdock.model.states import RunState, TaskState
from airdock.scheduler.decide import conclude
from airdock.store.records import Instance

from .drive import FAILED, NOW, Drive, key

Make = Callable[..., Any]
S = TaskState


def end_of(drive: Drive) -> RunState | None:
    found = conclude(drive.view, NOW)
    return found.target if found else None


def test_a_failed_leaf_fails_the_run(make_dag: Make, make_task: Make) -> None:
    drive = Drive(make_dag(make_task("a"), make_task("b")))
    drive.end("a")
    assert end_of(drive) is None
    drive.end("b", FAILED)
    assert end_of(drive) is RunState.FAILED


def test_an_upstream_failed_leaf_fails_the_run(make_dag: Make, make_task: Make) -> None:
    drive = Drive(make_dag(make_task("a"), make_task("b", "a")))
    drive.end("a", FAILED)
    assert drive.states()["b"] == "upstream_failed"
    assert end_of(drive) is RunState.FAILED


def test_success_and_skipped_leaves_are_a_success(make_dag: Make, make_task: Make) -> None:
    drive = Drive(make_dag(make_task("a"), make_task("b")))
    drive.end("a", Skipped())
    drive.end("b")
    assert end_of(drive) is RunState.SUCCESS


def test_a_failure_that_is_no_leaf_may_be_made_up_for(make_dag: Make, make_task: Make) -> None:
    drive = Drive(make_dag(make_task("a"), make_task("b", "a", trigger_rule="all_done")))
    drive.end("a", FAILED)
    drive.end("b")
    assert end_of(drive) is RunState.SUCCESS


def test_what_only_teardowns_follow_is_a_leaf(make_dag: Make, make_task: Make) -> None:
    dag = make_dag(make_task("a"), make_task("t", "a", is_teardown=True, trigger_rule="all_done_setup_success"))
    drive = Drive(dag)
    drive.end("a", FAILED)
    drive.end("t")
    assert end_of(drive) is RunState.FAILED


def test_a_teardown_that_fails_the_run_is_a_leaf_and_what_is_above_it_none(make_dag: Make, make_task: Make) -> None:
    teardown = make_task("t", "a", is_teardown=True, on_failure_fail_dagrun=True, trigger_rule="all_done_setup_success")
    drive = Drive(make_dag(make_task("a"), teardown))
    drive.end("a", FAILED)
    drive.end("t")
    assert end_of(drive) is RunState.SUCCESS


def test_removed_instances_count_for_nothing(make_dag: Make, make_task: Make) -> None:
    dag = make_dag(make_task("m", expand={"x": {"length": 1}}))
    states = (S.SUCCESS, S.REMOVED)
    drive = Drive(dag, rows=[Instance(key=key("m", index), state=state) for index, state in enumerate(states)])
    assert end_of(drive) is RunState.SUCCESS


def test_fail_fast_fails_the_run_though_its_leaves_are_skipped(make_dag: Make, make_task: Make) -> None:
    drive = Drive(make_dag(make_task("a"), make_task("b"), make_task("c", "b"), fail_fast=True))
    drive.end("a", FAILED)
    assert drive.states()["c"] == "skipped"
    drive.end("b", FAILED)
    assert end_of(drive) is RunState.FAILED
