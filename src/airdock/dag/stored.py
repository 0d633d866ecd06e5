"""Variables, connections and XComs, asked for by a task's code; and the base of hooks, which use connections."""

import json
import os
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from airdock.dag.context import get_current_context, is_running, load_time_answers
from airdock.dag.logged import LoggingMixin

if TYPE_CHECKING:
    import logging

__all__ = ["BaseHook", "Connection", "Variable", "XCom", "connection_class"]

_NONE: Final[Any] = object()
_ENVIRONMENT: Final = "AIRFLOW_VAR_"
_CONNECTIONS: Final = "AIRFLOW_CONN_"
_CONNECTION: Final = "airdock.runner.inside.connection"
"""Where the class is that tasks get in every image. Beside this folder, so it is plugged in by name."""


class Variable:
    """Airflow's Variables."""

    @classmethod
    def get(
        cls, key: str, default: Any = _NONE, deserialize_json: bool = False, *, default_var: Any = _NONE, **_: Any
    ) -> Any:
        """The value; `default` where there is none, else KeyError."""
        fallback = default if default is not _NONE else default_var
        text = os.environ.get(_ENVIRONMENT + key.upper())
        if text is None and is_running():
            text = get_current_context()["ti"].get_variable(key)
        elif text is None and (ask := load_time_answers()) is not None:
            text = ask("variable", name=key)
        if text is not None:
            return json.loads(text) if deserialize_json else text
        if fallback is _NONE:
            hint = (
                ""
                if is_running() or load_time_answers()
                else f"; while a file is loaded only the environment is asked: {_ENVIRONMENT}…"
            )
            raise KeyError(f"Variable {key} does not exist{hint}")
        return fallback

    @classmethod
    def set(cls, key: str, value: Any, description: str | None = None, serialize_json: bool = False, **_: Any) -> None:
        """Keep a value, from a running task."""
        text = json.dumps(value) if serialize_json else str(value)
        get_current_context()["ti"].set_variable(key, text, description)

    @classmethod
    def delete(cls, key: str) -> None:
        """Forget a value, from a running task."""
        get_current_context()["ti"].delete_variable(key)

    @classmethod
    def setdefault(cls, key: str, default: Any, description: str | None = None, deserialize_json: bool = False) -> Any:
        """The value; `default` is kept where there is none."""
        found = cls.get(key, default=None, deserialize_json=deserialize_json)
        if found is None:
            cls.set(key, default, description, serialize_json=deserialize_json)
            return default
        return found


class XCom:
    """Airflow 2's class: what tasks pass to each other is asked of the task instance."""

    @classmethod
    def get_one(cls, *, key: str = "return_value", task_id: str | None = None, dag_id: str | None = None,
                run_id: str | None = None, map_index: int | None = None, **_: Any) -> Any:  # fmt: skip
        """One value."""
        ti = get_current_context()["ti"]
        return ti.xcom_pull(task_ids=task_id, dag_id=dag_id, run_id=run_id, key=key, map_indexes=map_index)


def connection_class() -> Any:
    """The class of connections: the one that a running task's context gives."""
    return import_module(_CONNECTION).Connection


class _ConnectionMeta(type):
    """`Connection(…)` makes an object of the class that tasks get, which lives with the runner.

    A running task's runner is packed by itself, so that its class is another one of the same text.
    """

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return connection_class()(*args, **kwargs)

    def __instancecheck__(cls, instance: Any) -> bool:
        return any(kind.__name__ == "Connection" and hasattr(kind, "extra_dejson") for kind in type(instance).__mro__)


class Connection(metaclass=_ConnectionMeta):
    """Airflow's Connections."""

    @staticmethod
    def get(conn_id: str) -> Any:
        """The connection; of the environment (AIRFLOW_CONN_ID) while a file is loaded. KeyError for none."""
        if is_running():
            return get_current_context()["conn"].get(conn_id)
        text = os.environ.get(_CONNECTIONS + conn_id.upper())
        if text is None and (ask := load_time_answers()) is not None:
            if (fields := ask("connection", conn_id=conn_id)) is not None:
                return connection_class()(**fields)
            raise KeyError(f"the conn_id `{conn_id}` isn't defined")
        if text is None:
            raise KeyError(
                f"the conn_id `{conn_id}` isn't defined; while a file is loaded only {_CONNECTIONS}… is asked"
            )
        return connection_class().parse(conn_id, text)

    get_connection_from_secrets = get


class BaseHook(LoggingMixin):
    """What reaches another service by a connection."""

    conn_name_attr = "conn_id"
    default_conn_name = "default_conn_id"
    hook_name = ""
    conn_type = ""

    def __init__(self, logger_name: str | None = None, **_: Any) -> None:
        self._logger_name = logger_name

    @property
    def log(self) -> "logging.Logger":
        import logging

        return logging.getLogger(self._logger_name) if self._logger_name else super().log

    @classmethod
    def get_connection(cls, conn_id: str) -> Any:
        """The connection of that id. KeyError."""
        return Connection.get(conn_id)

    @classmethod
    def get_hook(cls, conn_id: str, **_: Any) -> Any:
        """Hooks of other services aren't here; NotImplementedError says so."""
        raise NotImplementedError(
            f"expected a hook for connection {conn_id!r}, found that providers' hooks aren't here"
        )

    def get_conn(self) -> Any:
        """What reaches the service."""
        raise NotImplementedError(f"{type(self).__name__} has no get_conn()")
