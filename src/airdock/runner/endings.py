"""Decides how a try ended from what was seen of it. Pure."""

import signal
from collections.abc import Mapping
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

    `result` is what the runner reported. `stop` is the ending that the supervisor gave it, whatever it still says after
    that. `broken` says how the channel's contract was broken, `heard` that the runner said hello.
    """

    result: Ending | None = None
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
    skips = workload.payload.get("skip_exit_code")
    if ended.exit_code in (skips if isinstance(skips, list | tuple) else [skips]):
        return Skipped(reason=_way(ended))
    return Succeeded() if ended.exit_code == 0 else Failed(reason=_way(ended))


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


_FIELDS: Final[dict[str, tuple[type, dict[str, type]]]] = {
    "succeeded": (Succeeded, {}),
    "failed": (Failed, {"reason": str, "retryable": bool}),
    "skipped": (Skipped, {"reason": str}),
    "rescheduled": (Rescheduled, {"at": str}),
    "deferred": (Deferred, {"trigger": str, "kwargs": dict}),
}
_MOST_CHARACTERS: Final = 4000
"""Of a reason; the whole of it is in the log."""
_NEEDED: Final = frozenset({"reason@failed", "at@rescheduled", "trigger@deferred"})


def parse_ending(value: Any) -> Ending:
    """The ending that a runner reports. RunnerError for what a runner may not say."""
    kind = value.get("kind") if isinstance(value, Mapping) else None
    if kind not in _FIELDS:
        raise RunnerError(f"expected an ending of {', '.join(_FIELDS)}, found {kind!r}")
    made, expected = _FIELDS[kind]
    fields = {name: _plain(value[name]) for name in expected if name in value}
    for name, type_ in expected.items():
        if name not in fields and f"{name}@{kind}" not in _NEEDED:
            continue
        if not isinstance(fields.get(name), type_):
            raise RunnerError(f"expected {name} of a {kind} ending to be {type_.__name__}, found {fields.get(name)!r}")
    if kind == "rescheduled":
        return Rescheduled(at=_moment(fields["at"]))
    ending: Ending = made(**fields)
    return ending


def _plain(value: Any) -> Any:
    """Text as it can be stored and shown: no half characters, and no more than somebody reads."""
    if not isinstance(value, str):
        return value
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
