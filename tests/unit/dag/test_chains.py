"""`chain`, `chain_linear` and `cross_downstream` over tasks, results, lists, groups and labels."""

from typing import Any

import pytest

from airdock.errors import DagError
from airdock.operators.empty import EmptyOperator
from airdock.sdk import DAG, Label, TaskGroup, chain, chain_linear, cross_downstream, task, task_group


def empty(name: str) -> EmptyOperator:
    return EmptyOperator(task_id=name)


def upstream(graph: DAG) -> dict[str, set[str]]:
    return {each.task_id: set(each.upstream_task_ids) for each in graph.tasks if each.upstream_task_ids}


def group(name: str, *inside: str) -> TaskGroup:
    """One after the other."""
    with TaskGroup(name) as made:
        chain(*map(empty, inside))
    return made


@task
def result(name: str) -> str:
    return name


def test_cross_downstream_joins_every_pair_with_groups_at_their_ends() -> None:
    with DAG("d") as graph:
        cross_downstream([empty("a"), group("g", "b", "c")], [group("h", "d", "e"), empty("f")])
    assert upstream(graph) == {"g.c": {"g.b"}, "h.e": {"h.d"}, "h.d": {"a", "g.c"}, "f": {"a", "g.c"}}


def test_cross_downstream_takes_results_and_a_single_end() -> None:
    with DAG("d") as graph:
        cross_downstream([result("a"), result("b")], group("g", "c"))
    assert upstream(graph) == {"g.c": {"result", "result__1"}}
    with DAG("d") as graph:
        cross_downstream(from_tasks=(empty("a"), empty("b")), to_tasks=(result("c"), empty("d")))
    assert upstream(graph) == {"result": {"a", "b"}, "d": {"a", "b"}}


def test_cross_downstream_of_one_group_is_of_each_task_in_it() -> None:
    """As in Airflow, where a group that isn't in a list is gone through as one."""
    with DAG("d") as graph:
        one: Any = group("g", "a", "b")
        cross_downstream(one, empty("c"))
    assert upstream(graph) == {"g.b": {"g.a"}, "c": {"g.a", "g.b"}}


def test_a_group_with_a_teardown_ends_before_it() -> None:
    with DAG("d") as graph:
        with TaskGroup("g") as made:
            opened, worked = empty("open").as_setup(), empty("work")
            opened >> worked >> empty("close").as_teardown(setups=opened)
        chain_linear(empty("a"), [made, empty("b")], empty("c"))
    assert upstream(graph) == {
        "g.open": {"a"}, "g.work": {"g.open"}, "g.close": {"g.open", "g.work"}, "b": {"a"}, "c": {"g.work", "b"},
    }  # fmt: skip


def test_chain_linear_joins_neighbours_of_any_length_and_groups() -> None:
    with DAG("d") as graph:
        chain_linear(empty("a"), [empty("b"), group("g", "c", "d")], (empty("e"), result("x"), empty("f")), empty("h"))
    between = {"b", "g.d"}
    assert upstream(graph) == {
        "b": {"a"}, "g.c": {"a"}, "g.d": {"g.c"}, "e": between, "result": between, "f": between,
        "h": {"e", "result", "f"},
    }  # fmt: skip


def test_chain_linear_joins_mapped_groups_at_their_ends() -> None:
    @task_group
    def each(x: int) -> None:
        result(x) >> empty("last")  # type: ignore[arg-type]

    with DAG("d") as graph:
        chain_linear(empty("a"), each.expand(x=[1, 2]), [empty("b"), empty("c")])
    assert upstream(graph) == {
        "each.result": {"a"}, "each.last": {"each.result"}, "b": {"each.last"}, "c": {"each.last"},
    }  # fmt: skip


def test_chain_linear_breaks_at_an_empty_list_and_refuses_to_join_nothing() -> None:
    with DAG("d") as graph:
        chain_linear(empty("a"), [], empty("b"), empty("c"))
    assert upstream(graph) == {"c": {"b"}}
    with DAG("d"):
        for nothing in ((), (empty("a"),), ([empty("b"), empty("c")],), ([], empty("d")), ([], [])):
            with pytest.raises(DagError, match="chain_linear"):
                chain_linear(*nothing)


def test_a_list_that_was_not_spread_is_told() -> None:
    with DAG("d"), pytest.raises(DagError) as caught:
        chain_linear([empty("a"), empty("b")])
    assert "chain_linear(*steps)" in caught.value.hint


def test_labels_stand_in_chain_and_not_in_chain_linear() -> None:
    with DAG("d") as graph:
        chain(empty("a"), [Label("one"), Label("two")], [empty("b"), result("c")], group("g", "d"), empty("e"))
    assert upstream(graph) == {"b": {"a"}, "result": {"a"}, "g.d": {"b", "result"}, "e": {"g.d"}}
    assert graph.edge_labels == {("a", "b"): "one", ("a", "result"): "two"}
    with DAG("d") as graph:
        with pytest.raises(DagError, match="found a Label"):
            chain_linear(empty("a"), Label("one"), empty("b"))
        assert upstream(graph) == {}  # nothing is half joined


def test_chain_joins_lists_of_groups_pair_by_pair() -> None:
    with DAG("d") as graph:
        chain([group("g", "a"), empty("b")], [empty("c"), group("h", "d", "e")])
    assert upstream(graph) == {"c": {"g.a"}, "h.d": {"b"}, "h.e": {"h.d"}}
