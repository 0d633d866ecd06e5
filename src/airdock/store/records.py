"""The rows that the store keeps and the changes it takes, as frozen values."""

from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime
from typing import Any

from airdock.model.environment import Environment
from airdock.model.keys import RunKey, TaskKey, TryKey
from airdock.model.outcome import Outcome
from airdock.model.states import RunState, TaskState
from airdock.record import record

__all__ = [
    "DEFAULT_POOL",
    "DEFAULT_POOL_SLOTS",
    "Answer",
    "Batch",
    "Expansion",
    "Instance",
    "Limits",
    "Pool",
    "Run",
    "RunTransition",
    "Transition",
    "Try",
    "XCom",
]

DEFAULT_POOL = "default_pool"
DEFAULT_POOL_SLOTS = 128


@record
class Run:
    """One DAG run. `owner` holds it until `lease_until`; empty where nobody does."""

    key: RunKey
    state: RunState
    dag_digest: str
    created: datetime
    logical_date: datetime | None = None
    conf: Mapping[str, Any] = field(default_factory=dict)
    started: datetime | None = None
    ended: datetime | None = None
    reason: str = ""
    owner: str = ""
    lease_until: datetime | None = None


@record
class Instance:
    """One task instance. `max_tries` is how many tries may fail before a failure is final, less one.

    `until` is when a retry or a rescheduled sensor is due. `executor` ran or runs the latest try.
    """

    key: TaskKey
    state: TaskState = TaskState.NONE
    try_number: int = 0
    max_tries: int = 0
    pool: str = DEFAULT_POOL
    pool_slots: int = 1
    executor: str = ""
    until: datetime | None = None
    started: datetime | None = None
    ended: datetime | None = None


@record
class Try:
    """One try: `outcome` is None while it goes on. `digest` is the image it was queued with."""

    key: TryKey
    digest: str = ""
    executor: str = ""
    queued: datetime | None = None
    outcome: Outcome | None = None


@record
class Limits:
    """What a task instance needs to be queued; counts are over queued and running instances. None is no bound.

    `run` bounds the instances of its run, `task` those of its task in all runs, `task_in_run` those in its run.
    """

    pool: str = DEFAULT_POOL
    pool_slots: int = 1
    run: int | None = None
    task: int | None = None
    task_in_run: int | None = None


@record
class Transition:
    """A task instance goes from one state to another, if it is in that state with that try number.

    `to_try` differs from `try_number` where a new try begins: its XComs are deleted and its row appears when it is
    queued (with `digest` and `executor`) or ends before. `outcome` ends the try `try_number`. `limits` are claimed
    by going to `queued`, and needed there. `max_tries` changes what the instance has, where it is given.
    """

    key: TaskKey
    source: TaskState
    target: TaskState
    try_number: int
    to_try: int
    at: datetime
    max_tries: int | None = None
    until: datetime | None = None
    digest: str = ""
    executor: str = ""
    outcome: Outcome | None = None
    limits: Limits | None = None


@record
class Expansion:
    """The unexpanded instance of a mapped task (state `none`) becomes instances 0 to `length` - 1; at least one."""

    run: RunKey
    task_id: str
    length: int


@record
class Answer:
    """What became of an environment that a run needs: a digest, or the error that `AirdockError.to_dict` gives."""

    run: RunKey
    environment: Environment
    at: datetime
    digest: str = ""
    reused: bool = False
    error: Mapping[str, str] | None = None


@record
class RunTransition:
    """A run goes from one state to another, if it is in that state."""

    key: RunKey
    source: RunState
    target: RunState
    at: datetime
    reason: str = ""


@record
class Batch:
    """Changes that are committed together, in this order: answers, expansions, transitions, runs."""

    answers: Sequence[Answer] = ()
    expansions: Sequence[Expansion] = ()
    transitions: Sequence[Transition] = ()
    runs: Sequence[RunTransition] = ()

    def __bool__(self) -> bool:
        return bool(self.answers or self.expansions or self.transitions or self.runs)


@record
class XCom:
    """One value that a task pushed: JSON text, and its length where it is a list or an object."""

    key: TaskKey
    name: str
    value: str
    length: int | None = None


@record
class Pool:
    """A named number of slots; -1 is unlimited."""

    name: str
    slots: int
