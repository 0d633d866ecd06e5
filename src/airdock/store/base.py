"""The contract of the metadata database: verbs of the domain, in batches, with compare-and-set on states."""

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from airdock.model.keys import RunKey, TaskKey, TryKey
from airdock.model.states import RunState, TaskState
from airdock.store.deadlines import Deadlines
from airdock.store.filters import InstanceFilter, PoolUse, RunFilter, StoreInfo
from airdock.store.records import Answer, Backfill, Batch, Deadline, Instance, Pool, Run, Try, XCom

__all__ = ["ACTIVE", "PAUSING", "RETURN_VALUE", "Store"]

ACTIVE = frozenset({TaskState.QUEUED, TaskState.RUNNING})
"""The states in which an instance takes slots of its pool and counts for limits."""

PAUSING = frozenset({TaskState.DEFERRED, TaskState.AWAITING_INPUT})
"""The states in which an instance counts for the limits of its task, and takes slots of a pool that includes them."""

RETURN_VALUE = "return_value"
"""The XCom that a task's return value becomes."""


class Store(Deadlines):
    """Runs, task instances, tries, XComs, environments and pools; what is beside them has its verbs in `Registry`,
    `Watched`, `Journal` and `Deadlines`.

    Every verb is one transaction: it happens whole or not at all, and when it returns it survives the death of this
    process (kill -9). Whether it survives the death of the machine is the implementation's `durable` setting. Any
    thread may call. Verbs that read see one moment.

    A run is changed only by its owner: whoever holds its lease. Time of leases is the store's own clock, so owners
    needn't agree on the time. Slots are counted from the states of instances, so none can stay taken by mistake.

    Absence raises UnknownRunError for runs and StoreError for DAGs; lists are empty.
    """

    has_written = False
    """Whether it committed anything."""

    @abstractmethod
    def close(self) -> None:
        """Let go of everything. Idempotent; nothing may be called after it."""

    @abstractmethod
    def info(self) -> StoreInfo:
        """What this store is."""

    @abstractmethod
    def check(self) -> list[str]:
        """What is wrong with what is kept, a sentence each; nothing, if all is well. It may take a while."""

    @abstractmethod
    def now(self) -> datetime:
        """The time of leases, UTC."""

    # What is run

    @abstractmethod
    def save_dag(self, digest: str, *, dag_id: str, body: Mapping[str, Any]) -> None:
        """Keep a serialised DAG under the digest of its content. Idempotent."""

    @abstractmethod
    def load_dag(self, digest: str) -> Mapping[str, Any]: ...

    @abstractmethod
    def save_pools(self, pools: Collection[Pool]) -> None:
        """Make these pools, or give them these slots."""

    @abstractmethod
    def list_pools(self) -> list[Pool]:
        """Every pool by name; `default_pool` is always there."""

    # Runs

    @abstractmethod
    def delete_pool(self, name: str) -> bool:
        """Whether there was one. `default_pool` stays."""

    @abstractmethod
    def create_run(
        self,
        run: Run,
        instances: Sequence[Instance],
        *,
        mark: int | None = None,
        deadlines: Sequence[Deadline] = (),
    ) -> None:
        """Make a run with its task instances and deadlines.

        ConflictError if its key, or its DAG's logical date, is taken.

        `mark` is the number of the last event of an asset that the run is made for.
        """

    @abstractmethod
    def load_run(self, key: RunKey) -> Run: ...

    def list_runs(
        self,
        *,
        dag_id: str | None = None,
        run_id: str | None = None,
        states: Collection[RunState] | None = None,
        backfill: int | None = None,
        limit: int = 100,
    ) -> list[Run]:
        """The newest first."""
        return self.find_runs(RunFilter(dag_id=dag_id, run_id=run_id, states=states, backfill=backfill, limit=limit))

    @abstractmethod
    def find_runs(self, wanted: RunFilter) -> list[Run]:
        """In the order that the filter says."""

    @abstractmethod
    def find_instances(self, wanted: InstanceFilter) -> list[Instance]:
        """Of all runs, in the order that the filter says."""

    @abstractmethod
    def count_open_runs(self, *, backfill: bool = False) -> dict[tuple[str, RunState], int]:
        """How many runs of each DAG are queued or running; those of backfills are left out, or the only ones."""

    @abstractmethod
    def count_uses(self) -> dict[str, PoolUse]:
        """What the instances of unfinished runs take of each pool, for those pools of which they take any."""

    @abstractmethod
    def delete_runs(self, keys: Collection[RunKey]) -> int:
        """Forget runs with all that is theirs; gives how many there were."""

    @abstractmethod
    def delete_unused_dags(self, *, pretend: bool = False) -> int:
        """Forget serialised DAGs that neither a run nor a file has; gives how many. With `pretend` they stay."""

    @abstractmethod
    def clear(
        self, run: RunKey, retries: Mapping[TaskKey, int], *, at: datetime, backfill: Backfill | None = None
    ) -> None:
        """Let these instances begin anew, each with so many retries more, and the run go on.

        With a `backfill` the run is one of its runs from now on, made at `at` and with its conf, where it has one.

        Their tries are kept, their XComs aren't. What runs is restarted once it was stopped. Whoever owns the run
        loses it, so that it's taken up anew. A run that has ended is queued.
        """

    @abstractmethod
    def pin(self, run: RunKey, digest: str, *, kept: Collection[str], added: Sequence[Instance]) -> None:
        """Let the run go on with this version of its DAG.

        Instances of the `kept` tasks stay as they are, all others go, and those `added` come. Whoever owns the run
        loses it. ConflictError, and no change, while one that is to go is queued, runs or waits for a trigger.
        """

    @abstractmethod
    def force(
        self,
        run: RunKey,
        states: Mapping[TaskKey, TaskState],
        *,
        at: datetime,
        run_state: RunState | None = None,
        doom: str = "",
    ) -> None:
        """Put instances, and the run, into finished states by a person's word; whoever owns the run loses it.

        A run with a `doom` goes on with what is left of it, and then fails for this reason.
        """

    @abstractmethod
    def save_note(self, run: RunKey, note: str) -> None:
        """Keep a person's note with the run."""

    @abstractmethod
    def list_instances(self, key: RunKey, *, task_id: str | None = None) -> list[Instance]:
        """By task id, then by map index; of one task, where it is given."""

    @abstractmethod
    def list_tries(self, key: RunKey) -> list[Try]:
        """By task id, map index, try number."""

    @abstractmethod
    def list_decisions(self, key: RunKey) -> list[Try]:
        """The tries of instances that succeeded in them and decided to skip others. Cheap where there are few."""

    @abstractmethod
    def list_answers(self, key: RunKey) -> list[Answer]:
        """The latest answer for each environment of the run."""

    # Leases

    @abstractmethod
    def take_run(self, key: RunKey, *, owner: str, lease_s: float, displacing: str = "") -> Run:
        """Own the run for `lease_s` seconds from now; owning it already renews.

        ConflictError if somebody else's lease is live, unless that owner is `displacing` (whom the caller knows to
        be dead); the error's `where` is the owner.
        """

    @abstractmethod
    def take_runs(
        self,
        keys: Sequence[RunKey],
        *,
        owner: str,
        lease_s: float,
        displacing: Collection[str] = (),
        room: Mapping[str, int] | None = None,
    ) -> list[Run]:
        """Own those of the runs that can be had, in this order, as `take_run` does; others are left out.

        A queued run is only taken while its DAG has fewer runs than `room` says that are running or about to: that is
        queued and owned. A run of a backfill is counted by itself, and its limit is the backfill's own. So several
        schedulers never begin more runs together than are allowed.
        """

    @abstractmethod
    def renew_runs(self, keys: Collection[RunKey], *, owner: str, lease_s: float) -> frozenset[RunKey]:
        """Own these runs for `lease_s` seconds from now. Returns those that are still this owner's."""

    @abstractmethod
    def release_run(self, key: RunKey, *, owner: str) -> None:
        """Own the run no longer. Nothing happens if it is somebody else's."""

    # Changes

    @abstractmethod
    def commit(self, batch: Batch, *, owner: str) -> frozenset[TaskKey]:
        """Apply a batch in one transaction, and return the instances that could not be queued for want of slots.

        Several transitions of one instance may follow each other. A transition to `queued` whose pool or limits have
        no room is left out (its instance is in the result) and the others are made; room is given in the batch's
        order, and a slot that a transition of the same batch gives back can be claimed in it. It may not be followed
        by another transition of its instance.

        ConflictError, and nothing is changed: a run isn't this owner's, or an instance or run isn't in the state or
        try it should be in. StoreError: `model.states.TRANSITIONS` has no such change, or a pool isn't there.
        """

    # XComs

    @abstractmethod
    def put_xcom(self, key: TryKey, *, name: str, value: str, length: int | None) -> None:
        """Keep a value that this try pushed, over the one there may be. ConflictError if the try isn't active."""

    @abstractmethod
    def list_xcoms(self, key: RunKey, *, task_id: str, name: str, map_index: int | None = None) -> list[XCom]:
        """The values of a task's instances by map index, or the one of `map_index`."""

    @abstractmethod
    def list_lengths(self, key: RunKey, *, task_id: str, name: str = RETURN_VALUE) -> dict[int, int | None]:
        """From map index to the length of the value, for the instances that pushed one."""
