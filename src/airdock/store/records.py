"""The rows that the store keeps and the changes it takes, as frozen values."""

from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime
from typing import Any

from airdock.model.environment import Environment
from airdock.model.keys import RunKey, TaskKey, TryKey
from airdock.model.outcome import Outcome, Succeeded
from airdock.model.states import RunState, TaskState
from airdock.record import record

__all__ = [
    "DEFAULT_POOL",
    "DEFAULT_POOL_SLOTS",
    "Answer",
    "AssetEvent",
    "Backfill",
    "Batch",
    "CallbackRow",
    "ConnectionRow",
    "DagRow",
    "Deadline",
    "Expansion",
    "ImportProblem",
    "Instance",
    "Limits",
    "LogRow",
    "Pool",
    "Run",
    "RunTransition",
    "SchedulerRow",
    "Transition",
    "Try",
    "Variable",
    "XCom",
]

DEFAULT_POOL = "default_pool"
DEFAULT_POOL_SLOTS = 128


@record
class Run:
    """One DAG run. `owner` holds it until `lease_until`; empty where nobody does.

    It isn't begun before `run_after`, by default its logical date. `interval_start` and `interval_end` bound the data
    that it is about. `events` made it, as `AssetEvent.to_dict` gives them. `clear_number` counts how often it was made
    to begin anew. `backfill` is the number of the backfill that it belongs to.
    """

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
    run_type: str = "manual"
    run_after: datetime | None = None
    interval_start: datetime | None = None
    interval_end: datetime | None = None
    note: str = ""
    clear_number: int = 0
    backfill: int | None = None
    events: Sequence[Mapping[str, Any]] = ()


@record
class Instance:
    """One task instance. `max_tries` is how many tries may fail before a failure is final, less one.

    `until` is when a retry or a rescheduled sensor is due. `executor` ran or runs the latest try. `next` says how a
    deferred try goes on: method, kwargs and event; `trigger` is what it waits for: class path and kwargs. `label` is
    what an instance of a mapped task is shown as. `first_started` is when its first try began.
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
    next: Mapping[str, Any] | None = None
    trigger: Mapping[str, Any] | None = None
    first_started: datetime | None = None
    label: str = ""
    note: str = ""


@record
class Try:
    """One try: `outcome` is None while it goes on. `digest` is the image it was queued with."""

    key: TryKey
    digest: str = ""
    executor: str = ""
    queued: datetime | None = None
    outcome: Outcome | None = None

    @property
    def skip(self) -> tuple[tuple[str, int], ...]:
        """The instances that it decided to skip, as in `Succeeded.skip`."""
        ending = self.outcome.ending if self.outcome is not None else None
        return ending.skip if isinstance(ending, Succeeded) else ()


@record
class Limits:
    """What a task instance needs to be queued; counts are over queued and running instances. None is no bound.

    `run` bounds the instances of its run, `task` those of its task in all runs, `task_in_run` those in its run; the
    last two count those that are deferred or wait for a person too.
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
    by going to `queued`, and needed there. `max_tries` and `label` change what the instance has, where they are given.
    `next` and `trigger` are what the instance has then, so that another transition forgets them.
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
    next: Mapping[str, Any] | None = None
    trigger: Mapping[str, Any] | None = None
    label: str = ""


@record
class Expansion:
    """The unexpanded instance of a mapped task (state `none`) becomes instances 0 to `length` - 1; at least one.

    One that was expanded already, to `first` instances, gets those from there on, if there are any; they may be tried
    again `max_tries` times.
    """

    run: RunKey
    task_id: str
    length: int
    first: int = 0
    max_tries: int = 0


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
    """Changes that are committed together, in the order of the fields. `callbacks` are to be called from then on."""

    answers: Sequence[Answer] = ()
    expansions: Sequence[Expansion] = ()
    transitions: Sequence[Transition] = ()
    runs: Sequence[RunTransition] = ()
    events: "Sequence[AssetEvent]" = ()
    callbacks: "Sequence[CallbackRow]" = ()

    def __bool__(self) -> bool:
        return any(
            (self.answers, self.expansions, self.transitions, self.runs, self.events, self.callbacks),
        )


@record
class XCom:
    """One value that a task pushed: JSON text, and its length where it is a list or an object."""

    key: TaskKey
    name: str
    value: str
    length: int | None = None


@record
class Pool:
    """A named number of slots; -1 is unlimited. With `include_deferred` those that wait for triggers take slots too."""

    name: str
    slots: int
    description: str = ""
    include_deferred: bool = False


@record
class DagRow:
    """A DAG as its file has it. One whose file is gone, or defines it no more, isn't `is_active`.

    `digest` is of the serialised DAG. A DAG that `is_paused` begins no runs.
    """

    dag_id: str
    fileloc: str
    digest: str
    is_paused: bool = False
    is_active: bool = True
    loaded: datetime | None = None


@record
class ImportProblem:
    """Why a DAG file can't be loaded: the error as `AirdockError.to_dict` gives it."""

    fileloc: str
    error: Mapping[str, Any]
    at: datetime


@record
class Variable:
    """A value that tasks ask for by name; `value` is encrypted by whoever keeps it."""

    name: str
    value: str
    description: str = ""


@record
class ConnectionRow:
    """Where another service is; `value` is the whole connection, encrypted by whoever keeps it."""

    id: str
    conn_type: str
    value: str
    description: str = ""


@record
class AssetEvent:
    """An asset was made. `number` is given by the store: later ones have higher numbers.

    `alias` is the one by which the task named it. Without a source it was told from outside.
    """

    name: str
    uri: str
    at: datetime
    extra: Mapping[str, Any] = field(default_factory=dict)
    alias: str = ""
    source: TaskKey | None = None
    number: int = 0

    def to_dict(self) -> dict[str, Any]:
        """As tasks are told of it."""
        return {
            "name": self.name,
            "uri": self.uri,
            "extra": dict(self.extra),
            "timestamp": self.at.isoformat(),
            "source_dag_id": self.source.dag_id if self.source else None,
            "source_run_id": self.source.run_id if self.source else None,
            "source_task_id": self.source.task_id if self.source else None,
            "source_map_index": self.source.map_index if self.source else -1,
            **({"alias": self.alias} if self.alias else {}),
        }


@record
class Backfill:
    """Runs of a DAG for the dates from `start` to `end`, at most `max_active_runs` at a time.

    `reprocess` says which dates that have a run get it anew: "none", "failed" or "completed". `state` is one of
    "running", "done" and "cancelled".
    """

    dag_id: str
    start: datetime
    end: datetime
    created: datetime
    reverse: bool = False
    max_active_runs: int = 10
    reprocess: str = "none"
    conf: Mapping[str, Any] = field(default_factory=dict)
    state: str = "running"
    number: int = 0


@record
class CallbackRow:
    """A callback that is to be called; `call` is what `runner.callbacks` takes. `owner` has it until `lease_until`."""

    call: Mapping[str, Any]
    created: datetime
    owner: str = ""
    lease_until: datetime | None = None
    number: int = 0


@record
class Deadline:
    """A run has to have ended by `due`; else what `alert` says is called, as in `SerializedDag.deadlines`."""

    run: RunKey
    due: datetime
    alert: Mapping[str, Any]
    number: int = 0


@record
class SchedulerRow:
    """A scheduler that works on this store: `owner` as in leases, and when it was last seen."""

    owner: str
    started: datetime
    seen: datetime


@record
class LogRow:
    """What somebody did to what is kept here. `who` is a person or a part of Airdock, `event` a verb as in the CLI."""

    event: str
    at: datetime
    who: str = ""
    dag_id: str = ""
    run_id: str = ""
    task_id: str = ""
    map_index: int = -1
    extra: Mapping[str, Any] = field(default_factory=dict)
    number: int = 0
