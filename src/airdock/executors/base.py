"""What turns workloads into outcomes somewhere, and what runs one workload on this machine."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar, Protocol

from airdock.model.events import Event, Finished, Started, Waiting
from airdock.model.keys import TryKey
from airdock.model.workload import Workload
from airdock.record import record

__all__ = ["Capacity", "Emit", "Event", "Executor", "Finished", "RunInfo", "Started", "Supervise", "Waiting"]

RunInfo = Mapping[str, Any]
"""What a task may know of its run: `run_id`, `logical_date` (ISO text or None), `conf`."""


Emit = Callable[[Event], None]
"""Takes one event, from any thread, and comes back at once."""


@record
class Capacity:
    """How much an executor runs at the same time, over all its work. None is no bound."""

    slots: int | None = None
    cpus: float | None = None
    memory_bytes: int | None = None


class Executor(ABC):
    """Turns workloads into outcomes. It knows work only by its `TryKey` and never touches the store.

    Order of calls: `subscribe` once, `start`, any of the rest, `stop`, `join`. `stop` is idempotent and safe before
    `start`. All methods but `stop` and `join` come back at once and may be called from any thread.

    Events go to the subscriber. A try that was submitted gets exactly one ending, told **at least once**: `Finished`
    is told again after a restart (through `adopt`) until `ack` was called with it. `Started` and `Waiting` are told
    at most once and only before `Finished`; they need no `ack`, and may be missing. Nothing is promised about the
    order between tries. An event may be told while `submit` still runs.

    A workload that can't be run isn't an exception: it ends as `Failed`, with the reason.
    """

    name: ClassVar[str]
    """What the executor is called in settings, and on the task instances it ran."""

    adopts: ClassVar[bool] = False
    """Whether work outlives the process that submitted it, so that `adopt` can find it running."""

    @abstractmethod
    def subscribe(self, emit: Emit) -> None:
        """Say where events go. Called once, before `start`."""

    @abstractmethod
    def start(self) -> None: ...

    @abstractmethod
    def submit(self, workloads: Sequence[Workload], *, run_info: RunInfo) -> None:
        """Take over these tries, all of one run. More than `capacity` may be given: the rest waits in order.

        A key is submitted again only after its `Finished` was acknowledged (a sensor that was rescheduled).
        """

    @abstractmethod
    def cancel(self, keys: Collection[TryKey]) -> None:
        """Ask for these tries to end. Each still gets its `Finished`: `Lost` unless it ended by itself first.

        Unknown and ended keys are ignored.
        """

    @abstractmethod
    def adopt(self, keys: Collection[TryKey]) -> frozenset[TryKey]:
        """Take over tries that an earlier process submitted; the only method that may take its time.

        Returns the keys whose `Finished` was told by now or will be. Of all the others nothing runs any more when
        this returns: they are lost. Endings of tries that weren't asked for may be told too.
        """

    @abstractmethod
    def capacity(self) -> Capacity: ...

    @abstractmethod
    def ack(self, event: Finished) -> None:
        """The ending is stored: forget it. Idempotent; it may come long after, or never."""

    @abstractmethod
    def stop(self) -> None:
        """Take no more work and cancel what waits and runs; their endings are still told before `join` returns."""

    @abstractmethod
    def join(self) -> None:
        """Wait until nothing runs any more and no event will come."""


class Supervise(Protocol):
    """Runs workloads on this machine, each in a container, and tells how they end.

    Injected into the executors that run here. The ending of a try is kept on disk before it is told, and until
    `ack`: whoever starts after a crash tells it again in `recover`. What runs dies with this process.
    """

    def start(self) -> None: ...

    def stop(self) -> None:
        """Kill what runs (its ending is `Lost`) and take no more. Idempotent, safe before `start`."""

    def join(self) -> None: ...

    def run(self, workload: Workload, *, run_info: RunInfo, emit: Emit) -> None:
        """Begin this try and come back at once. Events as `Executor` promises; never raises for a bad workload."""

    def cancel(self, key: TryKey) -> None:
        """End this try: SIGTERM, grace, SIGKILL, then `Finished` with `Lost`. Unknown keys are ignored."""

    def recover(self, *, emit: Emit) -> None:
        """Clear up after an owner that died: kill and remove what it left, then tell each ending it had kept.

        When this returns nothing of a dead owner runs any more. What a living owner runs is left alone.
        """

    def ack(self, key: TryKey) -> None:
        """Forget the kept ending of this try. Idempotent."""
