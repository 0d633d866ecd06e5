"""Runs the triggers of deferred tasks and of watched assets in processes of their own, and starts those anew that die.

There is one process for each place that DAG files are seen from and each of the two kinds: in a server, one for all
tasks, and one for all assets. It is started with the first
trigger, and ends when there was none for a while. What a process was told is never relied on: the triggers that are
waited for are kept here, and a new process is told all of them.
"""

import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from airdock.clock import Clock, SystemClock
from airdock.model.keys import TryKey, WatchKey
from airdock.model.mount import Mount
from airdock.runner.base import Starter
from airdock.runner.loop import Loop
from airdock.runner.requests import answer
from airdock.runner.task_api import TaskApi
from airdock.triggers.base import Ended, Fired, Heard
from airdock.triggers.host import Host, Surroundings, clear_abandoned

__all__ = ["Triggerer"]

_DEATHS: Final = 5
"""With so many processes a trigger may die, until it is taken for what kills them."""
_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 30.0
_NOBODY: Final = TryKey(dag_id="", run_id="", task_id="")

_log = logging.getLogger(__name__)

_PlaceKey = tuple[tuple[Mount, ...], bool]
"""What its processes see of where a DAG file lies, and whether they watch assets."""


@dataclass(slots=True)
class _Wanted:
    """A trigger that somebody waits for; `deaths` counts the processes that ended while they ran it."""

    id: int
    key: TryKey | WatchKey
    message: Mapping[str, Any]
    place: _PlaceKey
    deaths: int = 0


@dataclass(slots=True)
class _Place:
    """What runs the triggers of one place."""

    host: Host | None = None
    wanted: dict[int, _Wanted] = field(default_factory=dict)
    deaths: int = 0
    idle: Any = None


class Triggerer:
    """Satisfies `triggers.base.Triggering` and `triggers.base.Watching`.

    The processes are containers, or plain ones where there is no isolation. `image` gives the digest of the host image;
    `place` says what a process sees of where a DAG file lies. Triggers ask `tasks`. `home` is AIRDOCK_HOME. A process
    without triggers goes on for `idle_s`.
    """

    def __init__(
        self,
        *,
        starter: Starter,
        image: Callable[[], str],
        place: Callable[[str], Sequence[Mount]],
        tasks: TaskApi,
        home: Path,
        clock: Clock | None = None,
        idle_s: float = 60.0,
    ) -> None:
        self._place_of, self._tasks, self._idle_s = place, tasks, idle_s
        self._folder, self._starter = home / "run" / "triggers", starter
        self._loop = Loop("airdock-triggerer")
        self._work = ThreadPoolExecutor(4, thread_name_prefix="airdock-triggerer")
        self._with = Surroundings(
            starter=starter,
            image=image,
            folder=self._folder,
            logs=home / "logs",
            loop=self._loop,
            work=self._work,
            hear=self._hear,
            ask=self._ask,
            ended=self._ended,
            clock=clock or SystemClock(),
        )
        self._fired: Fired = lambda key, event, error: None
        self._heard: Heard = lambda key, event: None
        self._watch_ended: Ended = lambda key, error: None
        self._places: dict[_PlaceKey, _Place] = {}
        self._by_key: dict[TryKey | WatchKey, _Wanted] = {}
        self._by_id: dict[int, _Wanted] = {}
        self._ids = itertools.count(1)
        self._is_open = False
        self._is_cleared = False

    def subscribe(self, fired: Fired) -> None:
        self._fired = fired

    def attend(self, heard: Heard, ended: Ended) -> None:
        self._heard, self._watch_ended = heard, ended

    def start(self) -> None:
        if not self._is_open:
            self._is_open = True
            self._loop.start()

    def stop(self) -> None:
        """Forget all triggers and end the processes. Idempotent, and safe before `start`."""
        if self._is_open:
            self._is_open = False
            self._loop.post(self._close)

    def join(self) -> None:
        """Wait until the processes are gone."""
        self._loop.join()
        self._work.shutdown()

    def add(self, key: TryKey, trigger: Mapping[str, Any], *, loader: Mapping[str, Any]) -> None:
        self._loop.post(lambda: self._add(key, trigger, loader))

    def remove(self, key: TryKey, *, killed: bool = False) -> None:
        self._loop.post(lambda: self._remove(key, killed=killed))

    def watch(self, key: WatchKey, trigger: Mapping[str, Any], *, loader: Mapping[str, Any]) -> None:
        self._loop.post(lambda: self._add(key, trigger, loader))

    def unwatch(self, key: WatchKey) -> None:
        self._loop.post(lambda: self._remove(key, killed=False))

    # In the loop

    def _add(self, key: TryKey | WatchKey, trigger: Mapping[str, Any], loader: Mapping[str, Any]) -> None:
        if key in self._by_key or not self._is_open:
            return
        fileloc = str(loader.get("fileloc") or "")
        message = {
            "type": "add",
            "id": next(self._ids),
            "path": trigger["classpath"],
            "kwargs": dict(trigger.get("kwargs") or {}),
            "loader": {"fileloc": fileloc, "paths": list(loader.get("paths") or ())},
        }
        if isinstance(key, WatchKey):
            message["asset"] = {"name": key.name, "uri": key.uri}
        else:
            message["key"] = key.to_dict()
        where = (tuple(self._place_of(fileloc)) if fileloc else (), isinstance(key, WatchKey))
        wanted = _Wanted(message["id"], key, message, where)
        self._by_key[key] = self._by_id[wanted.id] = wanted
        place = self._places.setdefault(where, _Place())
        place.wanted[wanted.id] = wanted
        if place.idle is not None:
            place.idle.cancel()
            place.idle = None
        if place.host is None:
            self._begin(where, place)
        elif place.host.is_ready:
            place.host.send(message)

    def _begin(self, where: _PlaceKey, place: _Place) -> None:
        if not self._is_cleared:
            self._is_cleared = True
            self._work.submit(clear_abandoned, self._folder, self._starter)
        place.host = Host(self._with, where[0], watches=where[1])
        place.host.begin()

    def _remove(self, key: TryKey | WatchKey, *, killed: bool) -> None:
        wanted = self._by_key.get(key)
        if wanted is None:
            return
        self._forget(wanted)
        host = self._places[wanted.place].host
        if host is not None and host.is_ready:
            host.send({"type": "drop", "id": wanted.id, "killed": killed})

    def _forget(self, wanted: _Wanted) -> None:
        del self._by_key[wanted.key], self._by_id[wanted.id]
        place = self._places[wanted.place]
        del place.wanted[wanted.id]
        if not place.wanted and place.idle is None:
            place.idle = self._loop.at(self._loop.time() + self._idle_s, lambda: self._rest(place))

    def _rest(self, place: _Place) -> None:
        place.idle = None
        if place.host is not None and not place.wanted:
            place.host.stop()

    def _hear(self, host: Host, message: Mapping[str, Any]) -> None:
        place = self._places.get((host.place, host.watches))
        if place is None or place.host is not host:
            return
        if message["type"] == "ready":
            place.deaths = 0
            for each in list(place.wanted.values()):
                host.send(each.message)
            return
        wanted = place.wanted.get(message["id"])
        if wanted is None:
            return
        if message["type"] == "fired" and isinstance(wanted.key, WatchKey):
            wanted.deaths = 0
            self._heard(wanted.key, message.get("event"))
        elif message["type"] in ("fired", "failed", "ended"):
            self._tell_end(wanted, message.get("event"), str(message.get("error") or ""))

    def _tell_end(self, wanted: _Wanted, event: Any, error: str) -> None:
        """It is over, with an event or an error."""
        self._forget(wanted)
        if isinstance(wanted.key, WatchKey):
            self._watch_ended(wanted.key, error)
        else:
            self._fired(wanted.key, event, error)

    def _ended(self, host: Host) -> None:
        where = (host.place, host.watches)
        place = self._places.get(where)
        if place is None or place.host is not host:
            return
        place.host = None
        if not self._is_open:
            self._close()
        elif place.wanted:
            self._count_death(place)
            pause_s = min(_FIRST_PAUSE_S * 2**place.deaths, _LONGEST_PAUSE_S)
            place.deaths += 1
            _log.warning("a process for triggers ended; %d triggers go on in a new one", len(place.wanted))
            self._loop.at(self._loop.time() + pause_s, lambda: self._again(where, place))

    def _again(self, where: _PlaceKey, place: _Place) -> None:
        if place.host is None and place.wanted and self._is_open:
            self._begin(where, place)

    def _count_death(self, place: _Place) -> None:
        for each in list(place.wanted.values()):
            each.deaths += 1
            if each.deaths >= _DEATHS:
                self._tell_end(each, None, f"the process of its trigger ended {_DEATHS} times while it waited")

    def _close(self) -> None:
        """End what runs; once nothing does, end the loop."""
        hosts = [place.host for place in self._places.values() if place.host is not None]
        for place in self._places.values():
            place.wanted.clear()
        self._by_key.clear()
        for host in hosts:
            host.stop()
        if not hosts:
            self._loop.stop()

    # In another thread

    def _ask(self, host: Host, request: Mapping[str, Any]) -> dict[str, Any]:
        wanted = self._by_id.get(request.get("trigger") or 0)
        asks = wanted.key if wanted is not None and isinstance(wanted.key, TryKey) else _NOBODY
        return answer(self._tasks, asks, request)
