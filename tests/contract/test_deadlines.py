"""What every store promises of when runs have to have ended."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from airdock.errors import ConflictError
from airdock.model.keys import RunKey
from airdock.model.states import RunState
from airdock.store.base import Store
from airdock.store.records import Batch, CallbackRow, Deadline, Run, RunTransition

from .conftest import AT

RUN, OTHER = RunKey(dag_id="d", run_id="one"), RunKey(dag_id="d", run_id="two")
ALERT = {"name": "späte", "interval": {"seconds": 0.1}, "callback": {"kwargs": {"b": 1, "a": [None]}}}
CALL = CallbackRow(call={"name": "deadline"}, created=AT)


def at(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


def make(store: Store, run: RunKey, *due_s: float) -> Sequence[Deadline]:
    made = Run(key=run, state=RunState.QUEUED, dag_digest="d", created=AT)
    store.create_run(made, [], deadlines=[Deadline(run=run, due=at(each), alert=ALERT) for each in due_s])
    return store.list_deadlines(run=run)


def end(store: Store, run: RunKey, state: RunState, seconds: float) -> None:
    store.take_run(run, owner="me", lease_s=60)
    for source, target in ((RunState.QUEUED, RunState.RUNNING), (RunState.RUNNING, state)):
        step = RunTransition(key=run, source=source, target=target, at=at(seconds))
        store.commit(Batch(runs=[step]), owner="me")


def test_deadlines_come_with_their_run(store: Store) -> None:
    assert store.next_deadline() is None
    first, second = make(store, RUN, 20, 10.000001)
    assert (first, second) == (
        Deadline(run=RUN, due=at(20), alert=ALERT, number=first.number),
        Deadline(run=RUN, due=at(10.000001), alert=ALERT, number=second.number),
    )
    (third,) = make(store, OTHER, 15)
    assert store.list_deadlines() == [first, second, third]
    assert store.list_deadlines(until=at(15)) == [second, third]
    assert store.list_deadlines(run=RUN, until=at(15)) == [second]
    assert store.next_deadline() == at(10.000001)
    assert store.next_deadline(run=OTHER) == at(15)
    assert store.next_deadline(run=replace(RUN, run_id="three")) is None


def test_a_run_that_is_refused_leaves_no_deadline(store: Store) -> None:
    make(store, RUN, 10)
    with pytest.raises(ConflictError):
        make(store, RUN, 20)
    assert len(store.list_deadlines()) == 1


def test_a_missed_deadline_has_its_callback_called_once(store: Store) -> None:
    first, second = make(store, RUN, 10, 20)
    assert store.end_deadlines([(first, CALL)]) == [first]
    assert store.end_deadlines([(first, CALL), (second, None)]) == [second]
    assert store.list_deadlines() == []
    assert [row.call for row in store.list_callbacks()] == [CALL.call]


def test_another_deadline_of_the_same_number_is_left_alone(store: Store) -> None:
    (first,) = make(store, RUN, 10)
    store.end_deadlines([(first, None)])
    (other,) = make(store, OTHER, 10)
    assert store.end_deadlines([(replace(first, number=other.number), CALL)]) == []
    assert store.list_deadlines() == [other]
    assert store.list_callbacks() == []


def test_a_run_that_succeeds_takes_the_deadlines_along_that_it_meets(store: Store) -> None:
    _, late, _ = make(store, RUN, 20, 5, 10)
    (other,) = make(store, OTHER, 30)
    end(store, RUN, RunState.SUCCESS, 10)
    assert store.list_deadlines() == [late, other]


def test_a_run_that_fails_keeps_its_deadlines_for_when_it_is_cleared(store: Store) -> None:
    made = make(store, RUN, 20)
    end(store, RUN, RunState.FAILED, 10)
    assert store.list_deadlines() == made


def test_deadlines_go_with_their_run(store: Store) -> None:
    make(store, RUN, 10, 20)
    kept = make(store, OTHER, 10)
    assert store.delete_runs([RUN]) == 1
    assert store.list_deadlines() == kept
