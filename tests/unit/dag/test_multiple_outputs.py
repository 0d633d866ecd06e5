"""Functions that say that they return a dict, each key of which is then an XCom of its own (reference 4.7)."""

import collections
from collections.abc import Callable, Mapping
from typing import Annotated, Any, NewType, Optional, TypedDict

import pytest

from airdock.dag.function import infers_multiple_outputs
from airdock.dag.serialize import serialize_dag
from airdock.sdk import DAG, task

from .conftest import Load

Alias = dict[str, int]
Named = NewType("Named", dict)


class Typed(TypedDict):
    a: int


class Dict:
    """Nothing like a dict."""


def returning(annotation: Any) -> Callable[[], Any]:
    def function() -> Any: ...

    function.__annotations__ = {"x": "OnlyForCheckers", "return": annotation}
    return function


@pytest.mark.parametrize(
    "annotation",
    [
        dict, dict[str, int], Mapping[str, Any], collections.OrderedDict, Typed, Alias,
        Annotated[dict[str, int], "why"], "dict",
        "dict[str, int]", "Mapping[str, Any]", "collections.OrderedDict[str, int]", "Typed", "Alias",
        "Annotated[Alias, 'why']",
    ],
    ids=str,
)  # fmt: skip
def test_what_is_annotated_as_a_mapping_has_multiple_outputs(annotation: Any) -> None:
    assert infers_multiple_outputs(returning(annotation)) is True


@pytest.mark.parametrize(
    "annotation",
    [
        None, int, list[dict[str, int]], Optional[dict[str, int]], dict[str, int] | None, Any, Named,  # noqa: UP045
        "list[dict]", "dict | None", "Dict", "None", "OnlyForCheckers", "only.for_checkers", "dict[", 3, (1, 2),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_annotated_as_something_else_or_cannot_be_told_has_not(annotation: Any) -> None:
    assert infers_multiple_outputs(returning(annotation)) is False


def test_what_is_not_annotated_has_not() -> None:
    assert infers_multiple_outputs(lambda: {"a": 1}) is False
    assert infers_multiple_outputs(print) is False


def payloads(graph: DAG) -> dict[str, bool]:
    return {each.task_id: each.payload["multiple_outputs"] for each in serialize_dag(graph, loader={}).tasks}


def test_what_is_given_comes_before_what_is_annotated() -> None:
    def plain() -> dict[str, int]:
        return {}

    def unsaid():  # type: ignore[no-untyped-def]
        return {}

    with DAG("d") as graph:
        task(plain)()
        task(task_id="off", multiple_outputs=False)(plain)()
        task(task_id="asked", multiple_outputs=None)(plain)()  # type: ignore[arg-type]
        task(unsaid)()
        task(task_id="on", multiple_outputs=True)(unsaid)()
        task(plain).override(task_id="overridden", multiple_outputs=False)()
    assert payloads(graph) == {
        "plain": True, "off": False, "asked": True, "unsaid": False, "on": True, "overridden": False,
    }  # fmt: skip


def test_each_instance_of_a_mapped_task_has_multiple_outputs() -> None:
    @task
    def split(x: int) -> dict[str, int]:
        return {"half": x // 2}

    @task(requirements=["six"])
    def apart(x: int) -> dict[str, int]:
        return {"half": x // 2}

    @task
    def total(values: list[int]) -> None: ...

    with DAG("d") as graph:
        made = split.expand(x=[1, 2])
        total(made["half"])
        apart.expand_kwargs([{"x": 1}])
    assert payloads(graph) == {"split": True, "total": False, "apart": True}
    assert graph.get_task("total").upstream_task_ids == {"split"}
    assert graph.get_task("split").unmap({"x": 1}).multiple_outputs is True  # type: ignore[attr-defined]


def test_files_with_postponed_annotations_are_read_alike(load: Load) -> None:
    made = load("""
        from __future__ import annotations
        from typing import TYPE_CHECKING, Any
        from airflow.decorators import task
        from airflow.sdk import DAG
        if TYPE_CHECKING:
            from pandas import DataFrame
        Shape = dict[str, int]

        @task
        def one() -> Shape: return {}

        @task
        def two() -> DataFrame: ...

        @task
        def three(x: DataFrame) -> dict[str, Any]: return {}

        with DAG("d"):
            one(), two(), three(1)
    """)
    found = {each.task_id: each.payload["multiple_outputs"] for each in made.tasks}
    assert found == {"one": True, "two": False, "three": True}


def test_a_key_of_a_result_is_what_another_task_is_given() -> None:
    @task
    def split() -> dict[str, int]:
        return {"a": 1}

    asked: list[Any] = []

    class Instance:
        map_index = -1

        def xcom_pull(self, **given: Any) -> Any:
            asked.append(given)
            return 1

    with DAG("d"):
        part = split()["a"]
    assert part.resolve({"ti": Instance()}) == 1
    assert asked == [{"task_ids": "split", "key": "a", "map_indexes": -1, "default": None}]
