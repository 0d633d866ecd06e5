"""What a batch of transitions comes to: one change per instance, and who gets the slots there are. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from airdock.errors import ConflictError, StoreError
from airdock.model.keys import RunKey, TaskKey, TryKey
from airdock.model.outcome import Outcome
from airdock.model.states import FINISHED, RUN_FINISHED, TRANSITIONS, RunState, TaskState
from airdock.record import record
from airdock.store.base import ACTIVE, PAUSING
from airdock.store.records import Backfill, Expansion, Instance, Limits, Pool, Run, Transition, Try

__all__ = [
    "Change",
    "Room",
    "Use",
    "apply_change",
    "begin_anew",
    "begin_run_anew",
    "count_uses",
    "fold",
    "grow",
    "join_backfill",
    "split_claims",
]


@dataclass(slots=True)
class Change:
    """All that happens to one instance in one transaction: what it must be before, and what it is then."""

    key: TaskKey
    source: TaskState
    source_try: int
    state: TaskState
    try_number: int
    max_tries: int | None = None
    until: datetime | None = None
    executor: str | None = None
    started: datetime | None = None
    ended: datetime | None = None
    limits: Limits | None = None
    next: Mapping[str, Any] | None = None
    trigger: Mapping[str, Any] | None = None
    label: str = ""
    begins_again: bool = False
    opened: list[Try] = field(default_factory=list)
    closed: list[tuple[TryKey, Outcome]] = field(default_factory=list)

    def add(self, step: Transition) -> None:
        """Let one more transition follow."""
        if step.target not in TRANSITIONS[step.source]:
            raise StoreError(
                f"a task instance can't go from {step.source} to {step.target}",
                where=step.key.label,
                hint="expected one of " + ", ".join(sorted(TRANSITIONS[step.source])),
            )
        if step.source != self.state or step.try_number != self.try_number:
            raise ConflictError(
                f"expected {step.source} in try {step.try_number}, found {self.state} in try {self.try_number}",
                where=step.key.label,
            )
        self._tell_tries(step)
        self.begins_again = self.begins_again or (step.to_try != step.try_number and step.to_try > 1)
        self.state, self.try_number, self.until = step.target, step.to_try, step.until
        self.max_tries = self.max_tries if step.max_tries is None else step.max_tries
        self.next, self.trigger, self.label = step.next, step.trigger, step.label or self.label
        if step.target is TaskState.RUNNING:
            self.started = step.at
        if step.target in FINISHED or step.outcome is not None:
            self.ended = step.at

    def _tell_tries(self, step: Transition) -> None:
        if step.outcome is not None:
            self.closed.append((step.key.attempt(step.try_number), step.outcome))
        if step.target is TaskState.QUEUED:
            self.executor, self.limits = step.executor, step.limits or Limits()
            key = step.key.attempt(step.to_try)
            self.opened.append(Try(key=key, digest=step.digest, executor=step.executor, queued=step.at))


def fold(transitions: Iterable[Transition]) -> dict[TaskKey, Change]:
    """One change per instance. StoreError if no such change exists, ConflictError if they don't follow each other."""
    changes: dict[TaskKey, Change] = {}
    for step in transitions:
        change = changes.get(step.key)
        if change is None:
            change = changes[step.key] = Change(
                step.key, step.source, step.try_number, step.source, step.try_number, ended=None
            )
        change.add(step)
    return changes


def split_claims(transitions: Sequence[Transition]) -> tuple[list[Transition], list[Transition]]:
    """The transitions of instances that claim nothing, and those of instances that end up in `queued`."""
    claiming = {step.key for step in transitions if step.target is TaskState.QUEUED}
    if not claiming:
        return list(transitions), []
    plain = [step for step in transitions if step.key not in claiming]
    return plain, [step for step in transitions if step.key in claiming]


@record
class Use:
    """How many instances of a task are queued or running, or are `pausing`, and the slots they take or would take."""

    run: RunKey
    task_id: str
    pool: str
    count: int
    slots: int
    pausing: bool = False


class Room:
    """The slots that are left, given out one instance after the other."""

    def __init__(self, *, pools: Iterable[Pool], used: Iterable[Use]) -> None:
        self._pools = {pool.name: pool for pool in pools}
        self._slots: Counter[str] = Counter()
        self._runs: Counter[RunKey] = Counter()
        self._tasks: Counter[tuple[str, str]] = Counter()
        self._run_tasks: Counter[tuple[RunKey, str]] = Counter()
        for use in used:
            self._count(use.run, use.task_id, use.pool, use.count, use.slots, pausing=use.pausing)

    def _count(self, run: RunKey, task_id: str, pool: str, count: int, slots: int, *, pausing: bool = False) -> None:
        if not pausing or (pool in self._pools and self._pools[pool].include_deferred):
            self._slots[pool] += slots
        self._runs[run] += 0 if pausing else count
        self._tasks[run.dag_id, task_id] += count
        self._run_tasks[run, task_id] += count

    def claim(self, steps: Sequence[Transition]) -> frozenset[TaskKey]:
        """Give room in order to each transition to `queued`; returns the instances that get none."""
        claims = {step.key: step.limits or Limits() for step in steps if step.target is TaskState.QUEUED}
        for step in steps:
            if (step.source in ACTIVE and step.target not in ACTIVE) or step.source in PAUSING:
                self._give_back(step, claims[step.key])
        return frozenset(key for key, limits in claims.items() if not self._take(key, limits))

    def _give_back(self, step: Transition, limits: Limits) -> None:
        pausing = step.source in PAUSING
        self._count(step.key.run, step.key.task_id, limits.pool, -1, -limits.pool_slots, pausing=pausing)

    def _take(self, key: TaskKey, limits: Limits) -> bool:
        if limits.pool not in self._pools:  # one that isn't there has no slot, until it is made
            return False
        run, slots = key.run, self._pools[limits.pool].slots
        fits = (
            (slots < 0 or self._slots[limits.pool] + limits.pool_slots <= slots)
            and (limits.run is None or self._runs[run] < limits.run)
            and (limits.task is None or self._tasks[run.dag_id, key.task_id] < limits.task)
            and (limits.task_in_run is None or self._run_tasks[run, key.task_id] < limits.task_in_run)
        )
        if fits:
            self._count(run, key.task_id, limits.pool, 1, limits.pool_slots)
        return fits


def apply_change(row: Instance, change: Change) -> Instance:
    """The instance after the change."""
    return replace(
        row,
        state=change.state,
        try_number=change.try_number,
        max_tries=row.max_tries if change.max_tries is None else change.max_tries,
        until=change.until,
        executor=row.executor if change.executor is None else change.executor,
        started=change.started or row.started,
        first_started=row.first_started or change.started,
        ended=change.ended,
        next=change.next,
        trigger=change.trigger,
        label=change.label or row.label,
        pool=change.limits.pool if change.limits else row.pool,
        pool_slots=change.limits.pool_slots if change.limits else row.pool_slots,
    )


def begin_anew(row: Instance, retries: int) -> Instance:
    """The instance once it was cleared: what runs has to be stopped before it begins again."""
    state = TaskState.RESTARTING if row.state in ACTIVE else TaskState.NONE
    return replace(
        row,
        state=state,
        max_tries=row.try_number + retries,
        until=None,
        started=row.started if state is TaskState.RESTARTING else None,
        ended=None,
        next=None,
        trigger=None,
        first_started=None,
    )


def grow(like: Instance, expansion: Expansion) -> list[Instance]:
    """The instances that are added to those of an expanded task, of which one is given."""
    fresh = Instance(key=like.key, max_tries=expansion.max_tries, pool=like.pool, pool_slots=like.pool_slots)
    added = range(expansion.first, expansion.length)
    return [replace(fresh, key=replace(like.key, map_index=index)) for index in added]


def begin_run_anew(run: Run) -> Run:
    """The run once some of its instances were cleared. Nobody owns it then, so that it's taken up as it is now."""
    ended = run.state in RUN_FINISHED
    return replace(
        run,
        state=RunState.QUEUED if ended else run.state,
        started=None if ended else run.started,
        ended=None,
        reason="",
        owner="",
        lease_until=None,
        clear_number=run.clear_number + 1,
    )


def count_uses(rows: Iterable[Instance]) -> list[Use]:
    """What these instances take, which are active or pausing."""
    counts: Counter[tuple[RunKey, str, str, bool]] = Counter()
    slots: Counter[tuple[RunKey, str, str, bool]] = Counter()
    for row in rows:
        place = (row.key.run, row.key.task_id, row.pool, row.state in PAUSING)
        counts[place] += 1
        slots[place] += row.pool_slots
    return [
        Use(run=run, task_id=task_id, pool=pool, count=count, slots=slots[run, task_id, pool, pausing], pausing=pausing)
        for (run, task_id, pool, pausing), count in counts.items()
    ]


def join_backfill(run: Run, backfill: Backfill, at: datetime) -> Run:
    """The run as one of a backfill, which it is made for at `at`."""
    conf = backfill.conf or run.conf
    return replace(run, backfill=backfill.number, run_type="backfill", conf=dict(conf), created=at)
