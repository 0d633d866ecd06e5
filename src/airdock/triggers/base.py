"""The contract of who runs the triggers of deferred tasks."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from airdock.model.keys import TryKey, WatchKey

__all__ = ["Ended", "Fired", "Heard", "Triggering", "Watching"]

Fired = Callable[[TryKey, Any, str], None]
"""Takes the try, the event as JSON, and the error: one line and what explains it, empty where the trigger fired."""

Heard = Callable[[WatchKey, Any], None]
"""Takes each event of a trigger that watches, as JSON."""

Ended = Callable[[WatchKey, str], None]
"""Is told that a trigger watches no longer, and why: one line and what explains it, empty where it came to its end."""


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


class Watching(Protocol):
    """Runs triggers that watch assets, each until it ends by itself, and tells of every event.

    They live in another process than those of deferred tasks: neither's death is the other's.
    """

    def attend(self, heard: Heard, ended: Ended) -> None:
        """Tell these. To be called before anything is watched."""
        ...

    def watch(self, key: WatchKey, trigger: Mapping[str, Any], *, loader: Mapping[str, Any]) -> None:
        """Run this trigger: {"classpath", "kwargs"}. Nothing happens where it runs already; `loader` is as in `add`."""
        ...

    def unwatch(self, key: WatchKey) -> None:
        """End it, and tell of it no more. Nothing happens where it doesn't run."""
        ...
