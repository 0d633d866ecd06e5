"""Reference 4.6: task groups, labels, setups and teardowns, and what can be expanded over."""

from collections.abc import Iterator
from typing import Any

import pytest

from airdock.dag import scope
from airdock.dag.exceptions import AirflowSkipException
from airdock.dag.serialize import serialize_dag
from airdock.dag.serialized import SerializedDag, SerializedTask
from airdock.errors import DagError, DuplicateTaskError
from airdock.operators.empty import EmptyOperator
from airdock.runner.inside.mapping import choose
from airdock.sdk import DAG, Label, TaskGroup, XComArg, chain, setup, task, task_group, teardown


@pytest.fixture(autouse=True)
def _nothing_left_open() -> Iterator[None]:
    yield
    scope.take_registered()


def empty(task_id: str, **more: Any) -> EmptyOperator:
    return EmptyOperator(task_id=task_id, **more)


def serialized(dag: DAG) -> SerializedDag:
    dag.fileloc = __file__
    return serialize_dag(dag, loader={})


def upstream(dag: DAG) -> dict[str, set[str]]:
    return {each.task_id: set(each.upstream) for each in serialized(dag).tasks}


# Groups


def test_ids_begin_with_those_of_their_groups() -> None:
    with DAG("d") as dag, TaskGroup("outer"):
        empty("a")
        with TaskGroup("inner"):
            empty("b")
        with TaskGroup("plain", prefix_group_id=False):
            empty("c")
    made = serialized(dag)
    assert {each.task_id: each.group for each in made.tasks} == {
        "outer.a": "outer",
        "outer.inner.b": "outer.inner",
        "c": "outer.plain",
    }
    assert {name: group["parent"] for name, group in made.groups.items()} == {
        "outer": "",
        "outer.inner": "outer",
        "outer.plain": "outer",
    }


def test_edges_go_to_roots_and_from_leaves() -> None:
    with DAG("d") as dag:
        with TaskGroup("g") as group:
            first, second, third = empty("a"), empty("b"), empty("c")
            first >> [second, third]
        empty("before") >> group >> [empty("x"), empty("y")]
    assert upstream(dag) == {
        "before": set(),
        "g.a": {"before"},
        "g.b": {"g.a"},
        "g.c": {"g.a"},
        "x": {"g.b", "g.c"},
        "y": {"g.b", "g.c"},
    }


def test_groups_follow_groups_and_stand_in_chains() -> None:
    with DAG("d") as dag:
        with TaskGroup("g") as first:
            empty("a")
        with TaskGroup("h") as second:
            empty("b")
        first << empty("start")
        chain(first, second, [empty("x"), empty("y")])
    assert upstream(dag) == {"start": set(), "g.a": {"start"}, "h.b": {"g.a"}, "x": {"h.b"}, "y": {"h.b"}}


def test_default_args_of_groups_hold_for_what_is_in_them() -> None:
    with DAG("d", default_args={"retries": 1, "owner": "me"}) as dag, TaskGroup("g", default_args={"retries": 2}):
        empty("a")
        with TaskGroup("h", default_args={"owner": "you"}):
            empty("b")
            empty("c", retries=3)
    found = {each.task_id: (each.retries, each.owner) for each in serialized(dag).tasks}
    assert found == {"g.a": (2, "me"), "g.h.b": (2, "you"), "g.h.c": (3, "you")}


def test_a_group_and_a_task_have_ids_of_their_own() -> None:
    with DAG("d"):
        empty("a")
        with pytest.raises(DuplicateTaskError, match="group id 'a' is the id of a task"), TaskGroup("a"):
            pass
        with TaskGroup("g"):
            pass
        with pytest.raises(DuplicateTaskError, match="'g' is used twice"):
            empty("g")


def test_a_group_needs_a_dag() -> None:
    with pytest.raises(DagError, match="belongs to no DAG"):
        TaskGroup("g")


def test_a_function_makes_a_group_each_time_it_is_called() -> None:
    @task
    def add(number: Any) -> int:
        return int(number) + 1

    @task_group
    def twice(number: Any) -> Any:
        """Adds two.

        More."""
        return add(add(number))

    with DAG("d") as dag:
        result = twice(1)
        twice(result)
    made = serialized(dag)
    assert list(made.groups) == ["twice", "twice__1"]
    assert made.groups["twice"]["tooltip"].startswith("Adds two.\n")
    assert {each.task_id: set(each.upstream) for each in made.tasks} == {
        "twice.add": set(),
        "twice.add__1": {"twice.add"},
        "twice__1.add": {"twice.add__1"},
        "twice__1.add__1": {"twice__1.add"},
    }


def test_a_function_without_a_result_gives_its_group() -> None:
    @task_group(group_id="named", tooltip="t")
    def one() -> None:
        empty("a")

    with DAG("d") as dag:
        one() >> empty("end")
    assert upstream(dag) == {"named.a": set(), "end": {"named.a"}}


# Labels


def test_a_label_stands_at_the_edges_between_which_it_is_written() -> None:
    with DAG("d") as dag:
        a, b, c, d = (empty(each) for each in "abcd")
        a >> Label("one") >> [b, c]
        d << Label("two") << b
    assert upstream(dag) == {"a": set(), "b": {"a"}, "c": {"a"}, "d": {"b"}}
    assert set(serialized(dag).labels) == {("a", "b", "one"), ("a", "c", "one"), ("b", "d", "two")}


def test_a_label_stands_before_a_group() -> None:
    with DAG("d") as dag:
        with TaskGroup("g") as group:
            empty("a")
        empty("start") >> Label("go") >> group
    assert serialized(dag).labels == (("start", "g.a", "go"),)


# Setups and teardowns


def found(dag: DAG, task_id: str) -> SerializedTask:
    return serialized(dag).task(task_id)


def test_a_teardown_knows_its_setups() -> None:
    with DAG("d") as dag:
        made, work, gone = empty("make"), empty("work"), empty("gone")
        made >> work >> gone.as_teardown(setups=made)
    assert found(dag, "make").is_setup
    teardown_task = found(dag, "gone")
    assert (teardown_task.is_teardown, teardown_task.setups) == (True, ("make",))
    assert teardown_task.trigger_rule == "all_done_setup_success"
    assert set(teardown_task.upstream) == {"work", "make"}


def test_a_teardown_fails_the_run_where_it_says_so() -> None:
    with DAG("d") as dag:
        empty("a").as_teardown(on_failure_fail_dagrun=True)
        empty("b").as_teardown()
    assert found(dag, "a").on_failure_fail_dagrun and not found(dag, "b").on_failure_fail_dagrun


def test_functions_are_setups_and_teardowns() -> None:
    @setup
    def make() -> int:
        return 1

    @teardown(on_failure_fail_dagrun=True)
    def drop(number: Any) -> None:
        pass

    @teardown
    @task(retries=2)
    def other() -> None:
        pass

    with DAG("d") as dag:
        drop(make())
        other()
    assert found(dag, "make").is_setup
    assert found(dag, "drop").setups == ("make",) and found(dag, "drop").on_failure_fail_dagrun
    assert found(dag, "other").is_teardown and found(dag, "other").retries == 2


def test_what_is_in_the_block_stands_between_setup_and_teardown() -> None:
    with DAG("d") as dag:
        made, gone, early = empty("make").as_setup(), empty("gone"), empty("early")
        with gone.as_teardown(setups=made) as between:
            empty("a") >> empty("b")
            between.add_task(early)
    assert upstream(dag) == {
        "make": set(),
        "early": {"make"},
        "a": {"make"},
        "b": {"a"},
        "gone": {"make", "b", "early"},
    }


def test_only_setups_and_teardowns_open_a_block() -> None:
    with DAG("d"):
        a = empty("a")
        with pytest.raises(DagError, match="only a setup or a teardown"), a:
            pass


def test_nothing_waits_for_the_teardown_of_a_group() -> None:
    with DAG("d") as dag:
        with TaskGroup("g") as group:
            made, work = empty("make"), empty("work")
            made >> work >> empty("gone").as_teardown(setups=made)
        group >> empty("after")
    assert upstream(dag)["after"] == {"g.work"}


# What can be expanded over


class Ti:
    """Has what tasks pushed."""

    def __init__(self, map_index: int = -1, **values: Any) -> None:
        self.map_index, self.values = map_index, values

    def xcom_pull(self, task_ids: str, key: str, map_indexes: int | None, default: Any = None) -> Any:
        value = self.values.get(task_ids, default)
        return value[map_indexes] if map_indexes is not None and map_indexes >= 0 else value

    def choose(self, expanded: dict[str, Any]) -> dict[str, Any]:
        return choose(expanded, self.map_index)  # type: ignore[no-untyped-call, no-any-return]


@pytest.fixture
def numbers() -> Iterator[XComArg]:
    @task
    def give() -> list[int]:
        return [1, 2, 3]

    with DAG("d"):
        yield give()


def items(value: Any, **values: Any) -> list[Any]:
    return list(value.resolve({"ti": Ti(**values)}))


def test_map_makes_each_item_when_it_is_looked_at(numbers: XComArg) -> None:
    made: list[int] = []

    def ten(number: int) -> int:
        made.append(number)
        if number == 2:
            raise AirflowSkipException("not this one")
        return number * 10

    mapped = numbers.map(ten)
    assert mapped.expression() == {"map": {"xcom": "give", "key": "return_value"}}
    resolved = mapped.resolve({"ti": Ti(give=[1, 2, 3])})
    assert (len(resolved), resolved[2], made) == (3, 30, [3])
    with pytest.raises(AirflowSkipException):
        resolved[1]


def test_zip_is_as_long_as_the_shortest_or_with_a_fill_as_the_longest(numbers: XComArg) -> None:
    with scope_of(numbers):
        other = task(lambda: None).override(task_id="other")()
    values = {"give": [1, 2, 3], "other": ["a"]}
    assert items(numbers.zip(other), **values) == [(1, "a")]
    assert items(numbers.zip(other, fillvalue="-"), **values) == [(1, "a"), (2, "-"), (3, "-")]
    assert numbers.zip(other, fillvalue=0).expression()["longest"] is True
    assert numbers.zip(other).expression()["longest"] is False


def test_concat_has_all_items_one_after_the_other(numbers: XComArg) -> None:
    mapped = numbers.concat(numbers.map(lambda number: -number))
    assert items(mapped, give=[1, 2]) == [1, 2, -1, -2]
    assert mapped.expression() == {"concat": [numbers.expression(), {"map": numbers.expression()}]}


def test_a_dict_gives_its_pairs(numbers: XComArg) -> None:
    assert items(numbers.map(lambda pair: pair), give={"a": 1}) == [("a", 1)]


def test_what_is_mapped_is_a_plain_function(numbers: XComArg) -> None:
    with pytest.raises(DagError, match="plain function"):
        numbers.map(task(lambda: None))
    with pytest.raises(DagError, match="found its key 'part'"):
        numbers["part"].map(str)


def scope_of(result: XComArg) -> DAG:
    return result.operator.dag


# Mapped groups


def mapped_group(**expanded: Any) -> DAG:
    @task
    def add(number: Any, more: Any = 0) -> int:
        return int(number)

    @task
    def total(numbers: Any) -> None:
        pass

    @task_group
    def work(number: Any, more: Any = 0) -> Any:
        return add.override(task_id="second")(add.override(task_id="first")(number, more))

    with DAG("d") as dag:
        total(work.expand(**expanded))
    return dag


def test_tasks_of_a_mapped_group_are_in_it_and_wait_for_what_it_is_expanded_over() -> None:
    @task
    def give() -> list[int]:
        return [1]

    with DAG("outer") as dag:
        given = give()

        @task_group
        def work(number: Any) -> None:
            empty("a") >> empty("b")

        work.expand(number=given)
    made = serialized(dag)
    assert {each.task_id: each.map_group for each in made.tasks} == {"give": "", "work.a": "work", "work.b": "work"}
    assert set(made.task("work.a").upstream) == {"give"}
    assert made.groups["work"]["expand"] == {"number": {"xcom": "give", "key": "return_value"}}
    assert made.expansion(made.task("work.b")) == made.groups["work"]["expand"]


def test_an_instance_finds_its_argument_by_its_index() -> None:
    dag = mapped_group(number=[5, 6], more=[1, 2])
    first = dag.task_dict["work.first"]
    args = first.settings.op_args  # type: ignore[attr-defined]
    found = [[each.resolve({"ti": Ti(index)}) for each in args] for index in range(4)]
    assert found == [[5, 1], [5, 2], [6, 1], [6, 2]]


def test_within_a_mapped_group_a_result_is_that_of_the_same_instance_and_outside_a_list() -> None:
    dag = mapped_group(number=[5, 6])
    second, total = dag.task_dict["work.second"], dag.task_dict["total"]
    (inner,) = second.settings.op_args  # type: ignore[attr-defined]
    (outer,) = total.settings.op_args  # type: ignore[attr-defined]
    ti = Ti(1, **{"work.first": ["a", "b"], "work.second": [1, 2]})
    assert inner.resolve({"ti": ti, "task": second}) == "b"
    assert outer.resolve({"ti": ti, "task": total}) == [1, 2]


def test_a_group_is_expanded_over_dicts() -> None:
    @task_group
    def work(a: Any, b: Any) -> None:
        task(lambda a, b: None).override(task_id="t")(a, b)

    with DAG("d") as dag:
        work.expand_kwargs([{"a": 1, "b": 2}, {"a": 3, "b": 4}])
    args = dag.task_dict["work.t"].settings.op_args  # type: ignore[attr-defined]
    assert [each.resolve({"ti": Ti(1)}) for each in args] == [3, 4]
    assert serialized(dag).groups["work"]["expand"] == {"**": {"length": 2}}


def test_neither_groups_nor_tasks_are_mapped_within_a_mapped_group() -> None:
    @task
    def one(number: Any) -> None:
        pass

    @task_group
    def inner(number: Any) -> None:
        one(number)

    @task_group
    def with_group(number: Any) -> None:
        inner.expand(number=[1])

    @task_group
    def with_task(number: Any) -> None:
        one.expand(number=[1])

    with DAG("d"):
        with pytest.raises(DagError, match="in another mapped group"):
            with_group.expand(number=[1])
        with pytest.raises(DagError, match="mapped, and in a mapped group"):
            with_task.expand(number=[1])
