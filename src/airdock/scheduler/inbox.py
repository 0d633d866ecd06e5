"""What the loop hears of: one queue, in which every thread may leave word, and on which the loop sleeps."""

import queue

from airdock.executors.base import Emit
from airdock.model.events import Event
from airdock.model.keys import RunKey
from airdock.record import record
from airdock.scheduler.events import Happening
from airdock.scheduler.prepare import Reply

__all__ = ["Cancel", "Happened", "Inbox", "Look", "Message"]


@record
class Cancel:
    """End the work on all runs, and leave them to be resumed."""


@record
class Look:
    """Something outside changed that duties may want to look at: a run was made, a DAG loaded.

    `at_all`: other processes may have changed anything, also the runs that are worked on.
    """

    at_all: bool = False


@record
class Happened:
    """Something happened to a run that no executor tells: a trigger fired, a person decided."""

    run: RunKey
    event: Happening


Message = Event | Reply | Cancel | Look | Happened


class Inbox:
    """Messages in the order in which they came."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Message] = queue.SimpleQueue()

    @property
    def put(self) -> Emit:
        """Leave an executor's event, from any thread."""
        return self._queue.put

    def answer(self, reply: Reply) -> None:
        """Leave an environment's answer, from any thread."""
        self._queue.put(reply)

    def leave(self, message: Cancel | Look | Happened) -> None:
        """Leave word, from any thread or signal handler."""
        self._queue.put(message)

    def drain(self) -> list[Message]:
        """All that is there, without waiting."""
        messages: list[Message] = []
        while True:
            try:
                messages.append(self._queue.get_nowait())
            except queue.Empty:
                return messages

    def sleep(self, pause_s: float | None) -> list[Message]:
        """Wait for the next message, at most that long, and take all that is there then; None waits for ever."""
        try:
            return [self._queue.get(timeout=pause_s), *self.drain()]
        except queue.Empty:
            return []
