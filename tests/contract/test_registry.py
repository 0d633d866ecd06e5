"""What every store promises of what it keeps beside runs."""

from dataclasses import replace
from datetime import timedelta

import pytest

from airdock.clock import ManualClock
from airdock.errors import ConflictError
from airdock.model.keys import RunKey, TaskKey
from airdock.model.outcome import Failed, Outcome, Succeeded
from airdock.model.states import RunState, TaskState
from airdock.store.base import Store
from airdock.store.records import (
    AssetEvent,
    Backfill,
    Batch,
    CallbackRow,
    ConnectionRow,
    DagRow,
    ImportProblem,
    Instance,
    Limits,
    LogRow,
    Pool,
    Run,
    RunTransition,
    SchedulerRow,
    Variable,
)

from .conftest import AT
from .test_store import RUN, commit, key, make_run, move, state_of

S = TaskState
FILE, OTHER = "/dags/a.py", "/dags/b.py"


def dag(dag_id: str, fileloc: str = FILE, digest: str = "d1") -> DagRow:
    return DagRow(dag_id=dag_id, fileloc=fileloc, digest=digest, loaded=AT)


def event(name: str = "orders", **more: object) -> AssetEvent:
    return AssetEvent(name=name, uri=f"s3://{name}", at=AT, **more)  # type: ignore[arg-type]


def test_dags_of_files_come_back(store: Store) -> None:
    store.save_loaded({FILE: [dag("a"), dag("b")], OTHER: [dag("c", OTHER)]})
    assert store.list_dags() == [dag("a"), dag("b"), dag("c", OTHER)]
    assert store.find_dag_row("b") == dag("b")
    assert store.find_dag_row("x") is None


def test_a_dag_that_its_file_has_no_longer_is_not_active(store: Store) -> None:
    store.save_loaded({FILE: [dag("a"), dag("b")]})
    store.save_loaded({FILE: [dag("a", digest="d2")]})
    assert store.list_dags() == [dag("a", digest="d2")]
    assert store.list_dags(only_active=False) == [dag("a", digest="d2"), replace(dag("b"), is_active=False)]
    store.save_loaded({}, gone=[FILE])
    assert store.list_dags() == []


def test_a_dag_that_moves_to_another_file_stays(store: Store) -> None:
    store.save_loaded({FILE: [dag("a")]})
    store.save_loaded({FILE: [], OTHER: [dag("a", OTHER)]})
    assert store.list_dags() == [dag("a", OTHER)]


def test_a_dag_keeps_whether_it_is_paused(store: Store) -> None:
    store.save_loaded({FILE: [dag("a"), dag("b")]}, paused={"b": True})
    assert [each.is_paused for each in store.list_dags()] == [False, True]
    assert store.pause_dags(["a", "x"], is_paused=True) == {"a"}
    store.pause_dags(["b"], is_paused=False)
    store.save_loaded({FILE: [dag("a", digest="d2"), dag("b", digest="d2")]}, paused={"b": True})
    assert [each.is_paused for each in store.list_dags()] == [True, False]


def test_a_file_that_breaks_keeps_its_dags_and_its_problem_until_it_loads(store: Store) -> None:
    problem = ImportProblem(fileloc=FILE, error={"error": "DagFileError", "message": "no"}, at=AT)
    store.save_loaded({FILE: [dag("a")]})
    store.save_loaded({FILE: problem})
    assert store.list_problems() == [problem]
    assert store.list_dags() == [dag("a")]
    store.save_loaded({FILE: [dag("a")]})
    assert store.list_problems() == []


def test_a_forgotten_dag_is_gone(store: Store) -> None:
    store.save_loaded({FILE: [dag("a")]})
    assert store.forget_dag("a") and not store.forget_dag("a")
    assert store.list_dags(only_active=False) == []


def test_variables_and_connections(store: Store) -> None:
    store.save_variable(Variable(name="b", value="1"))
    store.save_variable(Variable(name="a", value="x", description="why"))
    store.save_variable(Variable(name="b", value="2"))
    assert store.list_variables() == [
        Variable(name="a", value="x", description="why"),
        Variable(name="b", value="2"),
    ]
    assert store.load_variable("b") == Variable(name="b", value="2")
    assert store.delete_variable("b") and not store.delete_variable("b")
    assert store.load_variable("b") is None
    row = ConnectionRow(id="db", conn_type="postgres", value="secret")
    store.save_connection(row)
    assert store.list_connections() == [row] and store.load_connection("db") == row
    assert store.delete_connection("db") and store.load_connection("db") is None


def test_pools_have_words_and_go(store: Store) -> None:
    pool = Pool(name="db", slots=3, description="few", include_deferred=True)
    store.save_pools([pool])
    assert pool in store.list_pools()
    assert store.delete_pool("db") and not store.delete_pool("db")
    assert not store.delete_pool("default_pool")
    assert [each.name for each in store.list_pools()] == ["default_pool"]


def test_states_are_kept_until_their_time_is_over(store: Store) -> None:
    store.save_state("task", "n", "1")
    store.save_state("task", "m", "2", until=AT + timedelta(seconds=1))
    assert store.load_state("task", "n", now=AT) == "1"
    assert store.load_state("task", "m", now=AT) == "2"
    assert store.load_state("task", "m", now=AT + timedelta(seconds=1)) is None
    assert store.load_state("other", "n", now=AT) is None
    store.delete_states("task", "n")
    assert store.load_state("task", "n", now=AT) is None
    store.delete_states("task")
    assert store.load_state("task", "m", now=AT) is None


def test_events_have_rising_numbers(store: Store) -> None:
    source = TaskKey(dag_id="d", run_id="r", task_id="t", map_index=2)
    first, second = store.add_events([event(), event("users", extra={"n": 1}, alias="all", source=source)])
    assert first < second
    assert store.list_events() == [event(number=first), event("users", extra={"n": 1}, alias="all", source=source,
                                                              number=second)]  # fmt: skip
    assert [each.number for each in store.list_events(after=first)] == [second]


def test_events_come_with_a_commit_or_not_at_all(store: Store) -> None:
    make_run(store, "load")
    steps = move(key(), S.NONE, S.SCHEDULED, S.QUEUED, S.RUNNING)
    commit(store, *steps[:2])
    store.commit(Batch(transitions=steps[2:], events=[event()]), owner="me")
    assert len(store.list_events()) == 1
    with pytest.raises(ConflictError):
        store.commit(Batch(transitions=steps[2:], events=[event()]), owner="me")
    assert len(store.list_events()) == 1


def test_a_new_dag_does_not_run_for_what_was_before_it(store: Store) -> None:
    (number,) = store.add_events([event()])
    store.save_loaded({FILE: [dag("a")]})
    assert store.load_marks() == {"a": number}
    (later,) = store.add_events([event()])
    made = Run(key=RunKey(dag_id="a", run_id="r"), state=RunState.QUEUED, dag_digest="d", created=AT,
               run_type="asset_triggered", events=(event().to_dict(),))  # fmt: skip
    store.create_run(made, [], mark=later)
    assert store.load_marks() == {"a": later}
    assert store.load_run(made.key) == made


def test_backfills(store: Store) -> None:
    backfill = Backfill(dag_id="a", start=AT, end=AT + timedelta(days=3), created=AT, reverse=True, conf={"n": 1})
    number = store.add_backfill(backfill)
    store.add_backfill(replace(backfill, dag_id="b"))
    assert store.list_backfills(dag_id="a") == [replace(backfill, number=number)]
    store.end_backfill(number, state="done")
    assert [each.state for each in store.list_backfills()] == ["done", "running"]


def test_runs_are_listed_by_state_and_backfill(store: Store) -> None:
    for number, state in enumerate(RunState):
        made = Run(key=RunKey(dag_id="a", run_id=str(number)), state=state, dag_digest="d",
                   created=AT + timedelta(seconds=number), backfill=number % 2)  # fmt: skip
        store.create_run(made, [])
    assert {run.state for run in store.list_runs(states=[RunState.QUEUED, RunState.RUNNING])} == {
        RunState.QUEUED,
        RunState.RUNNING,
    }
    assert [run.state for run in store.list_runs(states=[RunState.FAILED])] == [RunState.FAILED]
    assert {run.backfill for run in store.list_runs(backfill=1)} == {1}


def test_a_run_says_why_it_was_made(store: Store) -> None:
    run = Run(
        key=RUN, state=RunState.QUEUED, dag_digest="d", created=AT, run_type="scheduled", run_after=AT,
        interval_start=AT - timedelta(days=1), interval_end=AT, note="n", clear_number=2, backfill=7,
    )  # fmt: skip
    store.create_run(run, [])
    store.save_note(RUN, "better")
    assert store.load_run(RUN) == replace(run, note="better")


def test_forgotten_runs_are_gone_with_all_that_is_theirs(store: Store) -> None:
    make_run(store, "load")
    commit(store, *move(key(), S.NONE, S.SCHEDULED, S.QUEUED))
    assert store.delete_runs([RUN, replace(RUN, run_id="x")]) == 1
    assert store.list_runs() == []
    make_run(store, "load")
    assert state_of(store, key()) == (S.NONE, 0)
    assert store.list_tries(RUN) == []


def test_how_a_deferred_try_goes_on_is_kept_until_it_ends(store: Store) -> None:
    make_run(store, "load")
    (scheduled, queued, running) = move(key(), S.NONE, S.SCHEDULED, S.QUEUED, S.RUNNING)
    commit(store, scheduled, queued)
    commit(store, running)
    again = replace(move(key(), S.RUNNING, S.DEFERRED, from_try=1)[0], next={"method": "go", "kwargs": {}})
    commit(store, again)
    assert store.list_instances(RUN)[0].next == {"method": "go", "kwargs": {}}
    assert store.list_instances(RUN)[0].first_started == AT
    fired = replace(again, source=S.DEFERRED, target=S.SCHEDULED, next={"method": "go", "event": 1}, label="one")
    commit(store, fired)
    assert store.list_instances(RUN)[0].next == {"method": "go", "event": 1}
    ended = replace(fired, source=S.SCHEDULED, target=S.FAILED, next=None, label="",
                    outcome=Outcome(ending=Failed(reason="no")))  # fmt: skip
    commit(store, ended)
    row = store.list_instances(RUN)[0]
    assert (row.next, row.label, row.state) == (None, "one", S.FAILED)


def finished(store: Store, *tasks: str) -> None:
    """A run that ended, each task with one try that succeeded and an XCom."""
    make_run(store, *tasks)
    for task in tasks:
        scheduled, queued, running = move(key(task), S.NONE, S.SCHEDULED, S.QUEUED, S.RUNNING)
        commit(store, scheduled, queued)
        commit(store, running)
        store.put_xcom(key(task).attempt(1), name="return_value", value="1", length=None)
        done = move(key(task), S.RUNNING, S.SUCCESS, from_try=1)[0]
        commit(store, replace(done, outcome=Outcome(ending=Succeeded())))
    ended = RunTransition(key=RUN, source=RunState.RUNNING, target=RunState.SUCCESS, at=AT)
    store.commit(Batch(runs=[ended]), owner="me")
    store.release_run(RUN, owner="me")


def test_a_cleared_run_begins_anew_and_keeps_its_tries(store: Store) -> None:
    finished(store, "a", "b")
    store.clear(RUN, {key("b"): 2}, at=AT)
    rows = {row.key.task_id: row for row in store.list_instances(RUN)}
    assert (rows["a"].state, rows["b"].state) == (S.SUCCESS, S.NONE)
    assert (rows["b"].try_number, rows["b"].max_tries, rows["b"].ended) == (1, 3, None)
    assert [each.key.task_id for each in store.list_tries(RUN)] == ["a", "b"]
    assert store.list_xcoms(RUN, task_id="a", name="return_value") != []
    assert store.list_xcoms(RUN, task_id="b", name="return_value") == []
    run = store.load_run(RUN)
    assert (run.state, run.ended, run.clear_number) == (RunState.QUEUED, None, 1)


def test_what_runs_is_restarted_by_a_clear_and_its_owner_loses_the_run(store: Store) -> None:
    make_run(store, "load")
    scheduled, queued, running = move(key(), S.NONE, S.SCHEDULED, S.QUEUED, S.RUNNING)
    commit(store, scheduled, queued)
    commit(store, running)
    store.clear(RUN, {key(): 0}, at=AT)
    assert state_of(store, key()) == (S.RESTARTING, 1)
    assert store.load_run(RUN).state is RunState.RUNNING
    assert store.renew_runs([RUN], owner="me", lease_s=60) == frozenset()
    with pytest.raises(ConflictError):
        commit(store, *move(key(), S.RUNNING, S.SUCCESS, from_try=1))


def test_a_person_says_how_instances_and_runs_ended(store: Store) -> None:
    make_run(store, "a", "b")
    store.force(RUN, {key("a"): S.SUCCESS, key("b"): S.SKIPPED}, at=AT, run_state=RunState.FAILED)
    assert [row.state for row in store.list_instances(RUN)] == [S.SUCCESS, S.SKIPPED]
    assert (store.load_run(RUN).state, store.load_run(RUN).ended) == (RunState.FAILED, AT)


def test_a_slot_is_free_once_its_instance_was_cleared_or_forced(store: Store) -> None:
    store.save_pools([Pool(name="one", slots=1)])
    store.create_run(
        Run(key=RUN, state=RunState.RUNNING, dag_digest="d", created=AT),
        [Instance(key=key(task), pool="one") for task in ("a", "b")],
    )
    store.take_run(RUN, owner="me", lease_s=60)
    limits = Limits(pool="one")
    assert not commit(store, *move(key("a"), S.NONE, S.SCHEDULED, S.QUEUED, limits=limits))
    store.force(RUN, {key("a"): S.FAILED}, at=AT)
    store.take_run(RUN, owner="me", lease_s=60)
    assert not commit(store, *move(key("b"), S.NONE, S.SCHEDULED, S.QUEUED, limits=limits))


def test_events_are_listed_by_asset(store: Store) -> None:
    store.add_events([event(), event("users"), event("users", alias="all")])
    assert [each.name for each in store.list_events(name="orders")] == ["orders"]
    assert [each.alias for each in store.list_events(uri="s3://users")] == ["", "all"]
    assert [each.name for each in store.list_events(alias="all", after=1)] == ["users"]


def test_callbacks_are_taken_once_and_again_when_their_owner_died(store: Store, clock: ManualClock) -> None:
    make_run(store, "load")
    call = CallbackRow(call={"name": "on_failure_callback"}, created=AT)
    failed = RunTransition(key=RUN, source=RunState.RUNNING, target=RunState.FAILED, at=AT)
    store.commit(Batch(runs=[failed], callbacks=[call, call]), owner="me")
    (first,) = store.take_callbacks(owner="me", lease_s=10, limit=1)
    assert first.call == call.call
    (second,) = store.take_callbacks(owner="you", lease_s=10)
    assert second.number > first.number
    assert store.take_callbacks(owner="you", lease_s=10) == []
    store.end_callbacks([second.number])
    clock.advance(timedelta(seconds=10))
    assert [each.number for each in store.take_callbacks(owner="you", lease_s=10)] == [first.number]
    store.end_callbacks([first.number])
    assert store.list_callbacks() == []
    assert store.add_callbacks([call])[0] > 0


def test_callbacks_of_an_owner_known_to_be_dead_are_taken_at_once(store: Store) -> None:
    numbers = store.add_callbacks([CallbackRow(call={"n": n}, created=AT) for n in range(3)])
    store.take_callbacks(owner="dead", lease_s=60, limit=1)
    store.take_callbacks(owner="you", lease_s=60, limit=1)
    taken = store.take_callbacks(owner="me", lease_s=60, displacing=["dead", "unknown"])
    assert [each.number for each in taken] == [numbers[0], numbers[2]]
    assert {each.number: each.owner for each in store.list_callbacks()} == dict(
        zip(numbers, ["me", "you", "me"], strict=True)
    )
    assert store.take_callbacks(owner="you", lease_s=60, displacing=["dead"]) == []


def test_a_commit_that_is_refused_calls_nothing_back(store: Store) -> None:
    make_run(store, "load")
    wrong = RunTransition(key=RUN, source=RunState.QUEUED, target=RunState.RUNNING, at=AT)
    with pytest.raises(ConflictError):
        store.commit(Batch(runs=[wrong], callbacks=[CallbackRow(call={}, created=AT)]), owner="me")
    assert store.list_callbacks() == []


def test_schedulers_are_seen(store: Store, clock: ManualClock) -> None:
    store.beat("me")
    clock.advance(timedelta(seconds=5))
    store.beat("me")
    store.beat("you")
    later = AT + timedelta(seconds=5)
    assert store.list_schedulers() == [
        SchedulerRow(owner="me", started=AT, seen=later),
        SchedulerRow(owner="you", started=later, seen=later),
    ]
    store.sign_off("me")
    assert [each.owner for each in store.list_schedulers()] == ["you"]


def test_the_log_is_read_from_its_end(store: Store) -> None:
    store.add_log([LogRow(event="pause", at=AT, who="ann", dag_id="a"), LogRow(event="trigger", at=AT, dag_id="b")])
    store.add_log([LogRow(event="clear", at=AT, dag_id="a", task_id="t", extra={"n": 1})])
    assert [each.event for each in store.list_log(limit=2)] == ["clear", "trigger"]
    found = store.list_log(dag_id="a")
    assert [(each.event, each.who) for each in found] == [("clear", ""), ("pause", "ann")]
    assert (found[0].task_id, found[0].extra, found[0].map_index) == ("t", {"n": 1}, -1)


def test_what_is_old_goes_and_numbers_do_not_come_again(store: Store) -> None:
    last = store.add_events([event(), event(), event()])[-1]
    assert store.forget_old("asset_events", AT) == 0
    assert store.forget_old("asset_events", AT + timedelta(seconds=1)) == 2
    assert store.add_events([event()])[0] > last
    store.save_state("task", "n", "1")
    store.save_state("task", "m", "2", until=AT)
    assert store.forget_old("states", AT + timedelta(seconds=1)) == 1
    store.save_loaded({FILE: [dag("a"), dag("b")]})
    store.save_loaded({FILE: [dag("a")]})
    assert store.forget_old("dag_index", AT + timedelta(seconds=1)) == 1
    assert [each.dag_id for each in store.list_dags(only_active=False)] == ["a"]


def hold(store: Store, pool: Pool) -> None:
    """Of two instances in the pool one is deferred, the other scheduled."""
    store.save_pools([pool])
    store.create_run(
        Run(key=RUN, state=RunState.RUNNING, dag_digest="d", created=AT),
        [Instance(key=key("a", index), pool=pool.name) for index in (0, 1)],
    )
    store.take_run(RUN, owner="me", lease_s=60)
    limits = Limits(pool=pool.name)
    commit(store, *move(key("a", 0), S.NONE, S.SCHEDULED, S.QUEUED, limits=limits))
    commit(store, *move(key("a", 0), S.QUEUED, S.RUNNING, S.DEFERRED, from_try=1))
    commit(store, *move(key("a", 1), S.NONE, S.SCHEDULED))


@pytest.mark.parametrize(("counts", "refused"), [(False, False), (True, True)])
def test_a_pool_says_whether_what_is_deferred_takes_slots(store: Store, counts: bool, refused: bool) -> None:
    hold(store, Pool(name="one", slots=1, include_deferred=counts))
    claim = move(key("a", 1), S.SCHEDULED, S.QUEUED, from_try=1, limits=Limits(pool="one"))
    assert bool(commit(store, *claim)) is refused


@pytest.mark.parametrize(
    ("limits", "refused"), [(Limits(task=1), True), (Limits(task_in_run=1), True), (Limits(run=1), False)]
)
def test_limits_of_a_task_count_what_is_deferred(store: Store, limits: Limits, refused: bool) -> None:
    hold(store, Pool(name="default_pool", slots=8))
    claim = move(key("a", 1), S.SCHEDULED, S.QUEUED, from_try=1, limits=limits)
    assert bool(commit(store, *claim)) is refused


def test_what_was_deferred_takes_its_own_slot_again(store: Store) -> None:
    hold(store, Pool(name="one", slots=1, include_deferred=True))
    limits = Limits(pool="one", task=1)
    deferred = key("a", 0)
    again = [
        replace(step, to_try=1) for step in move(deferred, S.DEFERRED, S.SCHEDULED, S.QUEUED, from_try=1, limits=limits)
    ]
    assert not commit(store, again[0], replace(again[1], try_number=1))
    assert state_of(store, deferred) == (S.QUEUED, 1)


def test_what_a_deferred_try_waits_for_is_kept_while_it_waits(store: Store) -> None:
    make_run(store, "load")
    commit(store, *move(key(), S.NONE, S.SCHEDULED, S.QUEUED, S.RUNNING))
    waits = replace(move(key(), S.RUNNING, S.DEFERRED, from_try=1)[0], trigger={"classpath": "x.Y", "kwargs": {"n": 1}})
    commit(store, waits)
    assert store.list_instances(RUN)[0].trigger == {"classpath": "x.Y", "kwargs": {"n": 1}}
    commit(store, replace(waits, source=S.DEFERRED, target=S.SCHEDULED, trigger=None, next={"method": "m"}))
    row = store.list_instances(RUN)[0]
    assert (row.trigger, row.next) == (None, {"method": "m"})


def test_a_run_that_is_cleared_for_a_backfill_is_one_of_it(store: Store, clock: ManualClock) -> None:
    make_run(store)
    number = store.add_backfill(Backfill(dag_id=RUN.dag_id, start=AT, end=AT, created=AT))
    later = AT + timedelta(hours=1)
    asked = Backfill(dag_id=RUN.dag_id, start=AT, end=AT, created=AT, number=number, conf={"n": 1})
    before = store.load_run(RUN)
    store.clear(RUN, {}, at=later, backfill=asked)
    run = store.load_run(RUN)
    assert (run.backfill, run.run_type, run.conf, run.created) == (number, "backfill", {"n": 1}, later)
    assert (run.logical_date, run.clear_number) == (before.logical_date, before.clear_number + 1)
    store.clear(RUN, {}, at=later, backfill=replace(asked, conf={}))
    assert store.load_run(RUN).conf == {"n": 1}


def test_a_run_with_a_doom_goes_on_until_it_is_cleared(store: Store) -> None:
    make_run(store)
    store.force(RUN, {}, at=AT, run_state=RunState.RUNNING)
    store.force(RUN, {}, at=AT, doom="ended by hand")
    assert (store.load_run(RUN).state, store.load_run(RUN).reason) == (RunState.RUNNING, "ended by hand")
    store.clear(RUN, {}, at=AT)
    assert (store.load_run(RUN).state, store.load_run(RUN).reason) == (RunState.RUNNING, "")
