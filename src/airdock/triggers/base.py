"""The contract of who runs the triggers of deferred tasks."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from airdock.model.keys import TryKey

__all__ = ["Fired", "Triggering"]

Fired = Callable[[TryKey, Any, str], None]
"""Takes the try, the event as JSON, and the error: one line and what explains it, empty where the trigger fired."""


class Triggering(Protocol):
    """Runs triggers and tells once of each. Any thread may call; what is told comes from another.

    Nothing is kept beyond this process: whoever owns a run adds the triggers of its deferred tasks when taking it up.
    """

    def subscribe(self, fired: Fired) -> None:
        """Tell this one. To be called before anything is added."""
        ...

    def start(self) -> None: ...

    def add(self, key: TryKey, trigger: Mapping[str, Any], *, loader: Mapping[str, Any]) -> None:
        """Let the try wait for its trigger: {"classpath", "kwargs"}. Nothing happens where it waits already.

        `loader` is the payload of its task: "fileloc" and "paths" say where the trigger's class may be.
        """
        ...

    def remove(self, key: TryKey, *, killed: bool = False) -> None:
        """The try waits no longer; `killed` says that a person ended it. Nothing happens where it doesn't wait."""
        ...

    def stop(self) -> None: ...

    def join(self) -> None: ...
