"""What people do by hand to DAGs and runs."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airdock.clock import ManualClock
from airdock.dag.serialized import SerializedDag, SerializedTask
from airdock.errors import ConfigError, ConflictError, DagError
from airdock.hands import Hands
from airdock.indexing import digest_of
from airdock.model.keys import RunKey, TaskKey
from airdock.model.states import RunState, TaskState
from airdock.orchestrator import Orchestrator
from airdock.store.memory import MemoryStore
from airdock.store.records import DagRow, Run

AT = datetime(2026, 3, 10, tzinfo=UTC)
S = TaskState


def task(task_id: str, *upstream: str, **more: Any) -> SerializedTask:
    return SerializedTask(task_id=task_id, operator="@task", upstream=upstream, **more)


def dag(*tasks: SerializedTask, **more: Any) -> SerializedDag:
    given = {"timetable": {"type": "cron", "expression": "0 0 * * *", "timezone": "UTC"}, "schedule": "@daily", **more}
    return SerializedDag(
        dag_id="d", fileloc="/d.py", tasks=tasks or (task("a"), task("b", "a"), task("c", "b")), **given
    )


class Bench:
    """A store with what people use."""

    def __init__(self) -> None:
        self.store = MemoryStore(clock=ManualClock(at=AT))
        self.front = Orchestrator(
            store=self.store, scheduler=lambda: pytest.fail("nothing is run"), clock=ManualClock(at=AT)
        )
        self.hands: Hands = self.front.hands

    def run(self, made: SerializedDag, number: int = 0, **states: TaskState) -> Run:
        """A run of a day that has ended, its tasks in these states."""
        key = self.front.create_run(made, run_id=f"r{number}", logical_date=AT - timedelta(days=10 - number))
        rows = {row.key: states.get(row.key.task_id, S.SUCCESS) for row in self.store.list_instances(key)}
        ended = RunState.FAILED if S.FAILED in rows.values() else RunState.SUCCESS
        self.store.force(key, rows, at=AT, run_state=ended)
        return self.store.load_run(key)

    def states(self, key: RunKey) -> dict[str, TaskState]:
        return {row.key.label: row.state for row in self.store.list_instances(key)}


@pytest.fixture
def bench() -> Bench:
    return Bench()


def cleared(found: list[Any]) -> list[str]:
    return [f"{each.run.run_id}/{key.label}" for each in found for key in each.instances]


def test_a_whole_run_begins_anew(bench: Bench) -> None:
    run = bench.run(dag())
    assert cleared(bench.hands.clear(run)) == ["r0/a", "r0/b", "r0/c"]
    assert set(bench.states(run.key).values()) == {S.NONE}
    assert bench.store.load_run(run.key).state is RunState.QUEUED


def test_tasks_begin_anew_with_those_around_them(bench: Bench) -> None:
    run = bench.run(dag())
    assert cleared(bench.hands.clear(run, ["b"], dry_run=True)) == ["r0/b"]
    assert cleared(bench.hands.clear(run, ["b"], upstream=True, dry_run=True)) == ["r0/a", "r0/b"]
    assert cleared(bench.hands.clear(run, ["b"], downstream=True, dry_run=True)) == ["r0/b", "r0/c"]
    assert bench.store.load_run(run.key).state is RunState.SUCCESS


def test_only_what_failed_begins_anew(bench: Bench) -> None:
    run = bench.run(dag(), a=S.SUCCESS, b=S.FAILED, c=S.UPSTREAM_FAILED)
    assert cleared(bench.hands.clear(run, only_failed=True)) == ["r0/b", "r0/c"]
    assert bench.states(run.key) == {"a": S.SUCCESS, "b": S.NONE, "c": S.NONE}


def test_earlier_and_later_runs_begin_anew_too(bench: Bench) -> None:
    runs = [bench.run(dag(), number) for number in range(3)]
    assert cleared(bench.hands.clear(runs[1], ["a"], past=True, dry_run=True)) == ["r0/a", "r1/a"]
    assert cleared(bench.hands.clear(runs[1], ["a"], future=True, dry_run=True)) == ["r1/a", "r2/a"]
    assert cleared(bench.hands.clear(runs[1], ["a"], past=True, future=True, dry_run=True)) == ["r0/a", "r1/a", "r2/a"]


def test_a_group_stands_for_its_tasks(bench: Bench) -> None:
    made = dag(task("g.a", group="g"), task("g.i.b", group="g.i"), task("c"), groups={"g": {"parent": ""},
               "g.i": {"parent": "g"}})  # fmt: skip
    assert cleared(bench.hands.clear(bench.run(made), ["g"], dry_run=True)) == ["r0/g.a", "r0/g.i.b"]


def load_anew(bench: Bench, newest: SerializedDag) -> None:
    """As a scheduler does that finds the file changed."""
    body = newest.to_dict()
    bench.store.save_dag(digest_of(body), dag_id="d", body=body)
    bench.store.save_loaded({"/d.py": [DagRow(dag_id="d", fileloc="/d.py", digest=digest_of(body))]})


def test_a_run_goes_on_with_the_newest_version(bench: Bench) -> None:
    run = bench.run(dag(), a=S.SUCCESS, b=S.FAILED, c=S.UPSTREAM_FAILED)
    load_anew(bench, dag(task("a"), task("b", "a"), task("new", "b")))
    assert cleared(bench.hands.clear(run, ["b"], downstream=True, latest=True, dry_run=True)) == ["r0/b"]
    assert bench.store.load_run(run.key).dag_digest == run.dag_digest
    assert cleared(bench.hands.clear(run, ["b"], downstream=True, latest=True)) == ["r0/b"]
    assert bench.states(run.key) == {"a": S.SUCCESS, "b": S.NONE, "new": S.NONE}
    after = bench.store.load_run(run.key)
    assert (after.state, after.dag_digest != run.dag_digest) == (RunState.QUEUED, True)


def test_a_run_whose_dag_only_grew_is_done_to_the_end(bench: Bench) -> None:
    run = bench.run(dag())
    load_anew(bench, dag(task("a"), task("b", "a"), task("c", "b"), task("new", "c")))
    bench.hands.clear(run, only_failed=True, latest=True)
    assert bench.states(run.key) == {"a": S.SUCCESS, "b": S.SUCCESS, "c": S.SUCCESS, "new": S.NONE}
    assert bench.store.load_run(run.key).state is RunState.QUEUED


def test_a_run_that_has_the_newest_version_keeps_it(bench: Bench) -> None:
    run = bench.run(dag())
    load_anew(bench, dag())
    assert cleared(bench.hands.clear(run, only_failed=True, latest=True)) == []
    assert bench.store.load_run(run.key).state is RunState.SUCCESS


def test_a_task_that_goes_on_is_not_forgotten(bench: Bench) -> None:
    run = bench.run(dag(), c=S.RUNNING)
    load_anew(bench, dag(task("a"), task("b", "a")))
    with pytest.raises(ConflictError, match="task c isn't in the new version, and goes on"):
        bench.hands.clear(run, ["b"], latest=True)
    assert bench.states(run.key)["b"] is S.SUCCESS


def test_a_task_that_is_not_there_is_told(bench: Bench) -> None:
    run = bench.run(dag())
    with pytest.raises(DagError, match="no task or group 'x'"):
        bench.hands.clear(run, ["x"])


def test_a_run_ends_as_failed(bench: Bench) -> None:
    key = bench.front.create_run(dag(), run_id="r", logical_date=AT)
    run = bench.store.load_run(key)
    bench.store.force(key, {TaskKey(dag_id="d", run_id="r", task_id="a"): S.RUNNING}, at=AT)
    bench.hands.mark_run(run, RunState.FAILED)
    assert bench.states(key) == {"a": S.FAILED, "b": S.SKIPPED, "c": S.SKIPPED}
    assert bench.store.load_run(key).state is RunState.FAILED


def test_a_run_is_said_to_have_succeeded(bench: Bench) -> None:
    run = bench.run(dag(), b=S.FAILED)
    bench.hands.mark_run(run, RunState.SUCCESS)
    assert set(bench.states(run.key).values()) == {S.SUCCESS}


def test_a_task_is_said_to_have_succeeded_and_its_run_is_looked_at_anew(bench: Bench) -> None:
    run = bench.run(dag(), b=S.FAILED, c=S.UPSTREAM_FAILED)
    assert [key.label for key in bench.hands.mark_tasks(run, ["b"], S.SUCCESS)] == ["b"]
    assert bench.states(run.key)["b"] is S.SUCCESS
    assert bench.store.load_run(run.key).state is RunState.QUEUED


def test_what_failed_below_a_marked_task_begins_anew(bench: Bench) -> None:
    run = bench.run(dag(), a=S.FAILED, b=S.UPSTREAM_FAILED, c=S.UPSTREAM_FAILED)
    assert [key.label for key in bench.hands.mark_tasks(run, ["a"], S.SUCCESS)] == ["a"]
    assert bench.states(run.key) == {"a": S.SUCCESS, "b": S.NONE, "c": S.NONE}
    assert bench.store.load_run(run.key).state is RunState.QUEUED


def test_what_succeeded_below_a_marked_task_stays(bench: Bench) -> None:
    run = bench.run(dag(task("a"), task("b", "a"), task("c", "b"), task("x")), b=S.SKIPPED, x=S.FAILED)
    bench.hands.mark_tasks(run, ["a"], S.FAILED)
    assert bench.states(run.key) == {"a": S.FAILED, "b": S.SKIPPED, "c": S.SUCCESS, "x": S.FAILED}


def test_in_a_run_that_goes_on_what_failed_below_begins_anew_too(bench: Bench) -> None:
    run = bench.run(dag(), a=S.FAILED, b=S.UPSTREAM_FAILED, c=S.UPSTREAM_FAILED)
    bench.store.force(run.key, {}, at=AT, run_state=RunState.RUNNING)
    bench.hands.mark_tasks(bench.store.load_run(run.key), ["a"], S.SUCCESS)
    assert bench.states(run.key) == {"a": S.SUCCESS, "b": S.NONE, "c": S.NONE}
    assert bench.store.load_run(run.key).state is RunState.RUNNING


CLEANING = dag(
    task("make", is_setup=True),
    task("work", "make"),
    task("after", "work"),
    task("clean", "after", is_teardown=True, setups=("make",), trigger_rule="all_done_setup_success"),
)


def going_on(bench: Bench, **states: TaskState) -> Run:
    run = bench.run(CLEANING)
    rows = {row.key: states.get(row.key.task_id, S.NONE) for row in bench.store.list_instances(run.key)}
    bench.store.force(run.key, rows, at=AT, run_state=RunState.RUNNING)
    return bench.store.load_run(run.key)


def test_a_run_that_is_ended_by_hand_tears_down_what_was_set_up(bench: Bench) -> None:
    run = going_on(bench, make=S.SUCCESS, work=S.DEFERRED)
    assert [key.label for key in bench.hands.mark_run(run, RunState.FAILED)] == ["after", "work"]
    assert bench.states(run.key) == {"make": S.SUCCESS, "work": S.FAILED, "after": S.SKIPPED, "clean": S.NONE}
    found = bench.store.load_run(run.key)
    assert (found.state, found.reason) == (RunState.RUNNING, "ended by hand")


def test_a_teardown_that_belongs_to_no_setup_is_left_where_anything_ran(bench: Bench) -> None:
    made = dag(task("work"), task("clean", "work", is_teardown=True, trigger_rule="all_done_setup_success"))
    run = bench.run(made)
    rows = {row.key: S.RUNNING if row.key.task_id == "work" else S.NONE for row in bench.store.list_instances(run.key)}
    bench.store.force(run.key, rows, at=AT, run_state=RunState.RUNNING)
    bench.hands.mark_run(bench.store.load_run(run.key), RunState.FAILED)
    assert bench.states(run.key) == {"work": S.FAILED, "clean": S.NONE}


@pytest.mark.parametrize("states", [{"make": S.NONE}, {"make": S.SUCCESS, "clean": S.SUCCESS, "work": S.SUCCESS}])
def test_a_run_with_nothing_to_tear_down_ends_at_once(bench: Bench, states: dict[str, TaskState]) -> None:
    run = going_on(bench, **states)
    bench.hands.mark_run(run, RunState.FAILED)
    assert bench.store.load_run(run.key).state is RunState.FAILED
    assert S.NONE not in bench.states(run.key).values()


def test_pausing_names_a_dag_that_is_not_there(bench: Bench) -> None:
    bench.store.save_loaded({"/d.py": [DagRow(dag_id="d", fileloc="/d.py", digest="x")]})
    bench.hands.pause(["d"], is_paused=True)
    assert bench.store.list_dags()[0].is_paused
    with pytest.raises(DagError, match="no DAG 'x'"):
        bench.hands.pause(["x"], is_paused=True)


def test_a_deleted_dag_is_gone_with_its_runs(bench: Bench) -> None:
    bench.run(dag())
    assert bench.hands.delete_dag("d") == 1
    with pytest.raises(DagError):
        bench.hands.delete_dag("d")


def fill(bench: Bench, **more: Any) -> list[tuple[str, str]]:
    made = more.pop("dag", None) or dag()
    found = bench.hands.backfill(made, start=AT - timedelta(days=3), end=AT - timedelta(days=1), **more)
    return [(f"{each.plan.logical_date:%d}", each.what) for each in found]


def test_a_backfill_makes_a_run_for_each_date(bench: Bench) -> None:
    assert fill(bench, dry_run=True) == [("07", "make"), ("08", "make"), ("09", "make")]
    assert bench.front.runs() == []
    fill(bench, max_active_runs=2)
    runs = bench.front.runs()
    assert {(run.run_type, run.backfill, run.state) for run in runs} == {("backfill", 1, RunState.QUEUED)}
    assert bench.store.list_backfills()[0].max_active_runs == 2


def test_a_backfill_goes_backwards_unless_tasks_depend_on_the_past(bench: Bench) -> None:
    assert fill(bench, reverse=True, dry_run=True)[0] == ("09", "make")
    with pytest.raises(ConfigError, match="can't go backwards"):
        fill(bench, dag=dag(task("a", depends_on_past=True)), reverse=True)


@pytest.mark.parametrize(("reprocess", "what"), [("none", "leave"), ("failed", "clear"), ("completed", "clear")])
def test_a_date_that_has_a_run_is_left_or_done_again(bench: Bench, reprocess: str, what: str) -> None:
    bench.run(dag(), 8, a=S.FAILED)
    assert ("08", what) in fill(bench, reprocess=reprocess)
    state = bench.store.load_run(RunKey(dag_id="d", run_id="r8")).state
    assert state is (RunState.FAILED if what == "leave" else RunState.QUEUED)


def test_a_run_that_is_done_again_is_one_of_the_backfill(bench: Bench) -> None:
    for number in (7, 8, 9):
        bench.run(dag(), number)
    bench.store.save_note(RunKey(dag_id="d", run_id="r8"), "kept")
    fill(bench, reprocess="completed", reverse=True, max_active_runs=1, conf={"q": 1})
    runs = bench.front.runs()
    assert {(run.run_type, run.backfill, run.state, run.conf["q"]) for run in runs} == {
        ("backfill", 1, RunState.QUEUED, 1)
    }
    assert bench.store.load_run(RunKey(dag_id="d", run_id="r8")).note == "kept"
    with pytest.raises(ConflictError, match="another backfill"):
        fill(bench)
    taken = bench.store.take_runs([run.key for run in runs], owner="o", lease_s=9)
    assert len(taken) == 1


def test_a_backfill_of_tasks_that_depend_on_the_past_says_what_is_done_again(bench: Bench) -> None:
    made = dag(task("a", depends_on_past=True))
    with pytest.raises(ConfigError, match="done again, found 'none'") as found:
        fill(bench, dag=made)
    assert "--reprocess" in found.value.hint
    assert len(fill(bench, dag=made, reprocess="failed")) == 3


def test_a_backfill_is_of_dates_that_are_over(bench: Bench) -> None:
    with pytest.raises(ConfigError, match="dates that are over"):
        bench.hands.backfill(dag(), start=AT + timedelta(days=1), end=AT + timedelta(days=2))
    found = bench.hands.backfill(dag(), start=AT - timedelta(days=1), end=AT + timedelta(days=2), dry_run=True)
    assert [each.plan.logical_date for each in found] == [AT - timedelta(days=1), AT]


def test_a_run_that_succeeded_is_done_again_only_where_all_are(bench: Bench) -> None:
    bench.run(dag(), 8)
    assert ("08", "leave") in fill(bench, reprocess="failed", dry_run=True)
    assert ("08", "clear") in fill(bench, reprocess="completed", dry_run=True)


def test_one_backfill_of_a_dag_goes_on_at_a_time(bench: Bench) -> None:
    fill(bench)
    with pytest.raises(ConflictError, match="another backfill"):
        fill(bench, reprocess="completed")
    for run in bench.front.runs():
        bench.store.force(run.key, {}, at=AT, run_state=RunState.SUCCESS)
    fill(bench, reprocess="completed")
    assert [each.state for each in bench.store.list_backfills()] == ["done", "running"]


def test_a_dag_without_dates_has_no_backfill(bench: Bench) -> None:
    with pytest.raises(ConfigError, match="runs at given times"):
        fill(bench, dag=dag(timetable={"type": "none"}, schedule=None))


def test_what_people_do_is_logged(bench: Bench) -> None:
    run = bench.run(dag(task("a")), a=S.FAILED)
    bench.hands.clear(run, ["a"], dry_run=True)
    bench.hands.clear(run, ["a"])
    bench.hands.mark_run(run, RunState.FAILED)
    found = bench.store.list_log(dag_id=run.key.dag_id)
    assert [(each.event, each.run_id) for each in found] == [("mark", run.key.run_id), ("clear", run.key.run_id)]
    assert found[1].extra == {"tasks": ["a"]} and found[0].who
