"""The assets that DAGs name, and which of them can be active side by side. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from airdock.dag.serialized import SerializedDag, SerializedTask

__all__ = ["assets_of", "conditions_of", "find_assets", "find_clash", "first_assets"]

_Asset = tuple[str, str]


def conditions_of(condition: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """What a condition is made of: {"asset": …} and {"alias": …}."""
    inner = [*condition.get("all", ()), *condition.get("any", ())]
    if not inner:
        yield condition
    for each in inner:
        yield from conditions_of(each)


def find_assets(dag: SerializedDag) -> Iterator[Mapping[str, Any]]:
    """The assets that the DAG defines, by name and address: those that it waits for, then those of its tasks."""
    yield from _whole(conditions_of(dag.asset_condition or {}))
    for task in dag.tasks:
        yield from assets_of(task)


def assets_of(task: SerializedTask) -> Iterator[Mapping[str, Any]]:
    """The assets that the task uses and makes, without those that it names in part, and without aliases."""
    return _whole((*task.inlets, *task.outlets))


def _whole(named: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    return (each["asset"] for each in named if "asset" in each and each["asset"]["name"] and each["asset"]["uri"])


def first_assets(dag: SerializedDag) -> list[_Asset]:
    """Those of the DAG that are active where it is the only one."""
    found: dict[str, str] = {}
    for asset in find_assets(dag):
        if asset["name"] not in found and asset["uri"] not in found.values():
            found[asset["name"]] = asset["uri"]
    return list(found.items())


def find_clash(asset: _Asset, active: Iterable[_Asset]) -> str:
    """Why the asset can't be active beside those that are, as a sentence; empty where it can."""
    name, uri = asset
    for other_name, other_uri in active:
        if other_name == name and other_uri != uri:
            return f"the name {name!r} belongs to the asset with the address {other_uri!r}"
        if other_uri == uri and other_name != name:
            return f"the address {uri!r} belongs to the asset with the name {other_name!r}"
    return ""
