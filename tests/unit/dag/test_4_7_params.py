"""Reference 4.7, params: merged from DAG, task and conf, checked by JSON Schema when a run is made."""

from collections.abc import Callable
from typing import NoReturn

import pytest

from airdock.dag.param import Param, ParamsDict, check_params
from airdock.dag.serialized import SerializedDag
from airdock.errors import ConfigError, DagError
from airdock.orchestrator import Orchestrator
from airdock.store.memory import MemoryStore

Load = Callable[[str], SerializedDag]

HEAD = "from airdock.sdk import DAG, Param, dag, task\n"


def test_values_and_schemas_are_serialised(load: Load) -> None:
    found = load(f"""{HEAD}
with DAG("d", params={{
    "n": Param(5, "how many", type="integer", minimum=3, title="N"),
    "names": Param(["a"], type="array", items={{"type": "string"}}),
    "plain": 1,
    "must": Param(type="string"),
}}) as d:
    @task(params={{"own": Param("x", type="string"), "plain": 2}})
    def t(): ...
    t()
    assert (d.params["n"], d.params["must"]) == (5, None)
""")
    assert found.params == {"n": 5, "names": ["a"], "plain": 1, "must": None}
    assert found.param_schemas == {
        "n": {"type": "integer", "minimum": 3, "title": "N", "description": "how many"},
        "names": {"type": "array", "items": {"type": "string"}},
        "must": {"type": "string", "airdock:required": True},
    }
    assert found.tasks[0].payload["params"] == {"n": 5, "names": ["a"], "plain": 2, "must": None, "own": "x"}


def test_arguments_of_a_dag_function(load: Load) -> None:
    found = load(f"""{HEAD}
@dag
def d(n: int, m=Param(2, type="integer"), k=3):
    @task
    def t(n): ...
    t(n)
d()
""")
    assert found.params == {"n": None, "m": 2, "k": 3}
    assert found.param_schemas == {"n": {"airdock:required": True}, "m": {"type": "integer"}}


@pytest.mark.parametrize(
    ("param", "says"),
    [
        ('Param(1, type="string")', "param 'n': expected string, found 1"),
        ('Param(type="string")', "param 'n': expected a value, found none"),
        ('Param("a", pattern="(")', "param 'n': its schema can't be understood"),
    ],
)
def test_a_dag_with_a_schedule_needs_defaults_that_hold(load: Load, param: str, says: str) -> None:
    text = 'with DAG("d", schedule={}, params={{"n": {}}}):\n    @task\n    def t(): ...\n    t()\n'
    with pytest.raises(DagError) as caught:
        load(HEAD + text.format('"@daily"', param))
    assert says in caught.value.message
    assert load(HEAD + text.format("None", param)).params.keys() == {"n"}


def test_what_is_no_json_is_refused(load: Load) -> None:
    with pytest.raises(DagError, match="expected param 'n' of task 't' to be JSON"):
        load(f"{HEAD}\nwith DAG('d', params={{'n': object()}}):\n    @task\n    def t(): ...\n    t()\n")


def test_conf_overrides_and_is_checked() -> None:
    schemas = {"n": {"type": "integer", "minimum": 3}, "must": {"airdock:required": True, "type": "string"}}
    assert check_params({"n": 3, "must": "a", "other": 1}, schemas) == []
    assert check_params({"n": 2}, schemas) == [
        "param 'n': expected at least 3, found 2",
        "param 'must': expected a value, found none",
    ]


def no_scheduler() -> NoReturn:
    raise AssertionError("nothing is run here")


def test_a_run_by_hand_is_checked(load: Load) -> None:
    dag = load(f"""{HEAD}
with DAG("d", params={{"n": Param(type="integer")}}):
    @task
    def t(): ...
    t()
""")
    orchestrator = Orchestrator(store=MemoryStore(), scheduler=no_scheduler)
    with pytest.raises(ConfigError, match="param 'n': expected a value, found none") as caught:
        orchestrator.create_run(dag)
    assert "--conf" in caught.value.hint
    with pytest.raises(ConfigError, match="param 'n': expected integer, found 'a'"):
        orchestrator.create_run(dag, conf={"n": "a"})
    orchestrator.create_run(dag, conf={"n": 1, "more": "is kept"})


def test_a_param_alone() -> None:
    assert Param(5, type="integer").resolve() == 5
    assert Param(5, type="integer").resolve(6) == 6
    with pytest.raises(DagError, match="expected integer, found 'a'"):
        Param(5, type="integer").resolve("a")
    assert Param(5, type="integer").resolve("a", suppress_exception=True) is None
    with pytest.raises(DagError, match="expected a value"):
        Param(type="integer").resolve()
    assert Param(None, type=["null", "string"]).resolve() is None
    assert Param(1, schema={"type": "integer"}).dump() == {
        "value": 1, "description": None, "schema": {"type": "integer"},
    }  # fmt: skip


def test_a_dict_of_params() -> None:
    found = ParamsDict({"a": Param(1, type="integer"), "b": 2})
    assert (found["a"], found["b"], dict(found.items()), "a" in found) == (1, 2, {"a": 1, "b": 2}, True)
    found["a"] = 3
    assert (found["a"], found.get_param("a").schema, found.dump()) == (3, {"type": "integer"}, {"a": 3, "b": 2})
    with pytest.raises(DagError, match="expected integer, found 'x'"):
        found["a"] = "x"
    found.update({"b": 5})
    assert found.validate() == {"a": 3, "b": 5}
    assert ParamsDict({"a": Param(type="string")}).get("missing", 7) == 7
