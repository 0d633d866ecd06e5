"""What a task instance that waits is said to wait for."""

from datetime import UTC, datetime

import pytest

from airdock.dag.serialized import SerializedDag, SerializedTask
from airdock.model.environment import Environment
from airdock.model.keys import RunKey, TaskKey
from airdock.model.states import RunState, TaskState
from airdock.scheduler.waits import explain_waits
from airdock.store.records import Answer, Instance, Pool, Run

from .drive import FAILED, Drive

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RUN = Run(key=RunKey(dag_id="etl", run_id="one"), state=RunState.RUNNING, dag_digest="", created=NOW)
HOST = Answer(run=RUN.key, environment=Environment(), at=NOW, digest="sha256:0")
POOLS = [Pool(name="default_pool", slots=2)]


def key(task_id: str, map_index: int = -1, *, run_id: str = "one") -> TaskKey:
    return TaskKey(dag_id="etl", run_id=run_id, task_id=task_id, map_index=map_index)


def row(task_id: str, state: TaskState, map_index: int = -1, **more: object) -> Instance:
    return Instance(key=key(task_id, map_index), state=state, **more)  # type: ignore[arg-type]


def dag(*tasks: SerializedTask, **more: object) -> SerializedDag:
    return SerializedDag(dag_id="etl", fileloc="/etl.py", tasks=tasks, **more)  # type: ignore[arg-type]


def task(task_id: str, *upstream: str, **more: object) -> SerializedTask:
    return SerializedTask(task_id=task_id, operator="Python", upstream=upstream, **more)  # type: ignore[arg-type]


def test_a_task_waits_for_those_upstream_that_are_not_done() -> None:
    graph = dag(task("a"), task("b"), task("c", "a", "b"))
    rows = [row("a", TaskState.SUCCESS), row("b", TaskState.RUNNING), row("c", TaskState.NONE)]
    waits = explain_waits(graph, RUN, rows)
    assert {each.task_id: (wait.kind, wait.text) for each, wait in waits.items()} == {"c": ("upstream", "b")}


def test_of_many_upstream_a_few_are_named_and_mapped_ones_are_counted() -> None:
    names = ["a", "b", "c", "d", "e"]
    graph = dag(*(task(name) for name in names), task("end", *names))
    rows = [row("a", TaskState.SUCCESS, 0), row("a", TaskState.NONE, 1)]
    rows += [row(name, TaskState.NONE) for name in [*names[1:], "end"]]
    assert explain_waits(graph, RUN, rows)[key("end")].text == "a (1 of 2 done), b, c and 2 more"


def test_in_a_run_that_has_not_begun_all_wait_for_it() -> None:
    queued = Run(key=RUN.key, state=RunState.QUEUED, dag_digest="", created=NOW)
    assert explain_waits(dag(task("a")), queued, [row("a", TaskState.NONE)])[key("a")].kind == "run"


def test_an_image_that_nobody_made_yet_is_named() -> None:
    needs = Environment(requirements=("pandas==1.5.3",))
    waits = explain_waits(dag(task("a", environment=needs)), RUN, [row("a", TaskState.SCHEDULED)], answers=[HOST])
    assert (waits[key("a")].kind, waits[key("a")].text) == ("image", "its image (pandas==1.5.3)")


def test_a_full_pool_is_said_with_who_is_counted_in_it() -> None:
    elsewhere = Instance(key=key("x", run_id="two"), state=TaskState.RUNNING)
    rows = [row("a", TaskState.RUNNING), row("b", TaskState.SCHEDULED)]
    waits = explain_waits(dag(task("a"), task("b")), RUN, rows, others=[elsewhere], pools=POOLS, answers=[HOST])
    assert (waits[key("b")].kind, waits[key("b")].text) == ("pool", "pool default_pool (2 of 2 slots taken)")


def test_limits_of_the_dag_and_of_the_task_come_before_the_pool() -> None:
    rows = [row("a", TaskState.RUNNING, 0), row("a", TaskState.SCHEDULED, 1)]
    by_dag = explain_waits(dag(task("a"), max_active_tasks=1), RUN, rows, pools=POOLS, answers=[HOST])
    assert by_dag[key("a", 1)].text == "max_active_tasks (1 of 1 active)"
    limited = task("a", max_active_tis_per_dagrun=1)
    by_task = explain_waits(dag(limited), RUN, rows, pools=POOLS, answers=[HOST])
    assert by_task[key("a", 1)].text == "max_active_tis_per_dagrun (1 of 1 active)"


def test_with_room_everywhere_it_is_a_slot_of_the_executor() -> None:
    waits = explain_waits(dag(task("a")), RUN, [row("a", TaskState.SCHEDULED)], pools=POOLS, answers=[HOST])
    assert waits[key("a")].kind == "slot"


def test_retries_looks_and_triggers_say_until_when() -> None:
    states = {
        "a": TaskState.UP_FOR_RETRY,
        "b": TaskState.UP_FOR_RESCHEDULE,
        "c": TaskState.DEFERRED,
        "d": TaskState.AWAITING_INPUT,
    }
    rows = [row(name, state, until=NOW) for name, state in states.items()]
    waits = explain_waits(dag(*map(task, states)), RUN, rows)
    assert [(wait.kind, wait.until) for wait in waits.values()] == [
        ("time", NOW),
        ("time", NOW),
        ("trigger", NOW),
        ("person", NOW),
    ]


def test_who_depends_on_the_past_waits_for_it_once_all_upstream_is_done() -> None:
    waits = explain_waits(dag(task("a", depends_on_past=True)), RUN, [row("a", TaskState.NONE)])
    assert waits[key("a")].kind == "past"


def test_what_was_cleared_while_it_runs_waits_for_its_try_to_end() -> None:
    waits = explain_waits(dag(task("a")), RUN, [row("a", TaskState.RESTARTING)])
    assert (waits[key("a")].kind, waits[key("a")].text) == ("executor", "its try to end, which was cleared")


def test_what_another_dag_version_has_is_left_out() -> None:
    waits = explain_waits(dag(task("b")), RUN, [row("gone", TaskState.NONE), row("b", TaskState.NONE)])
    assert {each.task_id for each in waits} == {"b"}


@pytest.mark.parametrize("rule", ["always", "one_success", "one_done"])
def test_a_rule_that_is_met_early_waits_for_none_that_go_on(rule: str) -> None:
    graph = dag(task("a"), task("b"), task("c", "a", "b", trigger_rule=rule, depends_on_past=True))
    rows = [row("a", TaskState.SUCCESS), row("b", TaskState.RUNNING), row("c", TaskState.NONE)]
    assert explain_waits(graph, RUN, rows)[key("c")].kind == "past"


# Mapped groups, setups and teardowns: over a run that the scheduler's own rules drive


def told(graph: SerializedDag, drive: Drive) -> dict[str, str]:
    """By label what each instance that isn't scheduled waits for."""
    rows = drive.rows()
    run = Run(key=RunKey(dag_id="d", run_id="r"), state=RunState.RUNNING, dag_digest="", created=NOW)
    waits = explain_waits(graph, run, rows, pools=POOLS, answers=[HOST])
    states = {each.key: each.state for each in rows}
    return {each.label: wait.text for each, wait in waits.items() if states[each] is TaskState.NONE}


def mapped(*tasks: SerializedTask) -> SerializedDag:
    groups = {
        "g": {"parent": "", "expand": {"x": {"xcom": "a"}}},
        "g.in": {"parent": "g", "expand": None},
    }
    return SerializedDag(dag_id="d", fileloc="/etl.py", tasks=tasks, groups=groups)


def inner(task_id: str, *upstream: str, **more: object) -> SerializedTask:
    return task(task_id, *upstream, map_group="g", **more)


def test_tasks_of_a_mapped_group_wait_for_what_it_is_expanded_over_then_for_their_own_index() -> None:
    graph = mapped(
        task("a"), inner("g.x", "a", group="g"), inner("g.in.y", "g.x", group="g.in"), task("b", "g.in.y")
    )  # fmt: skip
    drive = Drive(graph, lengths={"a": {-1: 2}})
    over = "a, which g is expanded over"
    assert told(graph, drive) == {"g.x": over, "g.in.y": over, "b": "g.in.y"}
    drive.end("a")
    assert told(graph, drive) == {"g.in.y[0]": "g.x[0]", "g.in.y[1]": "g.x[1]", "b": "g.in.y (0 of 2 done)"}
    drive.end("g.x", index=1)
    drive.end("g.in.y", index=1)
    assert told(graph, drive) == {"g.in.y[0]": "g.x[0]", "b": "g.in.y (1 of 2 done)"}


def test_what_is_outside_concerns_every_index_of_a_group() -> None:
    graph = mapped(task("a"), task("o"), task("m", expand={"x": {"length": 2}}), inner("g.x", "a", "o", "m"))
    drive = Drive(graph, lengths={"a": {-1: 2}})
    assert told(graph, drive) == {"g.x": "a, which g is expanded over"}
    drive.end("a")
    drive.end("m", index=0)
    assert told(graph, drive) == dict.fromkeys(["g.x[0]", "g.x[1]"], "o, m (1 of 2 done)")


def test_an_expanded_group_whose_list_is_made_anew_waits_for_that() -> None:
    graph = mapped(task("a"), inner("g.x", "a"))
    first = Drive(graph, lengths={"a": {-1: 2}})
    first.end("a")
    again = Drive(graph, lengths={"a": {-1: 3}}, rows=[
        Instance(key=each.key, state=TaskState.NONE, max_tries=each.max_tries) for each in first.rows()
    ])  # fmt: skip
    assert told(graph, again) == dict.fromkeys(["g.x[0]", "g.x[1]"], "a, which g is expanded over")


def test_a_mapped_task_whose_rule_is_met_waits_for_what_it_is_expanded_over() -> None:
    part = {"x": {"zip": [{"xcom": "a"}, {"map": {"xcom": "b"}}]}}
    graph = mapped(task("a"), task("b"), task("m", "a", "b", trigger_rule="always", expand=part))
    drive = Drive(graph, lengths={"a": {-1: 2}, "b": {-1: 2}})
    assert told(graph, drive) == {"m": "a, b, which it is expanded over"}
    drive.end("a")
    assert told(graph, drive) == {"m": "b, which it is expanded over"}


def test_a_teardown_waits_for_all_between_its_setups_and_itself() -> None:
    """Its rule is met once its direct upstream is done; decide waits for the rest of its scope too."""
    graph = mapped(
        task("s", is_setup=True), task("v", "s"), task("w", "s"), task("x", "w", "v", trigger_rule="one_success"),
        task("t", "s", "x", is_teardown=True, trigger_rule="all_done_setup_success", setups=("s",)),
    )  # fmt: skip
    drive = Drive(graph)
    assert told(graph, drive)["t"] == "s, x, v and 1 more"
    drive.end("s")
    drive.end("w")
    drive.end("x")
    assert told(graph, drive) == {"t": "v"}
    drive.end("v")
    assert drive.states()["t"] == "queued"


def test_work_waits_for_setups_above_it_that_are_not_directly_upstream() -> None:
    graph = mapped(
        task("s", is_setup=True), task("q"), task("w", "q", "s"), task("x", "w", trigger_rule="always"),
        task("y", "w", trigger_rule="all_done"),
    )  # fmt: skip
    drive = Drive(graph)
    assert told(graph, drive)["y"] == "w, s"


def test_a_teardown_in_a_mapped_group_waits_for_its_own_index() -> None:
    graph = mapped(
        task("a"), inner("g.s", "a", is_setup=True), inner("g.v", "g.s"), inner("g.w", "g.v"),
        inner("g.t", "g.s", "g.w", is_teardown=True, trigger_rule="all_done_setup_success", setups=("g.s",)),
    )  # fmt: skip
    drive = Drive(graph, lengths={"a": {-1: 2}})
    drive.end("a")
    drive.end("g.s", index=0)
    assert told(graph, drive)["g.t[0]"] == "g.w[0], g.v[0]"
    assert told(graph, drive)["g.t[1]"] == "g.s[1], g.w[1], g.v[1]"


def test_whatever_happens_what_waits_for_others_names_some_that_go_on() -> None:
    graph = mapped(
        task("a"), inner("g.s", "a", is_setup=True), inner("g.w", "g.s", group="g.in"), inner("g.x", "g.w"),
        inner("g.t", "g.s", "g.x", is_teardown=True, trigger_rule="all_done_setup_success", setups=("g.s",)),
        task("b", "g.x", trigger_rule="one_failed"), task("c", "b", "g.w", trigger_rule="all_done"),
    )  # fmt: skip
    drive = Drive(graph, lengths={"a": {-1: 3}})
    while going := [label for label, state in drive.states().items() if state == "queued"]:
        for text in told(graph, drive).values():
            assert text != "the scheduler"
        name, _, index = going[-1].rstrip("]").partition("[")
        drive.end(name, FAILED if index == "1" else None, index=int(index or -1))
    assert told(graph, drive) == {}
