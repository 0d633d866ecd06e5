"""What a deferred task waits for: an object that lives in the triggerer, beside those of many other tasks."""

from collections.abc import AsyncIterator, Mapping
from importlib import import_module
from typing import Any

from airdock.dag.logged import LoggingMixin

__all__ = [
    "BaseEventTrigger",
    "BaseTrigger",
    "StartTriggerArgs",
    "TaskFailedEvent",
    "TaskSkippedEvent",
    "TaskSuccessEvent",
    "TriggerEvent",
    "defer_at_once",
]


class TriggerEvent:
    """What a trigger tells its task: any JSON."""

    def __init__(self, payload: Any = None, **more: Any) -> None:
        self.payload = more or payload

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.payload == getattr(other, "payload", None)

    def __hash__(self) -> int:
        return hash((type(self), repr(self.payload)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}<{self.payload!r}>"


class _EndEvent(TriggerEvent):
    """Ends the task from the trigger, without calling it again. `xcoms` are pushed for it."""

    task_instance_state = ""

    def __init__(self, *, xcoms: Mapping[str, Any] | None = None) -> None:
        super().__init__(self.task_instance_state)
        self.xcoms = dict(xcoms or {})


class TaskSuccessEvent(_EndEvent):
    """The task has succeeded."""

    task_instance_state = "success"


class TaskFailedEvent(_EndEvent):
    """The task has failed."""

    task_instance_state = "failed"


class TaskSkippedEvent(_EndEvent):
    """The task is skipped."""

    task_instance_state = "skipped"


class BaseTrigger(LoggingMixin):
    """Waits in `run` and yields the event. `serialize` says how it is made again elsewhere.

    `task_instance` is set by the triggerer before `run`: it answers questions about other runs and tasks.
    """

    task_instance: Any = None

    def __init__(self, **kwargs: Any) -> None:
        self.kwargs = kwargs

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The path of the class, and the keyword arguments."""
        raise NotImplementedError(f"{type(self).__name__} has no serialize()")

    def run(self) -> AsyncIterator[TriggerEvent]:
        """An asynchronous generator of events; the first one wakes the task."""
        raise NotImplementedError(f"{type(self).__name__} has no run()")

    async def cleanup(self) -> None:
        """Called when the trigger is over, whichever way."""

    async def on_kill(self) -> None:
        """Called when somebody ended the task meanwhile."""

    def __repr__(self) -> str:
        path, kwargs = self.serialize()
        return f"<{path} {', '.join(f'{name}={value}' for name, value in kwargs.items())}>"


class BaseEventTrigger(BaseTrigger):
    """A trigger that may also watch an asset: each of its events is one of the asset's.

    Where it does, `asset_state_store` keeps what is to be known when it is started again.
    """

    asset_state_store: Any = None


class StartTriggerArgs:
    """What a task waits for that begins deferred, as its class's `start_trigger_args`; `timeout` is a timedelta."""

    def __init__(
        self,
        trigger_cls: str,
        next_method: str,
        trigger_kwargs: Mapping[str, Any] | None = None,
        next_kwargs: Mapping[str, Any] | None = None,
        timeout: Any = None,
    ) -> None:
        self.trigger_cls = trigger_cls
        self.next_method = next_method
        self.trigger_kwargs = dict(trigger_kwargs or {})
        self.next_kwargs = dict(next_kwargs or {})
        self.timeout = timeout


def defer_at_once(task: Any) -> Any:
    """Defer the task as its `start_trigger_args` say; `trigger_kwargs` of the task's own come over those."""
    args = task.start_trigger_args
    module, _, name = args.trigger_cls.rpartition(".")
    own = getattr(task, "trigger_kwargs", None) or {}
    trigger = getattr(import_module(module), name)(**{**args.trigger_kwargs, **own})
    return task.defer(trigger=trigger, method_name=args.next_method, kwargs=args.next_kwargs, timeout=args.timeout)
