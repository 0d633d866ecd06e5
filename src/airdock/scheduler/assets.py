"""Keeps which assets are active."""

from collections.abc import Callable, Mapping
from datetime import datetime

from airdock.dag.named_assets import find_assets, find_clash
from airdock.dag.serialized import SerializedDag
from airdock.record import record
from airdock.store.base import Store

__all__ = ["ActiveAssets"]

_Asset = tuple[str, str]


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
