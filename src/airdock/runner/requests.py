"""Answers what a runner asks for over its channel."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from airdock.errors import AirdockError, RunnerError
from airdock.model.keys import RunKey, TryKey
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
    map_index = fields.get("map_index")
    if map_index is not None and type(map_index) is not int:
        raise RunnerError(f"expected map_index to be a whole number or null, found {map_index!r}")
    return api.xcom_get(key, map_index=map_index, **_place(key, fields))


def _xcom_count(api: TaskApi, key: TryKey, fields: _Fields) -> Any:
    return api.xcom_count(key, **_place(key, fields))


def _xcom_part(api: TaskApi, key: TryKey, fields: _Fields) -> Any:
    start, stop = fields.get("start"), fields.get("stop")
    if type(start) is not int or type(stop) is not int or not 0 <= start <= stop:
        raise RunnerError(f"expected start and stop to be two places in order, found {start!r} and {stop!r}")
    return api.xcom_part(key, start=start, stop=stop, **_place(key, fields))


def _place(key: TryKey, fields: _Fields) -> dict[str, Any]:
    """Which task's values are asked for, in which run."""
    place: dict[str, Any] = {"task_id": _text(fields, "task_id"), "xcom_key": _text(fields, "key", "return_value")}
    if fields.get("run_id") is not None or fields.get("dag_id") is not None:
        place["run"] = _run(key, fields)
    if fields.get("prior"):
        place["prior"] = True
    return place


def _run(key: TryKey, fields: _Fields) -> RunKey:
    return RunKey(dag_id=_text(fields, "dag_id", key.dag_id), run_id=_text(fields, "run_id", key.run_id))


def _xcom_put(api: TaskApi, key: TryKey, fields: _Fields) -> None:
    mapped: dict[str, bool] = {"is_mapped_over": True} if fields.get("is_mapped_over") else {}
    api.xcom_put(key, xcom_key=_text(fields, "key", "return_value"), value=fields.get("value"), **mapped)


def _variable(api: TaskApi, key: TryKey, fields: _Fields) -> Any:
    return api.variable(_text(fields, "name"))


def _connection(api: TaskApi, key: TryKey, fields: _Fields) -> Any:
    connection = api.connection(_text(fields, "conn_id"))
    return dict(connection) if connection is not None else None


def _images(api: TaskApi, key: TryKey, fields: _Fields) -> Any:
    return dict(api.images(key.task.run))


def _run_state(api: TaskApi, key: TryKey, fields: _Fields) -> Any:
    return api.run_state(_run(key, fields))


def _runs(api: TaskApi, key: TryKey, fields: _Fields) -> Any:
    dates = _texts(fields, "logical_dates")
    try:
        moments = None if dates is None else [datetime.fromisoformat(date) for date in dates]
    except ValueError as error:
        raise RunnerError(f"expected logical_dates in ISO 8601, found {dates!r}") from error
    wanted = {"run_ids": _texts(fields, "run_ids"), "states": _texts(fields, "states")}
    return api.runs(_text(fields, "dag_id"), logical_dates=moments, **wanted)


def _task_states(api: TaskApi, key: TryKey, fields: _Fields) -> Any:
    group = None if fields.get("task_group_id") is None else _text(fields, "task_group_id")
    return api.task_states(_run(key, fields), task_ids=_texts(fields, "task_ids"), group=group)


def _previous_run(api: TaskApi, key: TryKey, fields: _Fields) -> Any:
    found = api.previous_run(key, state=None if fields.get("state") is None else _text(fields, "state"))
    return dict(found) if found is not None else None


def _following(api: TaskApi, key: TryKey, fields: _Fields) -> Any:
    return api.following(key)


def _set_variable(api: TaskApi, key: TryKey, fields: _Fields) -> None:
    description = None if fields.get("description") is None else _text(fields, "description")
    api.set_variable(_text(fields, "name"), _text(fields, "value"), description=description)


def _delete_variable(api: TaskApi, key: TryKey, fields: _Fields) -> None:
    api.delete_variable(_text(fields, "name"))


def _trigger_run(api: TaskApi, key: TryKey, fields: _Fields) -> Any:
    wanted: dict[str, Any] = {name: bool(fields.get(name)) for name in ("reset", "refuse_paused")}
    for name in ("run_id", "note", "logical_date", "run_after"):
        if fields.get(name) is not None:
            wanted[name] = _text(fields, name)
    for name in ("logical_date", "run_after"):
        _moment(wanted, name)
    if "logical_date" in fields:
        wanted.setdefault("logical_date", None)  # given as none, which is not the same as not given
    if fields.get("conf") is not None:
        wanted["conf"] = _mapping(fields, "conf")
    return dict(api.trigger_run(key, dag_id=_text(fields, "dag_id"), wanted=wanted))


def _asset_events(api: TaskApi, key: TryKey, fields: _Fields) -> Any:
    names = ("name", "uri", "alias", "after", "before")
    wanted: dict[str, Any] = {name: _text(fields, name) for name in names if fields.get(name)}
    for name in ("after", "before"):
        _moment(wanted, name)
    limit = fields.get("limit")
    if limit is not None and (type(limit) is not int or limit < 0):
        raise RunnerError(f"expected limit to be a whole number or null, found {limit!r}")
    return api.asset_events({**wanted, "limit": limit, "ascending": fields.get("ascending") is not False})


def _state_get(api: TaskApi, key: TryKey, fields: _Fields) -> Any:
    found = api.state_get(key, _text(fields, "key"), asset=_asset(fields))
    return None if found is None else dict(found)


def _state_set(api: TaskApi, key: TryKey, fields: _Fields) -> None:
    keep_s = fields.get("keep_s")
    if keep_s is not None and (isinstance(keep_s, bool) or not isinstance(keep_s, int | float)):
        raise RunnerError(f"expected keep_s to be a number of seconds or null, found {keep_s!r}")
    api.state_set(key, _text(fields, "key"), fields.get("value"), keep_s=keep_s, asset=_asset(fields))


def _state_delete(api: TaskApi, key: TryKey, fields: _Fields) -> None:
    name = None if fields.get("key") is None else _text(fields, "key")
    api.state_delete(key, name, asset=_asset(fields))


def _asset(fields: _Fields) -> dict[str, str] | None:
    if fields.get("asset") is None:
        return None
    asset = _mapping(fields, "asset")
    return {"name": _text(asset, "name"), "uri": _text(asset, "uri")}


def _mask(api: TaskApi, key: TryKey, fields: _Fields) -> None:
    """The supervisor hides it; see `secrets`."""


def _heartbeat(api: TaskApi, key: TryKey, fields: _Fields) -> bool:
    return True


_OPERATIONS: Final[dict[str, Callable[[TaskApi, TryKey, _Fields], Any]]] = {
    "xcom_get": _xcom_get,
    "xcom_put": _xcom_put,
    "variable": _variable,
    "set_variable": _set_variable,
    "delete_variable": _delete_variable,
    "connection": _connection,
    "images": _images,
    "heartbeat": _heartbeat,
    "mask": _mask,
    "previous_run": _previous_run,
    "following": _following,
    "run_state": _run_state,
    "runs": _runs,
    "task_states": _task_states,
    "trigger_run": _trigger_run,
    "asset_events": _asset_events,
    "state_get": _state_get,
    "state_set": _state_set,
    "state_delete": _state_delete,
    "xcom_count": _xcom_count,
    "xcom_part": _xcom_part,
}


def _text(fields: _Fields, name: str, default: str | None = None) -> str:
    value = fields.get(name, default)
    if not isinstance(value, str):
        raise RunnerError(f"expected {name} to be text, found {value!r}")
    return value


def _texts(fields: _Fields, name: str) -> list[str] | None:
    value = fields.get(name)
    if value is not None and not (isinstance(value, list) and all(isinstance(each, str) for each in value)):
        raise RunnerError(f"expected {name} to be a list of text or null, found {value!r}")
    return value


def _mapping(fields: _Fields, name: str) -> dict[str, Any]:
    value = fields.get(name)
    if not isinstance(value, dict):
        raise RunnerError(f"expected {name} to be an object, found {value!r}")
    return value


def _moment(fields: _Fields, name: str) -> None:
    """RunnerError unless the field is a time, or isn't there."""
    if fields.get(name) is None:
        return
    try:
        datetime.fromisoformat(fields[name])
    except ValueError as error:
        raise RunnerError(f"expected {name} in ISO 8601, found {fields[name]!r}") from error
