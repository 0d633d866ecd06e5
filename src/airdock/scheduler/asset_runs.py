"""Makes the runs that assets ask for: once what a DAG waits for is new since its last such run."""

import logging
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from airdock.dag.named_assets import conditions_of
from airdock.dag.serialized import SerializedDag
from airdock.errors import AirdockError
from airdock.scheduler.runs import are_assets_met, plan_asset_run
from airdock.scheduler.timetables import RunPlan
from airdock.store.base import Store
from airdock.store.records import AssetEvent

__all__ = ["AssetRuns"]

_log = logging.getLogger(__name__)

Create = Callable[[SerializedDag, RunPlan, Sequence[AssetEvent], int], object]
"""Makes a run for these events; the number is that of the last event that it is made for."""


class AssetRuns:
    """A duty. `dags` are those to look after, by id, without those that are paused."""

    def __init__(self, *, store: Store, dags: Callable[[], Mapping[str, SerializedDag]], create: Create) -> None:
        self._store, self._dags, self._create = store, dags, create

    def plan(self, now: datetime) -> None:
        """Make a run of each DAG whose condition holds."""
        waiting = {dag_id: dag for dag_id, dag in self._dags().items() if dag.asset_condition}
        if not waiting:
            return
        marks = self._store.load_marks()
        events = self._store.list_events(after=min(marks.get(dag_id, 0) for dag_id in waiting))
        for dag_id, dag in waiting.items() if events else ():
            new = [event for event in events if event.number > marks.get(dag_id, 0)]
            taken = list(_wanted(dag.asset_condition or {}, new))
            if taken and are_assets_met(dag.asset_condition, _names(taken)):
                self._make(dag, taken, now)

    def _make(self, dag: SerializedDag, events: Sequence[AssetEvent], now: datetime) -> None:
        plan = plan_asset_run(now, suffix=secrets.token_hex(4))
        try:
            self._create(dag, plan, events, events[-1].number)
        except AirdockError as error:
            _log.error("the run of %s that assets ask for can't be made: %s", dag.dag_id, error)


def _wanted(condition: Mapping[str, Any], events: Sequence[AssetEvent]) -> Iterator[AssetEvent]:
    """The events of the assets and aliases that the condition names, whether it holds or not."""
    parts = list(conditions_of(condition))
    return (event for event in events if any(are_assets_met(part, _names([event])) for part in parts))


def _names(events: Sequence[AssetEvent]) -> set[tuple[str, str]]:
    """As `are_assets_met` takes them: what an alias stood for counts as both."""
    return {(event.name, event.uri) for event in events} | {("", event.alias) for event in events if event.alias}
