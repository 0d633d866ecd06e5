"""What people do to DAGs and runs by hand: pause, clear, say how something ended, make up for the past."""

import getpass
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from airdock.clock import Clock
from airdock.dag.serialized import SerializedDag
from airdock.errors import ConfigError, ConflictError, DagError
from airdock.model.keys import RunKey, TaskKey
from airdock.model.states import FINISHED, RUN_FINISHED, RunState, TaskState
from airdock.record import record
from airdock.scheduler.asking import Ask, ask_runs, is_custom
from airdock.scheduler.clear import find_below, pick_tasks
from airdock.scheduler.runs import make_instances
from airdock.scheduler.timetables import RunPlan, is_periodic, list_runs
from airdock.store.base import ACTIVE, PAUSING, Store
from airdock.store.filters import RunFilter
from airdock.store.records import Backfill, Instance, LogRow, Run
from airdock.store.upkeep import delete_dag

__all__ = ["Cleared", "Hands", "PlannedRun"]

_MOST_RUNS: Final = 100_000
_BAD: Final = frozenset({TaskState.FAILED, TaskState.UPSTREAM_FAILED})
_BEGUN: Final = ACTIVE | PAUSING | {TaskState.UP_FOR_RESCHEDULE}
"""What goes on, in a slot or outside of one."""
_BY_HAND: Final = "ended by hand"
_REPROCESS: Final = ("none", "failed", "completed")


@record
class Cleared:
    """The instances that begin anew, of one run."""

    run: RunKey
    instances: tuple[TaskKey, ...]


@record
class PlannedRun:
    """One date of a backfill: "make" a run, "clear" the one that is there, or "leave" it."""

    plan: RunPlan
    what: str
    run: RunKey | None = None


class Hands:
    """Over one store. `create` makes a run: `Orchestrator.create_run`. `ask` asks timetables that authors wrote."""

    def __init__(self, *, store: Store, clock: Clock, create: Callable[..., RunKey], ask: Ask | None = None) -> None:
        self._store, self._clock, self._create, self._ask = store, clock, create, ask

    def pause(self, dag_ids: Collection[str], *, is_paused: bool) -> None:
        """Let DAGs begin no runs, or let them again. DagError names those that no server has loaded."""
        missing = sorted(set(dag_ids) - {row.dag_id for row in self._store.list_dags()})
        if missing:
            known = ", ".join(row.dag_id for row in self._store.list_dags())
            raise DagError(
                f"there is no DAG {missing[0]!r} that a scheduler has loaded",
                hint=f"there are: {known}" if known else "start one on the folder: airdock scheduler",
            )
        self._store.pause_dags(dag_ids, is_paused=is_paused)
        self._log("pause" if is_paused else "unpause", *(RunKey(dag_id=each, run_id="") for each in dag_ids))

    def _log(self, event: str, *places: RunKey, **extra: Any) -> None:
        """Keep who did what to these runs, or to DAGs where there is no run id."""
        told = LogRow(event=event, at=self._clock.now(), who=_name_account(), extra=extra)
        self._store.add_log([replace(told, dag_id=each.dag_id, run_id=each.run_id) for each in places])

    def delete_dag(self, dag_id: str) -> int:
        """Forget a DAG with all its runs, and give how many. DagError for none, ConflictError while one goes on."""
        if self._store.find_dag_row(dag_id) is None and not self._store.list_runs(dag_id=dag_id, limit=1):
            raise DagError(f"there is no DAG {dag_id!r}", hint="airdock dags list")
        deleted = delete_dag(self._store, dag_id)
        self._log("delete", RunKey(dag_id=dag_id, run_id=""), runs=deleted)
        return deleted

    # Begin anew

    def clear(
        self,
        run: Run,
        task_ids: Collection[str] = (),
        *,
        map_indexes: Collection[int] = (),
        upstream: bool = False,
        downstream: bool = False,
        past: bool = False,
        future: bool = False,
        only_failed: bool = False,
        only_running: bool = False,
        latest: bool = False,
        dry_run: bool = False,
    ) -> list[Cleared]:
        """Let instances of these tasks (all, without any) begin anew, with setups and teardowns that belong to them.

        `past` and `future` take the same of the DAG's earlier and later runs. With `latest` the runs go on with the
        DAG's newest version: its new tasks are to be done, and those that it has no longer are forgotten. With
        `dry_run` nothing changes. DagError for a task that isn't there, ConflictError where a task goes on that the
        newest version has no longer.
        """
        found = []
        for each in self._runs_around(run, past=past, future=future):
            dag = self._dag_of(each)
            digest = self._newest(each) if latest else each.dag_digest
            if is_newer := digest != each.dag_digest:
                newest = SerializedDag.from_dict(self._store.load_dag(digest))
                if not dry_run:
                    self._pin(each, dag, newest, digest)
                dag = newest
            picked = self._pick(dag, task_ids, upstream=upstream, downstream=downstream)
            rows = [row for row in self._store.list_instances(each.key) if row.key.task_id in picked]
            if map_indexes:
                rows = [row for row in rows if row.key.map_index in map_indexes or row.key.task_id not in task_ids]
            chosen = [row for row in rows if _is_wanted(row, only_failed=only_failed, only_running=only_running)]
            if not chosen and not is_newer:
                continue
            if not dry_run:
                retries = {row.key: dag.task(row.key.task_id).retries for row in chosen}
                self._store.clear(each.key, retries, at=self._clock.now())
                self._log("clear", each.key, tasks=sorted({row.key.task_id for row in chosen}))
            found.append(Cleared(run=each.key, instances=tuple(row.key for row in chosen)))
        return found

    def _newest(self, run: Run) -> str:
        """The digest of the DAG as a scheduler loaded it last; the run's own where none did."""
        row = self._store.find_dag_row(run.key.dag_id)
        return run.dag_digest if row is None else row.digest

    def _pin(self, run: Run, dag: SerializedDag, newest: SerializedDag, digest: str) -> None:
        before = {task.task_id: dag.expansion(task) for task in dag.tasks}
        kept = {task.task_id for task in newest.tasks if before.get(task.task_id, ()) == newest.expansion(task)}
        new = [task for task in newest.tasks if task.task_id not in kept]
        added = [row for task in new for row in make_instances(run.key, newest, task)]
        self._store.pin(run.key, digest, kept=kept, added=added)
        self._log("pin", run.key, tasks=sorted(task.task_id for task in new))

    def _runs_around(self, run: Run, *, past: bool, future: bool) -> list[Run]:
        date = run.logical_date
        if date is None or not (past or future):
            return [run]
        wanted = RunFilter(dag_id=run.key.dag_id, by_date=True, limit=_MOST_RUNS)
        earlier = self._store.find_runs(replace(wanted, before=date)) if past else []
        later = self._store.find_runs(replace(wanted, after=date)) if future else []
        return [*reversed(earlier), run, *reversed(later)]

    def _dag_of(self, run: Run) -> SerializedDag:
        return SerializedDag.from_dict(self._store.load_dag(run.dag_digest))

    def _pick(
        self, dag: SerializedDag, task_ids: Collection[str], *, upstream: bool, downstream: bool
    ) -> Collection[str]:
        known = {task.task_id for task in dag.tasks}
        groups = {name: [task.task_id for task in dag.tasks if _is_in(dag, task.group, name)] for name in dag.groups}
        chosen = [each for name in task_ids for each in groups.get(name, [name])]
        unknown = sorted(set(chosen) - known)
        if unknown:
            raise DagError(
                f"DAG {dag.dag_id!r} has no task or group {unknown[0]!r}", hint=f"it has: {', '.join(sorted(known))}"
            )
        return pick_tasks(dag.tasks, chosen, upstream=upstream, downstream=downstream) if task_ids else known

    # Say how it ended

    def mark_tasks(self, run: Run, task_ids: Collection[str], state: TaskState) -> list[TaskKey]:
        """Put all instances of these tasks into a finished state; what runs of them is stopped. DagError.

        What failed below them for want of them, or by itself, begins anew.
        """
        if state not in FINISHED:
            raise ConfigError(f"expected a state in which nothing goes on, found {state}")
        dag, rows = self._dag_of(run), self._store.list_instances(run.key)
        picked = self._pick(dag, task_ids, upstream=False, downstream=False)
        marked = [row.key for row in rows if row.key.task_id in picked]
        self._store.force(run.key, dict.fromkeys(marked, state), at=self._clock.now())
        self._log("mark", run.key, tasks=sorted(picked), state=str(state))
        below = find_below(dag.tasks, picked)
        again = [row.key for row in rows if row.state in _BAD and row.key.task_id in below]
        if again or run.state in RUN_FINISHED:  # a run that has ended is looked at anew
            retries = {key: dag.task(key.task_id).retries for key in again}
            self._store.clear(run.key, retries, at=self._clock.now())
        return marked

    def mark_run(self, run: Run, state: RunState) -> list[TaskKey]:
        """End a run by hand: as failed, what runs is stopped and what waits is skipped; as success, all succeeded.

        Teardowns whose setup ran are left to run: a run that fails with some of these ends once they have. Gives what
        was changed.
        """
        rows = self._store.list_instances(run.key)
        if state is RunState.SUCCESS:
            changed = {row.key: TaskState.SUCCESS for row in rows if row.state is not TaskState.SUCCESS}
            self._store.force(run.key, changed, at=self._clock.now(), run_state=state)
        else:
            left = _find_teardowns(self._dag_of(run), rows) if run.state is RunState.RUNNING else frozenset()
            changed = {
                row.key: TaskState.FAILED if row.state in _BEGUN else TaskState.SKIPPED
                for row in rows
                if row.state not in FINISHED and row.key.task_id not in left
            }
            ends: dict[str, Any] = {"doom": _BY_HAND} if left else {"run_state": state}
            self._store.force(run.key, changed, at=self._clock.now(), **ends)
        self._log("mark", run.key, state=str(state))
        return list(changed)

    # Make up for the past

    def backfill(
        self,
        dag: SerializedDag,
        *,
        start: datetime,
        end: datetime,
        reverse: bool = False,
        max_active_runs: int = 10,
        reprocess: str = "none",
        conf: Mapping[str, Any] | None = None,
        dry_run: bool = False,
    ) -> list[PlannedRun]:
        """A run for each date of the DAG's timetable from `start` to `end`, both included.

        `reprocess` says which dates that have a run get it anew: "none", "failed" or "completed"; runs that go on are
        left alone. ConfigError for a backfill that can't be, ConflictError while another one of the DAG goes on.
        """
        self._check_backfill(dag, start, end, reverse=reverse, reprocess=reprocess, most=max_active_runs)
        plans = self._list_runs(dag, start, end)
        known = {run.logical_date: run for run in self._store.find_runs(
            RunFilter(dag_id=dag.dag_id, dates=[plan.logical_date for plan in plans if plan.logical_date],
                      limit=_MOST_RUNS))}  # fmt: skip
        chosen = [_choose(plan, known.get(plan.logical_date), reprocess) for plan in plans]
        chosen = chosen[::-1] if reverse else chosen
        if not dry_run and any(each.what != "leave" for each in chosen):
            asked = Backfill(dag_id=dag.dag_id, start=start, end=end, created=self._clock.now(), reverse=reverse,
                             max_active_runs=max_active_runs, reprocess=reprocess, conf=dict(conf or {}))  # fmt: skip
            asked = replace(asked, number=self._store.add_backfill(asked))
            for each in chosen:
                self._make(dag, each, asked)
        return chosen

    def _list_runs(self, dag: SerializedDag, start: datetime, end: datetime) -> list[RunPlan]:
        """Those whose time has come."""
        if self._ask is not None and is_custom(dag.timetable):
            found = ask_runs(self._ask, dag, start=start, end=end)
        else:
            found = list(list_runs(dag.timetable, start=start, end=end))
        now = self._clock.now()
        return [plan for plan in found if plan.run_after <= now]

    def _make(self, dag: SerializedDag, each: PlannedRun, backfill: Backfill) -> None:
        if each.what == "make":
            self._create(dag, plan=each.plan, conf=backfill.conf, backfill=backfill.number)
        elif each.what == "clear" and each.run is not None:
            run = self._store.load_run(each.run)
            retries = {task.task_id: task.retries for task in self._dag_of(run).tasks}
            rows = self._store.list_instances(run.key)
            again = {row.key: retries[row.key.task_id] for row in rows if row.state is not TaskState.NONE}
            self._store.clear(run.key, again, at=self._clock.now(), backfill=backfill)
            self._log("clear", run.key, backfill=backfill.number)

    def _check_backfill(
        self, dag: SerializedDag, start: datetime, end: datetime, *, reverse: bool, reprocess: str, most: int
    ) -> None:
        if start > end:
            raise ConfigError(f"expected the dates of a backfill in order, found {start} and {end}")
        if reprocess not in _REPROCESS or most < 1:
            words = ", ".join(_REPROCESS)
            raise ConfigError(f"expected one of {words} and at least 1 run, found {reprocess} and {most}")
        can_be_asked = self._ask is not None and is_custom(dag.timetable)
        if not can_be_asked and not is_periodic(dag.timetable):
            raise ConfigError(
                f"expected a DAG with runs at given times, found {dag.dag_id!r} with schedule {dag.schedule or 'None'}",
                hint="trigger its runs one by one: airdock dags trigger",
            )
        if start > self._clock.now():
            raise ConfigError(f"expected dates that are over, found {start} and {end}")
        if any(task.depends_on_past for task in dag.tasks):
            _check_past(dag, reverse=reverse, reprocess=reprocess)
        for other in self._store.list_backfills(dag_id=dag.dag_id):
            if other.state == "running" and not self._is_over(other):
                raise ConflictError(
                    f"another backfill of {dag.dag_id!r} goes on, from {other.start} to {other.end}",
                    hint="wait until its runs have ended, or end them: airdock runs cancel",
                )

    def _is_over(self, backfill: Backfill) -> bool:
        """Whether no run of it goes on; if so it is done from now on."""
        open_states = [state for state in RunState if state not in RUN_FINISHED]
        if self._store.list_runs(backfill=backfill.number, states=open_states, limit=1):
            return False
        self._store.end_backfill(backfill.number, state="done")
        return True


def _check_past(dag: SerializedDag, *, reverse: bool, reprocess: str) -> None:
    """What a backfill of tasks that depend on the past has to be like."""
    if reverse:
        raise ConfigError(f"DAG {dag.dag_id!r} has tasks that depend on the past, so it can't go backwards")
    if reprocess == "none":
        raise ConfigError(
            f"DAG {dag.dag_id!r} has tasks that depend on the past: expected to hear which dates that have a run are "
            "done again, found 'none'",
            hint="--reprocess failed, or --reprocess completed",
        )


def _find_teardowns(dag: SerializedDag, rows: Collection[Instance]) -> frozenset[str]:
    """Those that have something to tear down, and haven't yet."""
    ran = {row.key.task_id for row in rows if row.state is TaskState.SUCCESS or row.state in _BEGUN}
    open_ids = {row.key.task_id for row in rows if row.state not in FINISHED}
    setups = {task.task_id for task in dag.tasks if task.is_setup}
    left = [task for task in dag.tasks if task.is_teardown and task.task_id in open_ids]
    own = {task.task_id: {*task.setups, *task.upstream} & setups for task in left}
    # One that belongs to no setup is for whatever there was.
    return frozenset(task_id for task_id, made in own.items() if task_id in ran or (made & ran if made else ran))


def _is_wanted(row: Instance, *, only_failed: bool, only_running: bool) -> bool:
    if only_failed and only_running:
        return row.state in _BAD or row.state in ACTIVE
    if only_failed:
        return row.state in _BAD
    return row.state in ACTIVE if only_running else row.state is not TaskState.NONE


def _is_in(dag: SerializedDag, group: str, name: str) -> bool:
    while group and group != name:
        group = str(dag.groups.get(group, {}).get("parent") or "")
    return group == name


def _choose(plan: RunPlan, run: Run | None, reprocess: str) -> PlannedRun:
    if run is None:
        return PlannedRun(plan=plan, what="make")
    again = {"failed": run.state is RunState.FAILED, "completed": run.state in RUN_FINISHED}.get(reprocess, False)
    return PlannedRun(plan=plan, what="clear" if again else "leave", run=run.key)


def _name_account() -> str:
    """Who this is; the number of an account that has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
