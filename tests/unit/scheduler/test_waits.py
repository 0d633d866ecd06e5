"""What a task instance that waits is said to wait for."""

from datetime import UTC, datetime

from airdock.dag.serialized import SerializedDag, SerializedTask
from airdock.model.environment import Environment
from airdock.model.keys import RunKey, TaskKey
from airdock.model.states import RunState, TaskState
from airdock.scheduler.waits import explain_waits
from airdock.store.records import Answer, Instance, Pool, Run

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
