"""Decides how a try ended from what was seen of it. Pure."""

import math
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from airdock.errors import RunnerError
from airdock.model.outcome import Deferred, Ending, Failed, Lost, Rescheduled, Skipped, Succeeded
from airdock.model.workload import Workload
from airdock.runner.base import Ended

__all__ = ["Seen", "decide", "parse_ending"]


@dataclass(kw_only=True, slots=True)
class Seen:
    """What the supervisor learned of a try while it ran.

    `result` is what the runner reported; `prepared` is the second of two steps, as the first one reported it. `stop` is
    the ending that the supervisor gave it, whatever it still says after that. `broken` says how the channel's contract
    was broken, `heard` that the runner said hello.
    """

    result: Ending | None = None
    prepared: Workload | None = None
    stop: Failed | Lost | None = None
    broken: str = ""
    heard: bool = False


def decide(workload: Workload, seen: Seen, ended: Ended) -> Ending:
    """The ending of a try that ran: why it was stopped, else what it reported, else how its process ended."""
    if seen.stop:
        return seen.stop
    reported = seen.result
    if reported is not None and not (isinstance(reported, Failed) and ended.oom):
        return reported
    if ended.oom and ended.exit_code != 0:
        return Failed(reason=_oom(ended))
    if seen.broken:
        return Failed(reason=f"the runner broke the channel's contract: {seen.broken}")
    if workload.payload.get("mode", "command") == "command":
        return _of_command(workload, ended)
    said = "before it reported a result" if seen.heard else "before the runner reported"
    return Failed(reason=f"{_way(ended)} {said}")


def _of_command(workload: Workload, ended: Ended) -> Ending:
    skips, label = workload.payload.get("skip_exit_code"), workload.payload.get("label", "")
    if ended.exit_code in (skips if isinstance(skips, list | tuple) else [skips]):
        return Skipped(reason=_way(ended), label=label)
    return Succeeded(label=label) if ended.exit_code == 0 else Failed(reason=_way(ended), label=label)


def _way(ended: Ended) -> str:
    if ended.signal is None:
        return f"exited with code {ended.exit_code}"
    try:
        return f"killed by {signal.Signals(ended.signal).name}"
    except ValueError:
        return f"killed by signal {ended.signal}"


def _oom(ended: Ended) -> str:
    limit = _size(ended.memory_limit_bytes) if ended.memory_limit_bytes else "unknown"
    peak = _size(ended.usage.memory_peak_bytes) if ended.usage else "unknown"
    return f"killed by the memory limit: limit {limit}, peak {peak}"


def _size(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"


_MOST_CHARACTERS: Final = 4000
"""Of a reason; the whole of it is in the log."""


def parse_ending(value: Any) -> Ending:
    """The ending that a runner reports. RunnerError for what a runner may not say."""
    kind = value.get("kind") if isinstance(value, Mapping) else None
    make = _MADE.get(kind) if isinstance(kind, str) else None
    if make is None:
        raise RunnerError(f"expected an ending of {', '.join(_MADE)}, found {kind!r}")
    return make(_Said(value, f"a {kind} ending"))


class _Said:
    """The fields of one report; each is asked for with its type, and RunnerError says which isn't of it."""

    def __init__(self, fields: Mapping[str, Any], what: str) -> None:
        self._fields = fields
        self._what = what

    def text(self, name: str, default: str | None = None) -> str:
        return _plain(str(self._take(name, str, default)))

    def truth(self, name: str, default: bool) -> bool:
        return bool(self._take(name, bool, default))

    def mapping(self, name: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._take(name, dict, {})
        return found

    def seconds(self, name: str) -> float | None:
        found = self._fields.get(name)
        if found is None:
            return None
        if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found < math.inf:
            raise self._error(name, "a number of seconds", found)
        return float(found)

    def tasks(self, name: str) -> tuple[tuple[str, int], ...]:
        found = []
        for each in self._take(name, list, []):
            match each:
                case [str(task_id), int(index)] if not isinstance(index, bool) and index >= -1:
                    found.append((task_id, index))
                case _:
                    raise self._error(name, "pairs of a task id and a map index", each)
        return tuple(found)

    def mappings(self, name: str) -> tuple[Mapping[str, Any], ...]:
        found = self._take(name, list, [])
        for each in found:
            if not isinstance(each, dict) or not isinstance(each.get("name"), str):
                raise self._error(name, "objects with a name", each)
        return tuple(found)

    def _take(self, name: str, kind: type, default: Any) -> Any:
        found = self._fields.get(name, default)
        if not isinstance(found, kind):
            raise self._error(name, kind.__name__, found)
        return found

    def _error(self, name: str, expected: str, found: Any) -> RunnerError:
        return RunnerError(f"expected {name} of {self._what} to be {expected}, found {found!r}")


_MADE: Final[Mapping[str, Callable[[_Said], Ending]]] = {
    "succeeded": lambda said: Succeeded(
        skip=said.tasks("skip"), events=said.mappings("events"), label=said.text("label", "")
    ),
    "failed": lambda said: Failed(
        reason=said.text("reason"),
        retryable=said.truth("retryable", True),
        delay_s=said.seconds("delay_s"),
        label=said.text("label", ""),
    ),
    "skipped": lambda said: Skipped(reason=said.text("reason", ""), label=said.text("label", "")),
    "rescheduled": lambda said: Rescheduled(at=_moment(said.text("at"))),
    "deferred": lambda said: Deferred(
        trigger=said.text("trigger"),
        kwargs=said.mapping("kwargs"),
        method=said.text("method", "execute_complete"),
        method_kwargs=said.mapping("method_kwargs"),
        timeout_s=said.seconds("timeout_s"),
    ),
}


def _plain(value: str) -> str:
    """Text as it can be stored and shown: no half characters, and no more than somebody reads."""
    text = value if len(value) <= _MOST_CHARACTERS else value[:_MOST_CHARACTERS] + " …"
    return text.encode("utf-8", "replace").decode()


def _moment(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise RunnerError(f"expected a time in ISO 8601, found {text!r}") from error
    if at.tzinfo is None:
        raise RunnerError(f"expected a time with its zone, found {text!r}")
    return at
