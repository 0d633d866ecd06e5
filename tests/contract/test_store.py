"""What every store promises."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

from airdock.clock import ManualClock
from airdock.errors import ConflictError, StoreError, UnknownRunError
from airdock.model.environment import Environment
from airdock.model.keys import RunKey, TaskKey
from airdock.model.outcome import Failed, Lost, Outcome, Succeeded
from airdock.model.states import TRANSITIONS, RunState, TaskState
from airdock.store.base import Store
from airdock.store.records import (
    Answer,
    Batch,
    Expansion,
    Instance,
    Limits,
    Pool,
    Run,
    RunTransition,
    Transition,
)

from .conftest import AT

RUN = RunKey(dag_id="sales", run_id="manual__1")
S = TaskState


def key(task_id: str = "load", map_index: int = -1, run: RunKey = RUN) -> TaskKey:
    return TaskKey(dag_id=run.dag_id, run_id=run.run_id, task_id=task_id, map_index=map_index)


def make_run(store: Store, *tasks: str, run: RunKey = RUN, owner: str = "me") -> None:
    store.create_run(
        Run(key=run, state=RunState.RUNNING, dag_digest="d", created=AT),
        [Instance(key=key(task, run=run), max_tries=1) for task in tasks],
    )
    store.take_run(run, owner=owner, lease_s=60)


def move(at: TaskKey, *states: TaskState, from_try: int = 0, limits: Limits | None = None) -> list[Transition]:
    """Transitions along these states; going to `scheduled` begins a try."""
    found, number = [], from_try
    for source, target in pairwise(states):
        to_try = number + (target is S.SCHEDULED)
        found.append(
            Transition(
                key=at,
                source=source,
                target=target,
                try_number=number,
                to_try=to_try,
                at=AT,
                digest="sha256:1" if target is S.QUEUED else "",
                executor="local" if target is S.QUEUED else "",
                limits=limits,
            )
        )
        number = to_try
    return found


def commit(store: Store, *transitions: Transition, owner: str = "me") -> frozenset[TaskKey]:
    return store.commit(Batch(transitions=transitions), owner=owner)


def state_of(store: Store, at: TaskKey) -> tuple[TaskState, int]:
    found = {row.key: row for row in store.list_instances(at.run)}[at]
    return found.state, found.try_number


def test_a_run_comes_back_as_it_was_made(store: Store) -> None:
    run = Run(
        key=RUN,
        state=RunState.QUEUED,
        dag_digest="sha256:ab",
        created=AT,
        logical_date=AT - timedelta(days=1),
        conf={"limit": [1, None, "ü"]},
    )
    rows = [Instance(key=key("b", 1), pool="big", pool_slots=3, max_tries=2, until=AT), Instance(key=key("a"))]
    store.create_run(run, rows)
    assert store.load_run(RUN) == run
    assert store.list_instances(RUN) == [rows[1], rows[0]]
    assert store.list_runs() == store.list_runs(dag_id="sales", run_id="manual__1") == [run]
    assert store.list_runs(dag_id="other") == []


def test_keys_keep_their_order(store: Store) -> None:
    given = {"z": 1, "a": {"y": 2, "b": 3}}
    store.create_run(Run(key=RUN, state=RunState.QUEUED, dag_digest="d", created=AT, conf=given), [])
    store.save_dag("d", dag_id=RUN.dag_id, body={"params": given})
    for found in (store.load_run(RUN).conf, store.load_dag("d")["params"]):
        assert [*found, *found["a"]] == ["z", "a", "y", "b"]


def test_a_run_is_made_once(store: Store) -> None:
    make_run(store, "load")
    with pytest.raises(ConflictError):
        make_run(store, "load")
    other = Run(key=replace(RUN, run_id="2"), state=RunState.QUEUED, dag_digest="d", created=AT, logical_date=AT)
    store.create_run(other, [])
    with pytest.raises(ConflictError):
        store.create_run(replace(other, key=replace(RUN, run_id="3")), [])


def test_runs_are_listed_newest_first(store: Store) -> None:
    for minute in range(3):
        run = replace(RUN, run_id=str(minute))
        store.create_run(
            Run(key=run, state=RunState.QUEUED, dag_digest="d", created=AT + timedelta(minutes=minute)), []
        )
    assert [run.key.run_id for run in store.list_runs(limit=2)] == ["2", "1"]


def test_what_is_not_there_is_said(store: Store) -> None:
    with pytest.raises(UnknownRunError):
        store.load_run(RUN)
    with pytest.raises(UnknownRunError):
        store.list_instances(RUN)
    with pytest.raises(StoreError):
        store.load_dag("sha256:none")


def test_dags_are_kept_by_digest(store: Store) -> None:
    store.save_dag("sha256:1", dag_id="sales", body={"tasks": [{"task_id": "ü"}]})
    store.save_dag("sha256:1", dag_id="sales", body={"tasks": [{"task_id": "ü"}]})
    assert store.load_dag("sha256:1") == {"tasks": [{"task_id": "ü"}]}


def test_pools_begin_with_the_default(store: Store) -> None:
    assert store.list_pools() == [Pool(name="default_pool", slots=128)]
    store.save_pools([Pool(name="small", slots=1), Pool(name="default_pool", slots=4)])
    assert store.list_pools() == [Pool(name="default_pool", slots=4), Pool(name="small", slots=1)]


def test_transitions_follow_each_other_in_a_batch(store: Store) -> None:
    make_run(store, "load")
    assert commit(store, *move(key(), S.NONE, S.SCHEDULED, S.QUEUED)) == frozenset()
    assert state_of(store, key()) == (S.QUEUED, 1)
    commit(store, *move(key(), S.QUEUED, S.RUNNING, S.SUCCESS, from_try=1))
    (row,) = store.list_instances(RUN)
    assert (row.state, row.executor, row.started, row.ended, row.max_tries) == (S.SUCCESS, "local", AT, AT, 1)


def test_a_state_that_is_not_the_expected_one_refuses_the_whole_batch(store: Store) -> None:
    make_run(store, "good", "bad")
    commit(store, *move(key("bad"), S.NONE, S.SKIPPED))
    with pytest.raises(ConflictError, match="expected none in try 0, found skipped in try 0") as found:
        commit(store, *move(key("good"), S.NONE, S.SUCCESS), *move(key("bad"), S.NONE, S.SUCCESS))
    assert found.value.where == "bad"
    assert state_of(store, key("good")) == (S.NONE, 0)


def test_another_try_is_another_thing(store: Store) -> None:
    make_run(store, "load")
    commit(store, *move(key(), S.NONE, S.SCHEDULED, S.QUEUED))
    with pytest.raises(ConflictError):
        commit(store, *move(key(), S.QUEUED, S.SUCCESS, from_try=2))


@pytest.mark.parametrize("source", list(TaskState))
def test_only_the_table_of_transitions_is_allowed(store: Store, source: TaskState) -> None:
    make_run(store, "load")
    for target in set(TaskState) - TRANSITIONS[source]:
        with pytest.raises(StoreError):
            commit(store, *move(key(), source, target))
    assert state_of(store, key()) == (S.NONE, 0)


def test_an_instance_that_is_not_there_conflicts(store: Store) -> None:
    make_run(store, "load")
    with pytest.raises(ConflictError, match="found nothing"):
        commit(store, *move(key("none"), S.NONE, S.SUCCESS))


def test_only_the_owner_changes_a_run(store: Store) -> None:
    make_run(store, "load")
    with pytest.raises(ConflictError) as found:
        commit(store, *move(key(), S.NONE, S.SUCCESS), owner="you")
    assert found.value.where == "me"
    store.release_run(RUN, owner="me")
    with pytest.raises(ConflictError):
        commit(store, *move(key(), S.NONE, S.SUCCESS))
    assert state_of(store, key()) == (S.NONE, 0)


def test_a_lease_keeps_others_out_until_it_ends(store: Store, clock: ManualClock) -> None:
    make_run(store, "load")
    with pytest.raises(ConflictError) as found:
        store.take_run(RUN, owner="you", lease_s=60)
    assert found.value.where == "me"
    clock.advance(timedelta(seconds=59))
    assert store.renew_runs([RUN], owner="me", lease_s=60) == {RUN}
    clock.advance(timedelta(seconds=59))
    with pytest.raises(ConflictError):
        store.take_run(RUN, owner="you", lease_s=60)
    clock.advance(timedelta(seconds=1))
    taken = store.take_run(RUN, owner="you", lease_s=60)
    assert (taken.owner, taken.lease_until) == ("you", clock.now() + timedelta(seconds=60))
    assert store.renew_runs([RUN], owner="me", lease_s=60) == frozenset()


def test_a_dead_owner_can_be_displaced(store: Store) -> None:
    make_run(store, "load")
    with pytest.raises(ConflictError):
        store.take_run(RUN, owner="you", lease_s=60, displacing="somebody")
    assert store.take_run(RUN, owner="you", lease_s=60, displacing="me").owner == "you"


def test_a_released_run_is_free(store: Store) -> None:
    make_run(store, "load")
    store.release_run(RUN, owner="you")
    assert store.load_run(RUN).owner == "me"
    store.release_run(RUN, owner="me")
    assert store.take_run(RUN, owner="you", lease_s=60).owner == "you"


def test_a_pool_gives_no_more_slots_than_it_has(store: Store) -> None:
    store.save_pools([Pool(name="small", slots=3)])
    make_run(store, "a", "b", "c")
    limits = Limits(pool="small", pool_slots=2)
    wanted = [step for task in "abc" for step in move(key(task), S.NONE, S.SCHEDULED, S.QUEUED, limits=limits)]
    assert commit(store, *wanted) == {key("b"), key("c")}
    assert [state_of(store, key(task))[0] for task in "abc"] == [S.QUEUED, S.SCHEDULED, S.SCHEDULED]
    # What ends in a batch makes room in that batch.
    ends = move(key("a"), S.QUEUED, S.RUNNING, S.SUCCESS, from_try=1)
    more = [step for task in "bc" for step in move(key(task), S.SCHEDULED, S.QUEUED, from_try=1, limits=limits)]
    assert commit(store, *more, *ends) == {key("c")}


def test_slots_are_shared_by_all_runs(store: Store) -> None:
    store.save_pools([Pool(name="small", slots=1)])
    other = replace(RUN, run_id="2")
    make_run(store, "a")
    make_run(store, "a", run=other)
    limits = Limits(pool="small")
    assert not commit(store, *move(key("a"), S.NONE, S.SCHEDULED, S.QUEUED, limits=limits))
    wanted = move(key("a", run=other), S.NONE, S.SCHEDULED, S.QUEUED, limits=limits)
    assert commit(store, *wanted) == {key("a", run=other)}


def test_an_instance_can_give_back_and_claim_its_own_slot(store: Store) -> None:
    store.save_pools([Pool(name="small", slots=1)])
    make_run(store, "a")
    limits = Limits(pool="small", run=1)
    commit(store, *move(key("a"), S.NONE, S.SCHEDULED, S.QUEUED, limits=limits))
    again = move(key("a"), S.QUEUED, S.SCHEDULED, S.QUEUED, from_try=1, limits=limits)
    assert not commit(store, *again)
    assert state_of(store, key("a")) == (S.QUEUED, 2)


def test_an_unlimited_pool_has_room(store: Store) -> None:
    store.save_pools([Pool(name="wide", slots=-1)])
    make_run(store, *"abc")
    limits = Limits(pool="wide", pool_slots=1000)
    assert not commit(
        store, *[step for task in "abc" for step in move(key(task), S.NONE, S.SCHEDULED, S.QUEUED, limits=limits)]
    )


def test_a_pool_that_is_not_there_has_no_room_until_it_is(store: Store) -> None:
    make_run(store, "a")
    assert commit(store, *move(key("a"), S.NONE, S.SCHEDULED, S.QUEUED, limits=Limits(pool="none"))) == {key("a")}
    assert state_of(store, key("a")) == (S.SCHEDULED, 1)
    store.save_pools([Pool(name="none", slots=1)])
    assert not commit(store, *move(key("a"), S.SCHEDULED, S.QUEUED, from_try=1, limits=Limits(pool="none")))


@pytest.mark.parametrize(
    ("limits", "other_run", "queued"),
    [
        (Limits(run=2), False, 2),
        (Limits(task_in_run=1), False, 1),
        (Limits(task=1), False, 1),
        (Limits(task=1), True, 0),
        (Limits(task_in_run=1), True, 1),
        (Limits(run=1), True, 1),
    ],
)
def test_limits_count_what_is_queued_and_running(store: Store, limits: Limits, other_run: bool, queued: int) -> None:
    other = replace(RUN, run_id="other")
    make_run(store, "a", run=other)
    if other_run:
        commit(store, *move(key("a", run=other), S.NONE, S.SCHEDULED, S.QUEUED, S.RUNNING))
    make_run(store, "a")
    store.commit(Batch(expansions=[Expansion(run=RUN, task_id="a", length=4)]), owner="me")
    wanted = [key("a", index) for index in range(4)]
    steps = [step for at in wanted for step in move(at, S.NONE, S.SCHEDULED, S.QUEUED, limits=limits)]
    assert commit(store, *steps) == frozenset(wanted[queued:])


def test_an_expanded_task_grows(store: Store) -> None:
    make_run(store, "a")
    store.commit(Batch(expansions=[Expansion(run=RUN, task_id="a", length=2)]), owner="me")
    store.commit(Batch(expansions=[Expansion(run=RUN, task_id="a", length=1, first=2)]), owner="me")
    more = Expansion(run=RUN, task_id="a", length=4, first=2, max_tries=5)
    store.commit(Batch(expansions=[more], transitions=move(key("a", 3), S.NONE, S.SCHEDULED)), owner="me")
    assert [(row.key.map_index, row.state, row.max_tries) for row in store.list_instances(RUN)] == [
        (0, S.NONE, 1),
        (1, S.NONE, 1),
        (2, S.NONE, 5),
        (3, S.SCHEDULED, 5),
    ]


def test_a_mapped_task_expands_once(store: Store) -> None:
    make_run(store, "a", "b")
    batch = Batch(
        expansions=[Expansion(run=RUN, task_id="b", length=2)],
        transitions=move(key("b", 1), S.NONE, S.SCHEDULED, S.QUEUED),
    )
    store.commit(batch, owner="me")
    rows = store.list_instances(RUN)
    assert [(row.key.label, row.state, row.max_tries) for row in rows] == [
        ("a", S.NONE, 1),
        ("b[0]", S.NONE, 1),
        ("b[1]", S.QUEUED, 1),
    ]
    with pytest.raises(ConflictError):
        store.commit(batch, owner="me")


def test_tries_keep_their_outcomes(store: Store) -> None:
    make_run(store, "load")
    failed, lost = Outcome(ending=Failed(reason="no"), node="n"), Outcome(ending=Lost(reason="power"))
    commit(store, *move(key(), S.NONE, S.SCHEDULED, S.QUEUED, S.RUNNING))
    retry = move(key(), S.RUNNING, S.UP_FOR_RETRY, from_try=1)[0]
    commit(store, replace(retry, outcome=failed, until=AT + timedelta(minutes=5)))
    (row,) = store.list_instances(RUN)
    assert (row.state, row.until) == (S.UP_FOR_RETRY, AT + timedelta(minutes=5))
    commit(store, *move(key(), S.UP_FOR_RETRY, S.SCHEDULED, S.QUEUED, from_try=1))
    again = move(key(), S.QUEUED, S.SCHEDULED, from_try=2)[0]
    commit(store, replace(again, outcome=lost, max_tries=2))
    found = store.list_tries(RUN)
    assert [(each.key.try_number, each.outcome) for each in found] == [(1, failed), (2, lost)]
    assert [(each.digest, each.executor, each.queued) for each in found] == [("sha256:1", "local", AT)] * 2
    (row,) = store.list_instances(RUN)
    assert (row.state, row.try_number, row.max_tries, row.until) == (S.SCHEDULED, 3, 2, None)


def test_a_try_that_was_never_queued_can_end(store: Store) -> None:
    make_run(store, "load")
    steps = move(key(), S.NONE, S.SCHEDULED, S.FAILED)
    outcome = Outcome(ending=Failed(reason="no image", retryable=False))
    commit(store, steps[0], replace(steps[1], outcome=outcome))
    assert [each.outcome for each in store.list_tries(RUN)] == [outcome]
    assert store.list_decisions(RUN) == []


def test_what_decided_to_skip_is_found_while_it_stands(store: Store) -> None:
    make_run(store, "branch", "plain", "other")
    for name, skip in (("branch", (("other", -1),)), ("plain", ())):
        commit(store, *move(key(name), S.NONE, S.SCHEDULED, S.QUEUED))
        (end,) = move(key(name), S.QUEUED, S.SUCCESS, from_try=1)
        commit(store, replace(end, outcome=Outcome(ending=Succeeded(skip=skip))))
    assert [(each.key.task_id, each.skip) for each in store.list_decisions(RUN)] == [("branch", (("other", -1),))]
    store.clear(RUN, {key("branch"): 0}, at=AT)
    assert store.list_decisions(RUN) == []


def test_xcoms_belong_to_the_latest_try(store: Store) -> None:
    make_run(store, "load", "other")
    with pytest.raises(ConflictError):
        store.put_xcom(key().attempt(1), name="return_value", value="1", length=None)
    commit(store, *move(key(), S.NONE, S.SCHEDULED, S.QUEUED))
    store.put_xcom(key().attempt(1), name="return_value", value="[1]", length=1)
    store.put_xcom(key().attempt(1), name="return_value", value="[1, 2]", length=2)
    store.put_xcom(key().attempt(1), name="note", value='"ü"', length=None)
    assert [xcom.value for xcom in store.list_xcoms(RUN, task_id="load", name="return_value")] == ["[1, 2]"]
    assert store.list_lengths(RUN, task_id="load") == {-1: 2}
    assert store.list_lengths(RUN, task_id="load", name="note") == {-1: None}
    assert store.list_lengths(RUN, task_id="other") == {}
    commit(store, *move(key(), S.QUEUED, S.RUNNING, S.UP_FOR_RETRY, from_try=1))
    with pytest.raises(ConflictError):
        store.put_xcom(key().attempt(1), name="late", value="1", length=None)
    assert store.list_lengths(RUN, task_id="load") == {-1: 2}
    commit(store, *move(key(), S.UP_FOR_RETRY, S.SCHEDULED, from_try=1))
    assert store.list_lengths(RUN, task_id="load") == {}
    assert store.list_xcoms(RUN, task_id="load", name="note") == []


def test_xcoms_of_a_mapped_task_come_by_index(store: Store) -> None:
    make_run(store, "a")
    store.commit(Batch(expansions=[Expansion(run=RUN, task_id="a", length=12)]), owner="me")
    for index in (11, 2, 0):
        commit(store, *move(key("a", index), S.NONE, S.SCHEDULED, S.QUEUED))
        store.put_xcom(key("a", index).attempt(1), name="return_value", value=str(index), length=None)
    found = store.list_xcoms(RUN, task_id="a", name="return_value")
    assert [(xcom.key.map_index, xcom.value) for xcom in found] == [(0, "0"), (2, "2"), (11, "11")]
    one = store.list_xcoms(RUN, task_id="a", name="return_value", map_index=2)
    assert [xcom.value for xcom in one] == ["2"]


def test_answers_are_kept_by_environment(store: Store) -> None:
    make_run(store, "a")
    pandas = Environment(requirements=("pandas==1.5.3", "numpy<2"), python="3.9")
    first = Answer(run=RUN, environment=pandas, at=AT, error={"message": "no"})
    second = Answer(run=RUN, environment=pandas, at=AT, digest="sha256:1", reused=True)
    host = Answer(run=RUN, environment=Environment(), at=AT + timedelta(seconds=1), digest="sha256:2")
    store.commit(Batch(answers=[first]), owner="me")
    assert store.list_answers(RUN) == [first]
    store.commit(Batch(answers=[second, host]), owner="me")
    assert store.list_answers(RUN) == [second, host]


def test_runs_change_by_compare_and_set(store: Store) -> None:
    store.create_run(Run(key=RUN, state=RunState.QUEUED, dag_digest="d", created=AT), [])
    store.take_run(RUN, owner="me", lease_s=60)
    start = RunTransition(key=RUN, source=RunState.QUEUED, target=RunState.RUNNING, at=AT)
    store.commit(Batch(runs=[start]), owner="me")
    with pytest.raises(ConflictError, match="expected the run queued, found it running"):
        store.commit(Batch(runs=[start]), owner="me")
    end = RunTransition(
        key=RUN, source=RunState.RUNNING, target=RunState.FAILED, at=AT + timedelta(seconds=5), reason="load failed"
    )
    store.commit(Batch(runs=[end]), owner="me")
    run = store.load_run(RUN)
    assert (run.state, run.started, run.ended) == (RunState.FAILED, AT, AT + timedelta(seconds=5))
    assert run.reason == "load failed"


def test_a_run_goes_on_with_another_version(store: Store) -> None:
    make_run(store, "stays", "goes")
    commit(store, *move(key("stays"), S.NONE, S.SCHEDULED, S.QUEUED, S.RUNNING, S.SUCCESS))
    commit(store, *move(key("goes"), S.NONE, S.SCHEDULED))
    store.pin(RUN, "sha256:new", kept=["stays", "elsewhere"], added=[Instance(key=key("new"), max_tries=3)])
    assert {row.key.task_id: (row.state, row.max_tries) for row in store.list_instances(RUN)} == {
        "stays": (S.SUCCESS, 1),
        "new": (S.NONE, 3),
    }
    run = store.load_run(RUN)
    assert (run.dag_digest, run.owner) == ("sha256:new", "")
    with pytest.raises(ConflictError):
        commit(store, *move(key("new"), S.NONE, S.SCHEDULED))


def test_a_version_without_what_goes_on_is_refused(store: Store) -> None:
    make_run(store, "stays", "runs")
    commit(store, *move(key("runs"), S.NONE, S.SCHEDULED, S.QUEUED, S.RUNNING))
    with pytest.raises(ConflictError, match="task runs isn't in the new version"):
        store.pin(RUN, "sha256:new", kept=["stays"], added=[Instance(key=key("new"))])
    assert {row.key.task_id for row in store.list_instances(RUN)} == {"stays", "runs"}
    assert store.load_run(RUN).owner == "me"
