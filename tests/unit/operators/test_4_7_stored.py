"""Reference 4.7: what a task's code asks by Airflow's classes, and callbacks that are objects."""

import asyncio
from typing import Any

import pytest

from airdock.dag.context import set_current_context, set_load_time_answers
from airdock.dag.notifier import BaseNotifier
from airdock.dag.stored import BaseHook, Connection, Variable, XCom
from airdock.operators.empty import EmptyOperator
from airdock.sdk import DAG

FIELDS = {"conn_id": "db", "conn_type": "postgres", "host": "h", "password": "p", "extra": '{"a": 1}'}


@pytest.fixture
def asked(running: Any) -> Any:
    """What a running task asks."""
    with DAG("d"):
        context = running(EmptyOperator(task_id="t"))
    set_current_context(context)
    yield context["ti"]._channel
    set_current_context(None)


def test_variables_of_a_running_task(asked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked.answers["variable"] = '{"a": [1]}'
    assert Variable.get("v") == '{"a": [1]}'
    assert Variable.get("v", deserialize_json=True) == {"a": [1]}
    monkeypatch.setenv("AIRFLOW_VAR_V", "of the environment")
    assert Variable.get("v") == "of the environment"
    Variable.set("w", {"a": 1}, "what it is", serialize_json=True)
    Variable.set("x", 5)
    Variable.delete("w")
    assert asked.requests[-3:] == [
        ("set_variable", {"name": "w", "value": '{"a": 1}', "description": "what it is"}),
        ("set_variable", {"name": "x", "value": "5", "description": None}),
        ("delete_variable", {"name": "w"}),
    ]


def test_a_variable_that_is_not_there(asked: Any) -> None:
    assert Variable.get("v", default=1) == Variable.get("v", default_var=1) == 1
    assert Variable.get("v", None) is None
    with pytest.raises(KeyError, match="Variable v does not exist"):
        Variable.get("v")
    assert Variable.setdefault("v", [1], deserialize_json=True) == [1]
    assert asked.requests[-1] == ("set_variable", {"name": "v", "value": "[1]", "description": None})


def test_connections_of_a_running_task(asked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked.answers["connection"] = FIELDS
    found = Connection.get("db")
    assert isinstance(found, Connection)
    assert (found.host, found.password, found.extra_dejson) == ("h", "p", {"a": 1})
    assert BaseHook.get_connection("db").conn_type == "postgres"
    monkeypatch.setenv("AIRFLOW_CONN_DB", "mysql://me:s%40cret@other:3306/sch?x=y")
    found = BaseHook.get_connection("db")
    assert (found.conn_type, found.login, found.password, found.port, found.schema) == (
        "mysql", "me", "s@cret", 3306, "sch",
    )  # fmt: skip
    assert ("mask", {"secret": "s@cret"}) in asked.requests


def test_a_connection_that_is_not_there(asked: Any) -> None:
    with pytest.raises(KeyError, match="`none` isn't defined"):
        Connection.get("none")


def test_a_connection_is_made_and_written_as_a_uri() -> None:
    made = Connection(conn_id="c", conn_type="http", host="h", login="me", password="a:b", port=80, extra={"k": "v"})
    assert made.get_uri() == "http://me:a%3Ab@h:80/?k=v"
    assert isinstance(made, Connection)
    assert not isinstance("text", Connection)


def test_while_a_file_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    set_current_context(None)
    with pytest.raises(KeyError, match="while a file is loaded only the environment is asked"):
        Variable.get("v")
    monkeypatch.setenv("AIRFLOW_VAR_V", "1")
    monkeypatch.setenv("AIRFLOW_CONN_C", '{"conn_type": "http", "host": "h"}')
    assert (Variable.get("v", deserialize_json=True), Connection.get("c").host) == (1, "h")
    known = {"variable": {"w": "2"}, "connection": {"db": FIELDS}}
    set_load_time_answers(lambda op, **asked: known[op].get(asked.get("name") or asked.get("conn_id") or ""))
    try:
        assert (Variable.get("w"), Variable.get("z", default=0), Connection.get("db").host) == ("2", 0, "h")
        with pytest.raises(KeyError, match="`none` isn't defined"):
            Connection.get("none")
    finally:
        set_load_time_answers(None)
    with pytest.raises(RuntimeError, match="outside of a running task"):
        Variable.set("v", 1)


def test_xcoms_by_airflow_2s_class(asked: Any) -> None:
    asked.answers["xcom_get"] = 7
    assert XCom.get_one(task_id="other", key="k", map_index=-1) == 7


def test_hooks() -> None:
    class Mine(BaseHook):
        """A provider's."""

    assert Mine(logger_name="a.b").log.name == "a.b"
    assert Mine().log.name.endswith("Mine")
    with pytest.raises(NotImplementedError, match="Mine has no get_conn"):
        Mine().get_conn()
    with pytest.raises(NotImplementedError, match="providers' hooks aren't here"):
        BaseHook.get_hook("db")


class Says(BaseNotifier):
    """Keeps what it said."""

    template_fields = ("text",)

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.said: list[str] = []

    def notify(self, context: Any) -> None:
        self.said.append(f"{self.text} {context['notifier'] is self}")


def test_a_notifier_renders_what_it_says(running: Any) -> None:
    with DAG("d"):
        task = EmptyOperator(task_id="t")
    says = Says("{{ ti.task_id }} of {{ ds }}")
    says(running(task))
    says({})
    assert says.said == ["t of 2026-01-02 True", "t of 2026-01-02 True"]
    with pytest.raises(NotImplementedError, match="BaseNotifier has no notify"):
        BaseNotifier()({})


def test_a_notifier_that_has_its_context_can_be_awaited() -> None:
    class Later(Says):
        """Says it from a coroutine."""

        async def async_notify(self, context: Any) -> None:
            self.said.append(f"later {self.text} {context['notifier'] is self}")

    async def wait(notifier: BaseNotifier) -> None:
        await notifier

    later = Later("{{ run['n'] }}")
    later.context = {"run": {"n": 1}}
    asyncio.run(wait(later))
    asyncio.run(wait(alone := Later("plain")))
    assert later.said == ["later 1 True"]
    assert alone.said == ["later plain True"]
    with pytest.raises(NotImplementedError, match="BaseNotifier has no async_notify"):
        asyncio.run(wait(BaseNotifier(context={})))
