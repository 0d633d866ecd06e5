"""The assets that DAGs name, and which of them are active. Pure, but for the duty that keeps them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from airdock.dag.serialized import SerializedDag
from airdock.record import record
from airdock.store.base import Store

__all__ = ["ActiveAssets", "conditions_of", "find_assets", "find_clash", "first_assets"]

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
    named = [*conditions_of(dag.asset_condition or {})]
    for task in dag.tasks:
        named += [*task.inlets, *task.outlets]
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


@record
class _Known:
    """What a DAG defined when it was looked at."""

    dag: SerializedDag
    assets: tuple[_Asset, ...]


class ActiveAssets:
    """A duty. `dags` are all that there are, by id; `tell` hears a sentence of each asset that begins to be inactive.

    Of assets with one name, or one address, the first is active: tasks that make or use another of them fail.
    """

    def __init__(
        self, *, store: Store, dags: Callable[[], Mapping[str, SerializedDag]], tell: Callable[[str], None]
    ) -> None:
        self._store, self._dags, self._tell = store, dags, tell
        self._known: dict[str, _Known] = {}
        self._kept: list[_Asset] | None = None
        self.inactive: frozenset[_Asset] = frozenset()

    def plan(self, now: datetime) -> None:
        """Keep which are active, where DAGs have changed."""
        dags = self._dags()
        self._known = {dag_id: self._look(dag) for dag_id, dag in dags.items()}
        defined = list(dict.fromkeys(asset for known in self._known.values() for asset in known.assets))
        if defined == self._kept:
            return
        inactive = frozenset(self._store.keep_assets(defined))
        self._kept = defined
        active = [asset for asset in defined if asset not in inactive]
        for name, uri in sorted(inactive - self.inactive):
            who = ", ".join(dag_id for dag_id, known in sorted(self._known.items()) if (name, uri) in known.assets)
            why = find_clash((name, uri), active)
            self._tell(f"asset {name!r} ({uri}) of {who} is inactive: {why}; tasks that make or use it fail")
        self.inactive = inactive

    def _look(self, dag: SerializedDag) -> _Known:
        known = self._known.get(dag.dag_id)
        if known is not None and known.dag is dag:
            return known
        return _Known(dag=dag, assets=tuple((each["name"], each["uri"]) for each in find_assets(dag)))
