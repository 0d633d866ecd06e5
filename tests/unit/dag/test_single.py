"""One task of a DAG, taken out to be tried."""

import pytest

from airdock.dag.serialized import SerializedDag, SerializedTask
from airdock.dag.single import only
from airdock.errors import DagError

DAG = SerializedDag(
    dag_id="etl",
    fileloc="/etl.py",
    fail_fast=True,
    tasks=(
        SerializedTask(task_id="a", operator="Python"),
        SerializedTask(task_id="b", operator="Python", upstream=("a",), retries=3, depends_on_past=True),
        SerializedTask(task_id="c", operator="Python", upstream=("a",), expand={"x": {"xcom": "a"}}),
        SerializedTask(task_id="d", operator="Python", expand={"x": {"length": 2}}),
    ),
)


def test_a_task_alone_waits_for_nothing_and_is_tried_once() -> None:
    found = only(DAG, "b")
    assert [task.task_id for task in found.tasks] == ["b"]
    assert (found.tasks[0].upstream, found.tasks[0].retries, found.tasks[0].depends_on_past) == ((), 0, False)


def test_a_task_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(DagError, match="has no task 'x'") as caught:
        only(DAG, "x")
    assert caught.value.hint == "it has: a, b, c, d"


def test_a_mapped_task_runs_alone_only_where_it_knows_how_many_it_is() -> None:
    assert only(DAG, "d").tasks[0].is_mapped
    with pytest.raises(DagError, match="mapped over what others push"):
        only(DAG, "c")
