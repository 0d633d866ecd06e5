"""What DAG files say: DAGs, tasks, edges, defaults, results of tasks."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from airdock.dag.serialized import SerializedDag
from airdock.errors import DagError, DuplicateTaskError
from airdock.operators.bash import BashOperator
from airdock.operators.empty import EmptyOperator
from airdock.operators.python import PythonOperator
from airdock.sdk import DAG, BaseOperator, XComArg, chain, chain_linear, cross_downstream, dag, task

Load = Callable[[str], SerializedDag]


def empties(*names: str) -> list[EmptyOperator]:
    return [EmptyOperator(task_id=name) for name in names]


def edges(graph: DAG) -> dict[str, list[str]]:
    return {each.task_id: sorted(each.downstream_task_ids) for each in graph.tasks}


def test_arrows_take_tasks_and_lists_on_either_side() -> None:
    with DAG("d") as graph:
        a, b, c, d = empties("a", "b", "c", "d")
        a >> [b, c] >> d
        d << a
    assert edges(graph) == {"a": ["b", "c", "d"], "b": ["d"], "c": ["d"], "d": []}
    assert [each.task_id for each in graph.roots] == ["a"]
    assert [each.task_id for each in graph.leaves] == ["d"]


def test_arrows_point_back_too() -> None:
    with DAG("d") as graph:
        a, b, c = empties("a", "b", "c")
        c << [a, b]
        [c] << a
    assert edges(graph) == {"a": ["c"], "b": ["c"], "c": []}


def test_chain_joins_lists_pair_by_pair_and_chain_linear_all_with_all() -> None:
    with DAG("d") as graph:
        a, b, c, d, e, f = empties("a", "b", "c", "d", "e", "f")
        chain(a, [b, c], [d, e], f)
    assert edges(graph) == {"a": ["b", "c"], "b": ["d"], "c": ["e"], "d": ["f"], "e": ["f"], "f": []}
    with DAG("d") as graph:
        a, b, c, d = empties("a", "b", "c", "d")
        chain_linear([a, b], [c, d])
    assert edges(graph) == {"a": ["c", "d"], "b": ["c", "d"], "c": [], "d": []}
    with DAG("d") as graph:
        a, b, c = empties("a", "b", "c")
        cross_downstream([a, b], c)
    assert edges(graph) == {"a": ["c"], "b": ["c"], "c": []}


def test_chain_refuses_neighbouring_lists_of_other_lengths() -> None:
    with DAG("d"):
        a, b, c = empties("a", "b", "c")
        with pytest.raises(DagError, match="found 2 and 1"):
            chain([a, b], [c])


def test_an_arrow_to_something_else_says_what_it_expected() -> None:
    with DAG("d"):
        (a,) = empties("a")
        with pytest.raises(DagError, match=r"expected a task.*found str"):
            a >> "b"
        with pytest.raises(DagError) as caught:
            a >> print
        assert "call the @task function" in caught.value.hint


def test_results_make_edges_wherever_they_hide_in_the_arguments() -> None:
    @task
    def make() -> int:
        return 1

    @task
    def use(*values: object, **named: object) -> None:
        """Takes anything."""

    with DAG("d") as graph:
        first, second, third = make(), make(), make()
        use([first, {"x": second}], y=(third,))
        BashOperator(task_id="bash", bash_command="echo", env={"X": first})
    assert edges(graph)["make"] == ["bash", "use"]
    assert edges(graph)["make__1"] == edges(graph)["make__2"] == ["use"]


def test_a_key_of_a_result_is_an_xcom_of_that_key() -> None:
    @task(multiple_outputs=True)
    def make() -> dict[str, int]:
        return {"a": 1}

    with DAG("d"):
        result = make()
        part = result["a"]
        assert (part.operator, part.key) == (result.operator, "a")
        with pytest.raises(DagError, match="expected the key of a result to be a string, found int 0"):
            result[0]
        with pytest.raises(TypeError, match="can't be iterated over before it has run"):
            list(result)
    assert str(part) == "{{ ti.xcom_pull(task_ids='make', key='a') }}"


def test_a_joined_task_gets_the_dag_of_the_other() -> None:
    with DAG("d") as graph:
        (inside,) = empties("inside")
    outside = EmptyOperator(task_id="outside")
    inside >> outside
    assert outside.dag is graph
    with pytest.raises(DagError, match="belongs to no DAG"):
        _ = EmptyOperator(task_id="alone").dag


def test_tasks_of_two_dags_can_not_be_joined() -> None:
    with DAG("one"):
        (a,) = empties("a")
    with DAG("two"):
        (b,) = empties("b")
    with pytest.raises(DagError, match="'a' of DAG 'one'"):
        a >> b


def test_an_id_may_be_used_once_and_both_places_are_told() -> None:
    with DAG("d"):
        empties("a")
        with pytest.raises(DuplicateTaskError, match="task id 'a' is used twice in DAG 'd'") as caught:
            empties("a")
    assert "test_authoring.py:" in caught.value.where
    assert "test_authoring.py:" in caught.value.hint


@pytest.mark.parametrize("name", ["", "a b", "ü/x", "x" * 251, 7])
def test_ids_are_checked(name: object) -> None:
    with DAG("d"), pytest.raises(DagError, match="task_id"):
        EmptyOperator(task_id=name)
    with pytest.raises(DagError, match="dag_id"):
        DAG(name)  # type: ignore[arg-type]


def test_an_unknown_keyword_names_the_nearest() -> None:
    with DAG("d"), pytest.raises(DagError, match="EmptyOperator takes no argument 'retrys'") as caught:
        EmptyOperator(task_id="a", retrys=1)
    assert caught.value.hint == "did you mean 'retries'?"
    with pytest.raises(DagError, match="@task takes no argument 'imag'"):
        task(imag="x")
    with pytest.raises(DagError, match="DAG takes no argument 'schedule_interval'") as caught:
        DAG("d", schedule_interval=None)  # type: ignore[call-arg]
    assert "'schedule'" in caught.value.hint


def test_operators_take_keywords_only() -> None:
    with pytest.raises(DagError, match="keyword arguments only"):
        EmptyOperator("a")


def test_every_keyword_of_airflow_is_kept() -> None:
    with DAG("d", default_args={"owner": "me"}, start_date=None, tags=["x"], max_active_runs=1, catchup=False):
        each = EmptyOperator(task_id="a", email="x@y", sla=timedelta(1), executor_config={}, doc_rst="text", inlets=[1])
    assert (each.owner, each.email, each.sla, each.doc_rst) == ("me", "x@y", timedelta(1), "text")


def test_defaults_fill_what_a_task_does_not_say() -> None:
    class Custom(BaseOperator):
        def __init__(self, *, table: str, **arguments: object) -> None:
            super().__init__(**arguments)
            self.table = table

    defaults = {"retries": 2, "retry_delay": 30, "table": "t", "bash_command": "not for this one"}
    with DAG("d", default_args=defaults):
        first = Custom(task_id="a")
        second = Custom(task_id="b", retries=5, default_args={"table": "own"})
    assert (first.retries, first.retry_delay, first.table) == (2, timedelta(seconds=30), "t")
    assert (second.retries, second.table) == (5, "own")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"retries": "x"}, "expected retries to be a whole number, found 'x'"),
        ({"retries": -1}, "expected retries of 0 or more"),
        ({"retry_delay": "soon"}, "expected retry_delay to be a timedelta or a number of seconds, found 'soon'"),
        ({"trigger_rule": "all_sucess"}, "expected trigger_rule to be one of all_success"),
        ({"pool_slots": 0}, "expected pool_slots of 1 or more"),
        ({"weight_rule": "sideways"}, "expected weight_rule to be one of downstream"),
    ],
)
def test_values_are_checked(arguments: dict[str, object], message: str) -> None:
    with DAG("d"), pytest.raises(DagError, match=message):
        EmptyOperator(task_id="a", **arguments)


def test_a_python_callable_has_to_be_one() -> None:
    with DAG("d"), pytest.raises(DagError, match="expected python_callable to be a function, found int"):
        PythonOperator(task_id="a", python_callable=3)


def test_a_task_function_needs_a_dag() -> None:
    @task
    def alone() -> None:
        """Nothing."""

    with pytest.raises(DagError, match="'alone' was called outside of a DAG"):
        alone()


def test_override_makes_another_task_of_the_same_function() -> None:
    @task(retries=1)
    def work() -> None:
        """Nothing."""

    with DAG("d") as graph:
        work.override(task_id="other", retries=3)()
        work()
    assert {name: each.settings.retries for name, each in graph.task_dict.items()} == {"other": 3, "work": 1}


def test_a_decorator_that_is_not_there_yet_says_so() -> None:
    with pytest.raises(AttributeError, match=r"Airdock has no @task\.brunch\. did you mean 'branch'"):
        _ = task.brunch


def test_arguments_of_a_dag_function_are_parameters() -> None:
    seen: list[object] = []

    @dag(tags=["x"])
    def pipeline(size: int = 3, name: str = "n") -> None:
        seen.extend([size, name])
        EmptyOperator(task_id="a")

    made = pipeline(name="other")
    assert made.dag_id == "pipeline"
    assert made.params == {"size": 3, "name": "other"}
    assert [str(each) for each in seen] == ["{{ params['size'] }}", "{{ params['name'] }}"]


def test_what_is_a_mapping_has_multiple_outputs() -> None:
    @task
    def plain() -> dict[str, int]:
        return {}

    @task(multiple_outputs=False)
    def off() -> dict[str, int]:
        return {}

    @task
    def text() -> "list[dict[str, int]]":
        return []

    assert plain.arguments["multiple_outputs"] is True
    assert off.arguments["multiple_outputs"] is False
    assert text.arguments["multiple_outputs"] is False


def test_a_mapped_task_checks_what_it_expands_over() -> None:
    @task
    def work(x: int, y: int = 0) -> int:
        return x + y

    with DAG("d") as graph:
        with pytest.raises(DagError, match="needs at least one keyword"):
            work.expand()
        with pytest.raises(DagError, match="expected 'x' to be a list, a dict or the result"):
            work.expand(x="text")
        with pytest.raises(DagError, match="'x' is given both"):
            work.partial(x=1).expand(x=[1])
        with pytest.raises(DagError, match="'retries' is the same for all instances"):
            BashOperator.partial(task_id="b").expand(retries=[1])
        with pytest.raises(DagError, match="takes no argument 'bash_comand'"):
            BashOperator.partial(task_id="b").expand(bash_comand=["x"])
        result = work.partial(y=1).expand(x=[1, 2])
        assert isinstance(result, XComArg)
        with pytest.raises(DagError, match="found its key 'k'"):
            work.expand(x=result["k"])
        work.expand(x=result)
    assert edges(graph)["work"] == ["work__1"]


def test_a_mapped_operator_is_unmapped_with_the_values_chosen() -> None:
    with DAG("d", default_args={"cwd": "/tmp"}):
        mapped = BashOperator.partial(task_id="b", env={"A": "1"}, retries=2).expand(bash_command=["x", "y"])
    one = mapped.unmap({"bash_command": "y"})
    assert (one.bash_command, one.env, one.retries, one.cwd) == ("y", {"A": "1"}, 2, "/tmp")
    assert mapped.settings.retries == 2
    assert mapped.expansion() == {"bash_command": {"length": 2}}
