"""Answers what a runner asks for over its channel."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from airdock.errors import AirdockError, RunnerError
from airdock.model.keys import TryKey
from airdock.runner.task_api import TaskApi

__all__ = ["answer"]

_Fields = Mapping[str, Any]


def answer(api: TaskApi, key: TryKey, request: _Fields) -> dict[str, Any]:
    """The response to a request of the try `key`. What goes wrong is told in it and not raised."""
    response = {"type": "response", "id": request.get("id")}
    try:
        handle = _OPERATIONS.get(str(request.get("op")))
        if handle is None:
            known = ", ".join(sorted(_OPERATIONS))
            raise RunnerError(f"expected a request for {known}, found {request.get('op')!r}")
        return {**response, "ok": True, "value": handle(api, key, request)}
    except AirdockError as error:
        return {**response, "ok": False, "error": error.message}


def _xcom_get(api: TaskApi, key: TryKey, fields: _Fields) -> Any:
    run_id = fields.get("run_id")
    if run_id not in (None, key.run_id):
        raise RunnerError(f"expected run_id to be this run's, {key.run_id!r}, found {run_id!r}")
    map_index = fields.get("map_index")
    if map_index is not None and type(map_index) is not int:
        raise RunnerError(f"expected map_index to be a whole number or null, found {map_index!r}")
    return api.xcom_get(
        key, task_id=_text(fields, "task_id"), xcom_key=_text(fields, "key", "return_value"), map_index=map_index
    )


def _xcom_put(api: TaskApi, key: TryKey, fields: _Fields) -> None:
    api.xcom_put(key, xcom_key=_text(fields, "key", "return_value"), value=fields.get("value"))


def _variable(api: TaskApi, key: TryKey, fields: _Fields) -> Any:
    return api.variable(_text(fields, "name"))


def _connection(api: TaskApi, key: TryKey, fields: _Fields) -> Any:
    connection = api.connection(_text(fields, "conn_id"))
    return dict(connection) if connection is not None else None


def _images(api: TaskApi, key: TryKey, fields: _Fields) -> Any:
    return dict(api.images(key.task.run))


def _heartbeat(api: TaskApi, key: TryKey, fields: _Fields) -> bool:
    return True


_OPERATIONS: Final[dict[str, Callable[[TaskApi, TryKey, _Fields], Any]]] = {
    "xcom_get": _xcom_get,
    "xcom_put": _xcom_put,
    "variable": _variable,
    "connection": _connection,
    "images": _images,
    "heartbeat": _heartbeat,
}


def _text(fields: _Fields, name: str, default: str | None = None) -> str:
    value = fields.get(name, default)
    if not isinstance(value, str):
        raise RunnerError(f"expected {name} to be text, found {value!r}")
    return value
