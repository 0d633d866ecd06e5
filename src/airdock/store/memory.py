"""The store in this process's memory: for runs that need no record, and for tests of whoever uses a store."""

import threading
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from airdock.clock import Clock, SystemClock
from airdock.errors import ConflictError, StoreError, UnknownRunError
from airdock.model.environment import Environment
from airdock.model.keys import RunKey, TaskKey, TryKey
from airdock.model.states import RUN_FINISHED, RunState, TaskState
from airdock.store.base import ACTIVE, PAUSING, RETURN_VALUE, Store
from airdock.store.changes import (
    Change,
    Room,
    apply_change,
    begin_anew,
    begin_run_anew,
    count_uses,
    fold,
    grow,
    join_backfill,
    split_claims,
)
from airdock.store.claims import choose, is_free
from airdock.store.deadlines import add_deadlines, forget_deadlines, forget_met
from airdock.store.filters import InstanceFilter, PoolUse, RunFilter, StoreInfo
from airdock.store.journal import callback_row, event_row
from airdock.store.memory_find import count_begun, count_pools, find_instances, find_runs
from airdock.store.memory_rows import MemoryRows
from airdock.store.memory_xcoms import MemoryXComs
from airdock.store.records import (
    DEFAULT_POOL,
    DEFAULT_POOL_SLOTS,
    Answer,
    Backfill,
    Batch,
    Deadline,
    Instance,
    Pool,
    Run,
    RunTransition,
    Try,
    XCom,
)

__all__ = ["MemoryStore"]

_HOLDING = ACTIVE | PAUSING


class _Tables:
    """All rows. A commit works on them in place, after everything was checked."""

    def __init__(self) -> None:
        self.dags: dict[str, Mapping[str, Any]] = {}
        self.pools: dict[str, Pool] = {DEFAULT_POOL: Pool(name=DEFAULT_POOL, slots=DEFAULT_POOL_SLOTS)}
        self.rows = MemoryRows()
        self.runs: dict[RunKey, Run] = {}
        self.instances: dict[RunKey, dict[TaskKey, Instance]] = {}
        self.holding: dict[TaskKey, Instance] = {}
        self.tries: dict[RunKey, dict[TryKey, Try]] = {}
        self.answers: dict[RunKey, dict[Environment, Answer]] = {}
        self.xcoms: dict[RunKey, MemoryXComs] = {}


class MemoryStore(Store):
    """Everything is gone with the process."""

    def __init__(self, *, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._tables = _Tables()

    def close(self) -> None: ...

    def info(self) -> StoreInfo:
        return StoreInfo(kind="memory")

    def check(self) -> list[str]:
        return []

    def now(self) -> datetime:
        return self._clock.now()

    def save_dag(self, digest: str, *, dag_id: str, body: Mapping[str, Any]) -> None:
        with self._lock:
            self._tables.dags[digest] = deepcopy(dict(body))

    def load_dag(self, digest: str) -> Mapping[str, Any]:
        with self._lock:
            if digest not in self._tables.dags:
                raise StoreError(f"there is no DAG with digest {digest}")
            return deepcopy(self._tables.dags[digest])

    def save_pools(self, pools: Collection[Pool]) -> None:
        with self._lock:
            self._tables.pools.update({pool.name: pool for pool in pools})

    def delete_pool(self, name: str) -> bool:
        with self._lock:
            return name != DEFAULT_POOL and self._tables.pools.pop(name, None) is not None

    def list_pools(self) -> list[Pool]:
        with self._lock:
            return [pool for _, pool in sorted(self._tables.pools.items())]

    @contextmanager
    def _rows(self, *, write: bool) -> Iterator[MemoryRows]:
        with self._lock:
            yield self._tables.rows

    def create_run(
        self,
        run: Run,
        instances: Sequence[Instance],
        *,
        mark: int | None = None,
        deadlines: Sequence[Deadline] = (),
    ) -> None:
        with self._lock:
            if run.key in self._tables.runs:
                raise ConflictError("there is such a run already", where=run.key.run_id)
            if run.logical_date is not None and any(
                other.key.dag_id == run.key.dag_id and other.logical_date == run.logical_date
                for other in self._tables.runs.values()
            ):
                raise ConflictError("the DAG has a run for this logical date already", where=str(run.logical_date))
            self._tables.runs[run.key] = run
            self._tables.instances[run.key] = {instance.key: instance for instance in instances}
            self._tables.tries[run.key], self._tables.answers[run.key] = {}, {}
            self._tables.xcoms[run.key] = MemoryXComs()
            if mark is not None:
                self._tables.rows.upsert("asset_marks", [{"dag_id": run.key.dag_id, "event": mark}])
            add_deadlines(self._tables.rows, deadlines)

    def load_run(self, key: RunKey) -> Run:
        with self._lock:
            return self._run(key)

    def _run(self, key: RunKey) -> Run:
        run = self._tables.runs.get(key)
        if run is None:
            raise UnknownRunError(f"there is no run {key.run_id!r} of DAG {key.dag_id!r}")
        return run

    def find_runs(self, wanted: RunFilter) -> list[Run]:
        with self._lock:
            return find_runs(self._tables.runs, wanted)

    def find_instances(self, wanted: InstanceFilter) -> list[Instance]:
        with self._lock:
            return find_instances(self._tables.runs, self._tables.instances, wanted)

    def count_open_runs(self, *, backfill: bool = False) -> dict[tuple[str, RunState], int]:
        with self._lock:
            found = (run for run in self._tables.runs.values() if (run.backfill is not None) is backfill)
            return dict(Counter((run.key.dag_id, run.state) for run in found if run.state not in RUN_FINISHED))

    def count_uses(self) -> dict[str, PoolUse]:
        with self._lock:
            return count_pools(self._tables.runs, self._tables.instances)

    def delete_runs(self, keys: Collection[RunKey]) -> int:
        with self._lock:
            gone = [key for key in keys if self._tables.runs.pop(key, None) is not None]
            for key in gone:
                for instance in self._tables.instances.pop(key).values():
                    self._tables.holding.pop(instance.key, None)
                del self._tables.tries[key], self._tables.answers[key], self._tables.xcoms[key]
                forget_deadlines(self._tables.rows, key)
            return len(gone)

    def delete_unused_dags(self, *, pretend: bool = False) -> int:
        with self._lock:
            used = {run.dag_digest for run in self._tables.runs.values()}
            used |= {row["digest"] for row in self._tables.rows.select("dag_index")}
            unused = self._tables.dags.keys() - used
            for digest in () if pretend else unused:
                del self._tables.dags[digest]
            return len(unused)

    def clear(
        self, run: RunKey, retries: Mapping[TaskKey, int], *, at: datetime, backfill: Backfill | None = None
    ) -> None:
        with self._lock:
            found = self._run(run)
            rows, xcoms = self._tables.instances[run], self._tables.xcoms[run]
            for key in retries.keys() & rows.keys():
                rows[key] = begin_anew(rows[key], retries[key])
                self._tables.holding.pop(key, None)
                xcoms.forget(key)
            self._tables.runs[run] = begin_run_anew(found)
            if backfill is not None:
                self._tables.runs[run] = join_backfill(self._tables.runs[run], backfill, at)

    def pin(self, run: RunKey, digest: str, *, kept: Collection[str], added: Sequence[Instance]) -> None:
        with self._lock:
            found, rows = self._run(run), self._tables.instances[run]
            gone = [key for key in rows if key.task_id not in kept]
            if busy := sorted(key.task_id for key in gone if rows[key].state in ACTIVE):
                raise ConflictError(f"task {busy[0]} isn't in the new version, and goes on", where=run.run_id)
            for key in gone:
                del rows[key]
            rows.update({instance.key: instance for instance in added})
            self._tables.runs[run] = replace(found, dag_digest=digest, owner="", lease_until=None)

    def force(
        self,
        run: RunKey,
        states: Mapping[TaskKey, TaskState],
        *,
        at: datetime,
        run_state: RunState | None = None,
        doom: str = "",
    ) -> None:
        with self._lock:
            found = self._run(run)
            rows = self._tables.instances[run]
            for key in states.keys() & rows.keys():
                rows[key] = replace(rows[key], state=states[key], ended=at, until=None, next=None, trigger=None)
                self._tables.holding.pop(key, None)
            if run_state is not None:
                ended = at if run_state in RUN_FINISHED else None
                found = replace(found, state=run_state, started=found.started or at, ended=ended)
            self._tables.runs[run] = replace(found, owner="", lease_until=None, reason=doom or found.reason)

    def save_note(self, run: RunKey, note: str) -> None:
        with self._lock:
            self._tables.runs[run] = replace(self._run(run), note=note)

    def list_instances(self, key: RunKey, *, task_id: str | None = None) -> list[Instance]:
        with self._lock:
            self._run(key)
            rows = [row for row in self._tables.instances[key].values() if task_id in (None, row.key.task_id)]
        return sorted(rows, key=lambda row: (row.key.task_id, row.key.map_index))

    def list_tries(self, key: RunKey) -> list[Try]:
        with self._lock:
            self._run(key)
            rows = list(self._tables.tries[key].values())
        return sorted(rows, key=lambda row: (row.key.task_id, row.key.map_index, row.key.try_number))

    def list_decisions(self, key: RunKey) -> list[Try]:
        rows = {row.key.attempt(row.try_number) for row in self.list_instances(key) if row.state is TaskState.SUCCESS}
        return [each for each in self.list_tries(key) if each.key in rows and each.skip]

    def list_answers(self, key: RunKey) -> list[Answer]:
        with self._lock:
            self._run(key)
            return list(self._tables.answers[key].values())

    def take_run(self, key: RunKey, *, owner: str, lease_s: float, displacing: str = "") -> Run:
        with self._lock:
            run = self._run(key)
            if not is_free(run, owner=owner, now=self.now(), displacing={displacing}):
                raise ConflictError("somebody else runs this run", where=run.owner)
            return self._lease(run, owner, lease_s)

    def _lease(self, run: Run, owner: str, lease_s: float) -> Run:
        taken = replace(run, owner=owner, lease_until=self.now() + timedelta(seconds=lease_s))
        self._tables.runs[run.key] = taken
        return taken

    def take_runs(
        self,
        keys: Sequence[RunKey],
        *,
        owner: str,
        lease_s: float,
        displacing: Collection[str] = (),
        room: Mapping[str, int] | None = None,
    ) -> list[Run]:
        with self._lock:
            now = self.now()
            taken = choose(
                [self._tables.runs[key] for key in keys if key in self._tables.runs],
                owner=owner,
                now=now,
                displacing=displacing,
                begun=count_begun(self._tables.runs.values(), now),
                room=room or {},
                backfills={row["number"]: row["max_active_runs"] for row in self._tables.rows.select("backfills")},
            )
            return [self._lease(run, owner, lease_s) for run in taken]

    def renew_runs(self, keys: Collection[RunKey], *, owner: str, lease_s: float) -> frozenset[RunKey]:
        with self._lock:
            kept = frozenset(key for key in keys if key in self._tables.runs and self._run(key).owner == owner)
            until = self.now() + timedelta(seconds=lease_s)
            self._tables.runs.update({key: replace(self._run(key), lease_until=until) for key in kept})
            return kept

    def release_run(self, key: RunKey, *, owner: str) -> None:
        with self._lock:
            run = self._run(key)
            if run.owner == owner:
                self._tables.runs[key] = replace(run, owner="", lease_until=None)

    def commit(self, batch: Batch, *, owner: str) -> frozenset[TaskKey]:
        with self._lock:
            self._check_owner(batch, owner)
            plain, claiming = split_claims(batch.transitions)
            expanded = self._expand(batch)
            changes = fold(plain)
            self._check(changes, expanded)
            refused = self._room(changes).claim(claiming)
            claimed = fold(step for step in claiming if step.key not in refused or step.target is not TaskState.QUEUED)
            self._check(claimed, expanded)
            runs = [self._changed_run(step) for step in batch.runs]
            self._apply(batch, expanded, changes | claimed, runs)
            return refused

    def _check_owner(self, batch: Batch, owner: str) -> None:
        keys = {step.key.run for step in batch.transitions} | {step.run for step in batch.expansions}
        for key in keys | {answer.run for answer in batch.answers} | {step.key for step in batch.runs}:
            if self._run(key).owner != owner:
                raise ConflictError("the run was taken over", where=self._run(key).owner or "nobody")

    def _expand(self, batch: Batch) -> dict[TaskKey, list[Instance]]:
        """From the unexpanded instance to those it becomes, or that are added."""
        found: dict[TaskKey, list[Instance]] = {}
        for each in batch.expansions:
            key = TaskKey(dag_id=each.run.dag_id, run_id=each.run.run_id, task_id=each.task_id)
            if each.first:
                like = self._tables.instances[each.run][replace(key, map_index=0)]
                found[key] = grow(like, each)
                continue
            row = self._tables.instances[each.run].get(key)
            if row is None or row.state is not TaskState.NONE:
                raise ConflictError("the task was expanded already, or isn't there", where=key.label)
            found[key] = [replace(row, key=replace(key, map_index=index)) for index in range(each.length)]
        return found

    def _check(self, changes: Mapping[TaskKey, Change], expanded: Mapping[TaskKey, list[Instance]]) -> None:
        fresh = {row.key: row for rows in expanded.values() for row in rows}
        for key, change in changes.items():
            row = fresh.get(key) or self._tables.instances[key.run].get(key)
            if row is None or row.state != change.source or row.try_number != change.source_try:
                found = "nothing" if row is None else f"{row.state} in try {row.try_number}"
                expected = f"{change.source} in try {change.source_try}"
                raise ConflictError(f"expected {expected}, found {found}", where=key.label)

    def _room(self, changes: Mapping[TaskKey, Change]) -> Room:
        used = [row for key, row in self._tables.holding.items() if key not in changes]
        used += [apply_change(self._find(key), each) for key, each in changes.items() if each.state in _HOLDING]
        return Room(pools=self._tables.pools.values(), used=count_uses(used))

    def _find(self, key: TaskKey) -> Instance:
        return self._tables.instances[key.run][key]

    def _changed_run(self, step: RunTransition) -> Run:
        run = self._run(step.key)
        if run.state is not step.source:
            raise ConflictError(f"expected the run {step.source}, found it {run.state}", where=step.key.run_id)
        started = step.at if step.target is RunState.RUNNING and run.started is None else run.started
        ended = step.at if step.target in RUN_FINISHED else None
        return replace(run, state=step.target, started=started, ended=ended, reason=step.reason)

    def _apply(
        self,
        batch: Batch,
        expanded: Mapping[TaskKey, list[Instance]],
        changes: Mapping[TaskKey, Change],
        runs: Iterable[Run],
    ) -> None:
        for answer in batch.answers:
            self._tables.answers[answer.run][answer.environment] = answer
        for key, rows in expanded.items():
            self._tables.instances[key.run].pop(key, None)
            self._tables.instances[key.run].update({row.key: row for row in rows})
        for change in changes.values():
            self._change(change)
        self._tables.runs.update({run.key: run for run in runs})
        for step in batch.runs:
            forget_met(self._tables.rows, step)
        self._tables.rows.add("asset_events", [event_row(each) for each in batch.events])
        self._tables.rows.add("callbacks", [callback_row(each) for each in batch.callbacks])

    def _change(self, change: Change) -> None:
        rows, tries = self._tables.instances[change.key.run], self._tables.tries[change.key.run]
        row = rows[change.key] = apply_change(rows[change.key], change)
        if row.state in _HOLDING:
            self._tables.holding[row.key] = row
        else:
            self._tables.holding.pop(row.key, None)
        for key, outcome in change.closed:
            tries[key] = replace(tries.get(key, Try(key=key)), outcome=outcome)
        tries.update({each.key: each for each in change.opened})
        if change.begins_again:
            self._tables.xcoms[change.key.run].forget(change.key)

    def put_xcom(self, key: TryKey, *, name: str, value: str, length: int | None) -> None:
        with self._lock:
            run = key.task.run
            self._run(run)
            row = self._tables.instances[run].get(key.task)
            if row is None or row.try_number != key.try_number or row.state not in ACTIVE:
                raise ConflictError("the try is not active, so it can't push an XCom", where=key.task.label)
            xcom = XCom(key=key.task, name=name, value=value, length=length)
            self._tables.xcoms[run].put(xcom)

    def list_xcoms(self, key: RunKey, *, task_id: str, name: str, map_index: int | None = None) -> list[XCom]:
        with self._lock:
            self._run(key)
            return self._tables.xcoms[key].find(task_id, name, map_index)

    def list_lengths(self, key: RunKey, *, task_id: str, name: str = RETURN_VALUE) -> dict[int, int | None]:
        return {xcom.key.map_index: xcom.length for xcom in self.list_xcoms(key, task_id=task_id, name=name)}
