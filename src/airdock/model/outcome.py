"""How one try of a task instance ended: a tagged union, with times, place, image and use."""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import Any, Self

from airdock.model.usage import Usage
from airdock.record import record

__all__ = [
    "AwaitingInput",
    "Deferred",
    "Ending",
    "Failed",
    "Lost",
    "Outcome",
    "Rescheduled",
    "Skipped",
    "Succeeded",
    "Times",
]


@record
class Succeeded:
    """The task's code returned.

    `skip` are instances that it decided to skip, each a task id and a map index (-1 is all of the task's). `events` are
    what it did to assets, each with "name", "uri", "extra" and, where an alias stood for it, "alias". `label` is what
    its map index is shown as.
    """

    skip: tuple[tuple[str, int], ...] = ()
    events: tuple[Mapping[str, Any], ...] = ()
    label: str = ""


@record
class Failed:
    """The task's code raised, exited with another code than 0, or was killed.

    `reason` is one line: the exception's last line, the exit code, or the limit that was met. `retryable` is false
    where Airflow would not retry either; `delay_s` is how long its retry policy wants to wait, None is by its task.
    `label` is as in `Succeeded`.
    """

    reason: str
    retryable: bool = True
    delay_s: float | None = None
    label: str = ""


@record
class Skipped:
    """The task asked to be skipped. `label` is as in `Succeeded`."""

    reason: str = ""
    label: str = ""


@record
class Rescheduled:
    """A sensor gives its slot back until `at`."""

    at: datetime


@record
class Deferred:
    """The task waits for a trigger, given by its class path and its keyword arguments.

    When it fires, the task's `method` is called with `method_kwargs` and the event, in the same try. `timeout_s` bounds
    the wait.
    """

    trigger: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    method: str = "execute_complete"
    method_kwargs: Mapping[str, Any] = field(default_factory=dict)
    timeout_s: float | None = None


@record
class AwaitingInput:
    """The task waits for a person."""


@record
class Lost:
    """The try ended with whoever ran it. It uses up no retry; its container is proven gone when this is told.

    `delay_s` is how long the next try waits, where nothing says that it could begin any sooner than this one.
    """

    reason: str
    delay_s: float = 0.0


Ending = Succeeded | Failed | Skipped | Rescheduled | Deferred | AwaitingInput | Lost

_KINDS: dict[str, type[Any]] = {
    "succeeded": Succeeded,
    "failed": Failed,
    "skipped": Skipped,
    "rescheduled": Rescheduled,
    "deferred": Deferred,
    "awaiting_input": AwaitingInput,
    "lost": Lost,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


@record
class Times:
    """When each phase of a try began; None where it was never reached. UTC.

    `started` is when the container was asked for, `user_code` when the task's own code was called, `user_ended` when
    it came back. What a try costs beyond the user's code is (ended - queued) - (user_ended - user_code).
    """

    queued: datetime | None = None
    image_ready: datetime | None = None
    started: datetime | None = None
    user_code: datetime | None = None
    user_ended: datetime | None = None
    ended: datetime | None = None

    def to_dict(self) -> dict[str, str | None]:
        values = ((name, getattr(self, name)) for name in self.__dataclass_fields__)
        return {name: value.isoformat() if value else None for name, value in values}

    @classmethod
    def from_dict(cls, value: Mapping[str, str | None]) -> Self:
        return cls(**{name: datetime.fromisoformat(text) for name, text in value.items() if text})


@record
class Outcome:
    """The end of one try, and what there is to say about it.

    `node` names the machine, `digest` the image. `isolation` is "container" or "process". `usage` is None only where
    nothing ran.
    """

    ending: Ending
    times: Times = Times()
    node: str = ""
    digest: str = ""
    isolation: str = "container"
    usage: Usage | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": _NAMES[type(self.ending)],
            "ending": _fields(self.ending),
            "times": self.times.to_dict(),
            "node": self.node,
            "digest": self.digest,
            "isolation": self.isolation,
            "usage": self.usage.to_dict() if self.usage else None,
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        return cls(
            ending=_ending(value["kind"], value["ending"]),
            times=Times.from_dict(value["times"]),
            node=value["node"],
            digest=value["digest"],
            isolation=value["isolation"],
            usage=Usage.from_dict(value["usage"]) if value["usage"] else None,
        )


def _fields(ending: Ending) -> dict[str, Any]:
    values = {name: getattr(ending, name) for name in ending.__dataclass_fields__}
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}


def _ending(kind: str, fields: Mapping[str, Any]) -> Ending:
    if kind == "rescheduled":
        return Rescheduled(at=datetime.fromisoformat(fields["at"]))
    if kind == "succeeded":
        skip = tuple((str(task_id), int(index)) for task_id, index in fields.get("skip", ()))
        return Succeeded(skip=skip, events=tuple(fields.get("events", ())), label=fields.get("label", ""))
    ending: Ending = _KINDS[kind](**fields)
    return ending
