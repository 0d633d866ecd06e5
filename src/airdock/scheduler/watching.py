"""Has the triggers run that watch assets, on one server of all that there are, and keeps their events."""

import hashlib
import json
import logging
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime
from typing import Any, Final, Protocol

from airdock.clock import Clock, SystemClock
from airdock.dag.named_assets import conditions_of, find_assets
from airdock.dag.serialized import SerializedDag
from airdock.model.keys import WatchKey
from airdock.record import record
from airdock.scheduler.owner import is_dead
from airdock.scheduler.runs import are_assets_met
from airdock.store.base import Store
from airdock.store.records import AssetEvent

__all__ = ["AssetWatch", "Watching"]

_DUTY: Final = "watch assets"
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 60.0

_log = logging.getLogger(__name__)


class Watching(Protocol):
    """Runs triggers and tells of all their events: `triggers.base.Watching` says more."""

    def attend(self, heard: Callable[[WatchKey, Any], None], ended: Callable[[WatchKey, str], None]) -> None: ...

    def watch(self, key: WatchKey, trigger: Mapping[str, Any], *, loader: Mapping[str, Any]) -> None: ...

    def unwatch(self, key: WatchKey) -> None: ...


@record
class _Watched:
    """A trigger that is to run: {"classpath", "kwargs"}, and where its class may be."""

    trigger: Mapping[str, Any]
    loader: Mapping[str, Any]


@record
class _Told:
    """What a trigger told: an event, or its end, with an error where it failed."""

    key: WatchKey
    at: datetime
    event: Any = None
    is_end: bool = False
    error: str = ""


class AssetWatch:
    """A duty. `dags` are those to look after, by id, without those that are paused; `inactive` are assets to leave out.

    An asset is watched while a DAG waits for it. Of several servers on one store one watches, whose lease is renewed
    with each look, and taken over when it is over or its owner is known to be dead. A trigger that ends is begun again,
    after a second where it had an event, and ever later where it fails. `open` gives what runs triggers, started, and
    is asked with the first that there is; `look` has the duties called. Events are kept in `plan`'s thread, so one that
    can't be kept yet is tried again.
    """

    def __init__(
        self,
        *,
        store: Store,
        dags: Callable[[], Mapping[str, SerializedDag]],
        inactive: Callable[[], Collection[tuple[str, str]]],
        open: Callable[[], Watching],
        owner: str,
        lease_s: float,
        look: Callable[[], None],
        clock: Clock | None = None,
    ) -> None:
        self._store, self._dags, self._inactive, self._open = store, dags, inactive, open
        self._owner, self._lease_s, self._look, self._clock = owner, lease_s, look, clock or SystemClock()
        self._watching: Watching | None = None
        self._has_duty = False
        self._running: set[WatchKey] = set()
        self._told: deque[_Told] = deque()
        self._pauses: dict[WatchKey, float] = {}
        self._again: dict[WatchKey, float] = {}
        self._found: list[tuple[SerializedDag, tuple[tuple[Mapping[str, Any], _Watched], ...]]] = []

    def plan(self, now: datetime) -> float | None:
        """Keep what was heard, and have those triggers run that are to; says when to call again."""
        self._keep()
        wanted = self._find()
        if not wanted:
            self.leave()
            return None
        if not self._take():
            self._follow({})
            return self._lease_s / 3
        self._follow(wanted)
        at = self._clock.monotonic()
        return min([self._lease_s / 3, *(max(due - at, 0.0) for due in self._again.values())])

    def leave(self) -> None:
        """Watch nothing more, keep what was heard, and let another watch."""
        self._follow({})
        self._keep()
        if self._has_duty:
            self._has_duty = False
            self._store.leave_duty(_DUTY, owner=self._owner)

    def _take(self) -> bool:
        holder = self._store.find_duty(_DUTY)
        dead = [holder] if holder and holder != self._owner and is_dead(holder) else []
        self._has_duty = self._store.take_duty(_DUTY, owner=self._owner, lease_s=self._lease_s, displacing=dead)
        return self._has_duty

    # What is to be watched

    def _find(self) -> dict[WatchKey, _Watched]:
        """The triggers of all assets that a DAG waits for."""
        dags = list(self._dags().values())
        if [dag for dag, _ in self._found] != dags:
            known = {id(dag): (dag, watched) for dag, watched in self._found}
            self._found = [known.get(id(dag)) or (dag, tuple(_watchers_of(dag))) for dag in dags]
        watched = [each for _, found in self._found for each in found]
        if not watched:
            return {}
        waited = [part for dag, _ in self._found for part in conditions_of(dag.asset_condition or {}) if part]
        left_out = set(self._inactive())
        return {
            _key(asset, each.trigger): each
            for asset, each in watched
            if (place := (asset["name"], asset["uri"])) not in left_out
            and any(are_assets_met(part, {place}) for part in waited)
        }

    def _follow(self, wanted: Mapping[WatchKey, _Watched]) -> None:
        """Have those and no others run, but for those whose time to begin again hasn't come."""
        for key in self._running - wanted.keys():
            self._running.discard(key)
            if self._watching is not None:
                self._watching.unwatch(key)
        self._pauses = {key: pause_s for key, pause_s in self._pauses.items() if key in wanted}
        self._again = {key: due for key, due in self._again.items() if key in wanted}
        at = self._clock.monotonic()
        for key, each in wanted.items():
            if key not in self._running and self._again.get(key, at) <= at:
                self._again.pop(key, None)
                self._running.add(key)
                self._opened().watch(key, each.trigger, loader=each.loader)

    def _opened(self) -> Watching:
        if self._watching is None:
            self._watching = self._open()
            self._watching.attend(self._hear, self._hear_end)
        return self._watching

    # What they tell, from any thread

    def _hear(self, key: WatchKey, event: Any) -> None:
        self._told.append(_Told(key=key, at=self._clock.now(), event=event))
        self._look()

    def _hear_end(self, key: WatchKey, error: str) -> None:
        self._told.append(_Told(key=key, at=self._clock.now(), is_end=True, error=error))
        self._look()

    # What they told

    def _keep(self) -> None:
        told = list(self._told)
        events = [_event(each) for each in told if not each.is_end]
        if events:
            self._store.add_events(events)
        for each in told:
            self._told.popleft()
            if each.is_end:
                self._end(each)
            else:
                self._pauses.pop(each.key, None)

    def _end(self, told: _Told) -> None:
        if told.key not in self._running:
            return
        self._running.discard(told.key)
        pause_s = _FIRST_PAUSE_S
        if told.error:
            pause_s = self._pauses.get(told.key, _FIRST_PAUSE_S)
            self._pauses[told.key] = min(2 * pause_s, _LONGEST_PAUSE_S)
            _log.warning("%s failed, and is begun again in %.0f s: %s", told.key.label, pause_s, told.error)
        self._again[told.key] = self._clock.monotonic() + pause_s


def _watchers_of(dag: SerializedDag) -> Iterator[tuple[Mapping[str, Any], _Watched]]:
    """The assets of the DAG that are watched, each with one of its triggers."""
    for asset in find_assets(dag):
        for watcher in asset.get("watchers") or ():
            yield asset, _Watched(trigger=watcher, loader=dag.loader)


def _key(asset: Mapping[str, Any], trigger: Mapping[str, Any]) -> WatchKey:
    said = json.dumps(trigger.get("kwargs"), sort_keys=True).encode()
    return WatchKey(
        name=asset["name"],
        uri=asset["uri"],
        trigger=trigger["classpath"],
        digest=hashlib.sha256(said).hexdigest(),
    )


def _event(told: _Told) -> AssetEvent:
    extra = {"from_trigger": True, "payload": told.event}
    return AssetEvent(name=told.key.name, uri=told.key.uri, at=told.at, extra=extra)
