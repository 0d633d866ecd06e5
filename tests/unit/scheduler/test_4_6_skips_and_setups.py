"""Reference §4.6: what branches skip, and setups and teardowns; §4.2 deferral; §4.5 the past; §4.1 timeouts."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from airdock.model.outcome import Deferred, Ending, Failed, Lost, Skipped, Succeeded
from airdock.model.states import RunState, TaskState
from airdock.scheduler.advance import advance
from airdock.scheduler.decide import conclude
from airdock.scheduler.events import Due, PastSettled, RunBegan, RunTimedOut, Stop, TriggerFired
from airdock.scheduler.view import RunView
from airdock.store.records import Instance, Transition

from .drive import FAILED, NOW, RUN, Drive, key

Make = Callable[..., Any]
S = TaskState


def test_branch_other_direct_downstream_is_skipped(make_dag: Make, make_task: Make) -> None:
    dag = make_dag(
        make_task("b"), make_task("x", "b"), make_task("y", "b"),
        make_task("j", "x", "y", trigger_rule="none_failed_min_one_success"),
    )  # fmt: skip
    drive = Drive(dag)
    drive.end("b", Succeeded(skip=(("y", -1),)))
    assert drive.states() == {"b": "success", "x": "queued", "y": "skipped", "j": "none"}
    drive.end("x")
    assert drive.states()["j"] == "queued"


def test_short_circuit_skips_whatever_the_rules_say(make_dag: Make, make_task: Make) -> None:
    dag = make_dag(make_task("c"), make_task("x", "c"), make_task("y", "x", trigger_rule="all_done"))
    drive = Drive(dag)
    drive.end("c", Succeeded(skip=(("x", -1), ("y", -1))))
    assert drive.states() == {"c": "success", "x": "skipped", "y": "skipped"}


def test_branch_decision_is_kept_for_later_clears(make_dag: Make, make_task: Make) -> None:
    dag = make_dag(make_task("b"), make_task("x", "b"))
    view = RunView(
        run=RUN,
        logical_date=None,
        dag=dag,
        instances=[Instance(key=key("b"), state=S.SUCCESS, try_number=1), Instance(key=key("x"))],
        decided=[(key("b"), (("x", -1),))],
    )
    (step,) = advance(view, [RunBegan()], NOW)
    assert isinstance(step, Transition) and step.target is S.SKIPPED


def test_branch_skips_one_index_of_what_is_mapped_later(make_dag: Make, make_task: Make) -> None:
    dag = make_dag(make_task("b"), make_task("m", "b", expand={"x": {"length": 3}}))
    drive = Drive(dag)
    drive.end("b", Succeeded(skip=(("m", 1),)))
    assert drive.states() == {"b": "success", "m[0]": "queued", "m[1]": "skipped", "m[2]": "queued"}


@pytest.mark.parametrize(
    ("part", "length"),
    [
        ({"zip": [{"xcom": "a"}, {"length": 5}], "longest": False}, 2),
        ({"zip": [{"xcom": "a"}, {"length": 5}], "longest": True}, 5),
        ({"concat": [{"xcom": "a"}, {"length": 5}, {"xcom": "a"}]}, 9),
        ({"map": {"concat": [{"xcom": "a"}, {"xcom": "a"}]}}, 4),
    ],
)
def test_lengths_of_zip_concat_map(part: dict[str, Any], length: int, make_dag: Make, make_task: Make) -> None:
    drive = Drive(make_dag(make_task("a"), make_task("m", "a", expand={"**": part})), lengths={"a": {-1: 2}})
    drive.end("a")
    assert len(drive.states()) == 1 + length


def test_zero_length_is_skipped_and_missing_length_is_upstream_failed(make_dag: Make, make_task: Make) -> None:
    part = {"x": {"map": {"xcom": "a"}}}
    for lengths, expected in (({"a": {-1: 0}}, "skipped"), ({}, "upstream_failed")):
        drive = Drive(make_dag(make_task("a"), make_task("m", "a", expand=part)), lengths=lengths)  # type: ignore[arg-type]
        drive.end("a")
        assert drive.states()["m"] == expected


@pytest.mark.parametrize(("ending", "expected"), [(FAILED, "upstream_failed"), (Succeeded(), "queued")])
def test_indirect_setup_has_to_succeed(ending: Ending, expected: str, make_dag: Make, make_task: Make) -> None:
    dag = make_dag(
        make_task("s", is_setup=True), make_task("a", "s", trigger_rule="all_done"),
        make_task("b", "a", trigger_rule="all_done"),
        make_task("t", "b", "s", is_teardown=True, setups=("s",), trigger_rule="all_done_setup_success"),
    )  # fmt: skip
    drive = Drive(dag)
    drive.end("s", ending)
    if expected == "queued":
        drive.end("a", FAILED)
    assert drive.states()["b"] == expected


def test_a_setup_is_not_for_what_comes_after_its_teardown(make_dag: Make, make_task: Make) -> None:
    dag = make_dag(
        make_task("s", is_setup=True),
        make_task("t", "s", is_teardown=True, setups=("s",), trigger_rule="all_done_setup_success"),
        make_task("late", "t", trigger_rule="all_done"),
    )  # fmt: skip
    drive = Drive(dag)
    drive.end("s", FAILED)
    assert drive.states() == {"s": "failed", "t": "upstream_failed", "late": "queued"}


def test_teardown_waits_for_every_task_between_its_setups_and_itself(make_dag: Make, make_task: Make) -> None:
    dag = make_dag(
        make_task("s", is_setup=True), make_task("slow", "s"), make_task("one", "s"),
        make_task("end", "slow", "one", trigger_rule="one_success"),
        make_task("t", "end", "s", is_teardown=True, setups=("s",), trigger_rule="all_done_setup_success"),
    )  # fmt: skip
    drive = Drive(dag)
    drive.end("s")
    drive.end("one")
    drive.end("end")
    assert drive.states()["t"] == "none"
    drive.end("slow", FAILED)
    assert drive.states()["t"] == "queued"


@pytest.mark.parametrize(("fails_run", "expected"), [(False, RunState.SUCCESS), (True, RunState.FAILED)])
def test_teardown_failure_fails_the_run_only_if_asked(
    fails_run: bool, expected: RunState, make_dag: Make, make_task: Make
) -> None:
    teardown = make_task("t", "a", is_teardown=True, on_failure_fail_dagrun=fails_run, trigger_rule="all_done")
    drive = Drive(make_dag(make_task("a"), teardown))
    drive.end("a")
    drive.end("t", FAILED)
    end = conclude(drive.view, NOW)
    assert end is not None and end.target is expected


def test_deferred_goes_on_in_the_same_try(make_dag: Make, make_task: Make) -> None:
    drive = Drive(make_dag(make_task("a")))
    (waits,) = drive.end("a", Deferred(trigger="x.Y", kwargs={"n": 1}, method="go_on", method_kwargs={"k": 2}))
    assert waits.next == {"method": "go_on", "kwargs": {"k": 2}}
    assert waits.trigger == {"classpath": "x.Y", "kwargs": {"n": 1}}
    assert drive.states() == {"a": "deferred"}
    assert conclude(drive.view, NOW) is None
    (step,) = drive.happen(TriggerFired(key=key("a"), event={"ok": 1}))
    assert (step.source, step.target, step.to_try) == (S.DEFERRED, S.SCHEDULED, 1)
    assert step.next == {"method": "go_on", "kwargs": {"k": 2}, "event": {"ok": 1}}
    assert drive.happen(TriggerFired(key=key("a"))) == []
    drive.end("a")
    assert drive.states() == {"a": "success"}


def test_deferred_whose_trigger_fails_or_is_late_is_told(make_dag: Make, make_task: Make) -> None:
    drive = Drive(make_dag(make_task("a", retries=1)))
    _, wake = drive.end("a", Deferred(trigger="x.Y", timeout_s=60))
    assert wake.at == NOW + timedelta(seconds=60)
    assert drive.happen(Due(key=key("a")), NOW + timedelta(seconds=59)) == []
    (step,) = drive.happen(Due(key=key("a")), wake.at)
    assert (step.next["timed_out"], step.next["error"]) == (True, "its trigger didn't fire in time")
    drive.end("a", Deferred(trigger="x.Y"))
    (step,) = drive.happen(TriggerFired(key=key("a"), error="it raised"))
    assert (step.target, step.to_try) == (S.SCHEDULED, 1)
    assert step.next == {"method": "execute_complete", "kwargs": {}, "error": "it raised"}


def test_what_a_try_goes_on_with_is_kept_until_it_ends(make_dag: Make, make_task: Make) -> None:
    drive = Drive(make_dag(make_task("a", retries=1)))
    drive.end("a", Deferred(trigger="x.Y"))
    drive.happen(TriggerFired(key=key("a"), event=5))
    (lost, *_) = drive.end("a", Lost(reason="gone"))
    assert lost.next == {"method": "execute_complete", "kwargs": {}, "event": 5}
    (failed, *_) = drive.end("a", Failed(reason="no"))
    assert failed.next is None


@pytest.mark.parametrize(
    "ending", [Succeeded(label="Berlin"), Skipped(label="Berlin"), Failed(reason="no", label="Berlin")]
)
def test_what_an_instance_is_shown_as_is_kept(make_dag: Make, make_task: Make, ending: Ending) -> None:
    drive = Drive(make_dag(make_task("a")))
    (done,) = drive.end("a", ending)
    assert done.label == "Berlin"


def test_a_retry_policy_has_a_delay_of_its_own(make_dag: Make, make_task: Make) -> None:
    drive = Drive(make_dag(make_task("a", retries=1)))
    _, wake = drive.end("a", Failed(reason="no", delay_s=7.0))
    assert wake.at == NOW + timedelta(seconds=7)


def test_depends_on_past_waits_without_deadlock(make_dag: Make, make_task: Make) -> None:
    met: set[str] = set()
    drive = Drive(make_dag(make_task("a", depends_on_past=True)), past=met.__contains__)
    assert drive.states() == {"a": "none"}
    assert conclude(drive.view, NOW) is None
    met.add("a")
    drive.happen(PastSettled(task_id="a"))
    assert drive.states() == {"a": "queued"}


def test_wait_for_past_depends_before_skipping(make_dag: Make, make_task: Make) -> None:
    met: set[str] = set()
    late = make_task("x", "b", depends_on_past=True, wait_for_past_depends_before_skipping=True)
    drive = Drive(make_dag(make_task("b"), late), past=met.__contains__)
    drive.end("b", Succeeded(skip=(("x", -1),)))
    assert drive.states()["x"] == "none"
    met.add("x")
    drive.happen(PastSettled(task_id="x"))
    assert drive.states()["x"] == "skipped"


def test_dagrun_timeout_skips_what_is_unfinished_and_fails_the_run(make_dag: Make, make_task: Make) -> None:
    drive = Drive(make_dag(make_task("a"), make_task("b", "a")))
    actions = drive.happen(RunTimedOut())
    assert [action.key.task_id for action in actions if isinstance(action, Stop)] == ["a"]
    assert drive.states() == {"a": "skipped", "b": "skipped"}
    end = conclude(drive.view, NOW)
    assert end is not None and (end.target, end.reason) == (RunState.FAILED, "timed out")


def test_cleared_while_running_begins_again(make_dag: Make, make_task: Make) -> None:
    drive = Drive(make_dag(make_task("a")))
    restarting = Transition(key=key("a"), source=S.QUEUED, target=S.RESTARTING, try_number=1, to_try=1, at=NOW)
    drive.view.move(restarting)
    drive.end("a", FAILED)
    member = drive.view.member(key("a"))
    assert member is not None and (member.state, member.try_number) == (S.QUEUED, 2)
