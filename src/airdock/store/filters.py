"""What is asked of the store: which runs and instances are wanted, and what it says of pools and of itself."""

from collections.abc import Collection
from datetime import datetime

from airdock.model.states import RunState, TaskState
from airdock.record import record

__all__ = ["InstanceFilter", "PoolUse", "RunFilter", "StoreInfo"]


@record
class PoolUse:
    """The slots of a pool that instances take, by their states; those that are scheduled wait for them."""

    queued: int = 0
    running: int = 0
    deferred: int = 0
    scheduled: int = 0


@record
class RunFilter:
    """Which runs, of all: those that fit every field that is given.

    `after` and `before` bound the logical date, without either; `ended_before` the end. The newest come first, or the
    oldest: by when they were made, or by logical date, where runs without one are left out.
    """

    dag_id: str | None = None
    run_id: str | None = None
    run_ids: Collection[str] | None = None
    states: Collection[RunState] | None = None
    types: Collection[str] | None = None
    dates: Collection[datetime] | None = None
    after: datetime | None = None
    before: datetime | None = None
    ended_before: datetime | None = None
    backfill: int | None = None
    by_date: bool = False
    oldest_first: bool = False
    limit: int = 100
    offset: int = 0


@record
class InstanceFilter:
    """Which task instances, of all runs: by run, the newest first, then by task id and map index."""

    dag_id: str | None = None
    run_id: str | None = None
    task_id: str | None = None
    states: Collection[TaskState] | None = None
    limit: int = 100
    offset: int = 0


@record
class StoreInfo:
    """What keeps the metadata, where, and at which migration; `migrated_from` is where it was when it was opened."""

    kind: str
    place: str = ""
    version: str = ""
    migrated_from: str | None = None
