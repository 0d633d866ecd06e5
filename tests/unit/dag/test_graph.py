"""The order of tasks, held against a simple model over random graphs."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airdock.dag.graph import leaves, topological_order, total_weights
from airdock.errors import CycleError

Graph = dict[str, set[str]]


@st.composite
def graphs(draw: st.DrawFn, *, acyclic: bool) -> Graph:
    names = draw(st.permutations([f"t{number}" for number in range(draw(st.integers(1, 9)))]))
    graph: Graph = {}
    for index, name in enumerate(names):
        candidates = names[:index] if acyclic else [other for other in names if other != name]
        graph[name] = draw(st.sets(st.sampled_from(candidates))) if candidates else set()
    order = draw(st.permutations(names))
    return {name: graph[name] for name in order}


def reachable(graph: Graph, start: str) -> set[str]:
    found = set(graph[start])
    while more := {other for each in found for other in graph[each]} - found:
        found |= more
    return found


@given(graphs(acyclic=True))
def test_every_task_comes_once_and_after_its_upstream(graph: Graph) -> None:
    order = topological_order(graph)
    assert sorted(order) == sorted(graph)
    place = {task: index for index, task in enumerate(order)}
    assert all(place[before] < place[task] for task in graph for before in graph[task])


@given(graphs(acyclic=False))
def test_a_circle_is_found_exactly_when_a_task_reaches_itself(graph: Graph) -> None:
    circular = any(task in reachable(graph, task) for task in graph)
    try:
        topological_order(graph)
    except CycleError as error:
        assert circular
        shown = error.message.rpartition(": ")[2].split(" -> ")
        assert shown[0] == shown[-1]
        assert len(set(shown)) == len(shown) - 1
        assert all(before in graph[after] for before, after in pairwise(shown))
    else:
        assert not circular


@given(graphs(acyclic=True), st.data())
def test_weights_are_sums_over_all_that_is_reached(graph: Graph, data: st.DataObject) -> None:
    weights = {task: data.draw(st.integers(-3, 3), label=task) for task in graph}
    rules = {task: data.draw(st.sampled_from(["downstream", "upstream", "absolute"]), label=task) for task in graph}
    down: Graph = {task: {other for other in graph if task in graph[other]} for task in graph}
    neighbours = {"downstream": down, "upstream": graph, "absolute": {task: set() for task in graph}}
    expected = {
        task: weights[task] + sum(weights[other] for other in reachable(neighbours[rules[task]], task))
        for task in graph
    }
    assert total_weights(graph, weights, rules) == expected


@given(graphs(acyclic=True))
def test_leaves_are_waited_for_by_none(graph: Graph) -> None:
    assert set(leaves(graph)) == {task for task in graph if not any(task in before for before in graph.values())}


def test_equals_keep_the_order_in_which_they_were_written() -> None:
    assert topological_order({"c": set(), "a": set(), "b": {"c", "a"}}) == ("c", "a", "b")


def test_a_circle_is_shown_in_the_direction_in_which_it_would_run() -> None:
    with pytest.raises(CycleError, match="a -> b -> a"):
        topological_order({"start": set(), "a": {"b", "start"}, "b": {"a"}})


def test_weights_stay_within_32_bits() -> None:
    big = 2**31 - 1
    assert total_weights({"a": set(), "b": {"a"}}, {"a": big, "b": big}, dict.fromkeys("ab", "downstream"))["a"] == big


def test_a_chain_of_thousands_is_no_trouble() -> None:
    graph = {f"t{number}": {f"t{number - 1}"} if number else set() for number in range(5000)}
    weights = total_weights(graph, dict.fromkeys(graph, 1), dict.fromkeys(graph, "downstream"))
    assert (weights["t0"], weights["t4999"]) == (5000, 1)
