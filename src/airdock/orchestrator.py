"""The façade over runs: make one, work on it, take it up again, look at it."""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import Any

from airdock.clock import Clock, SystemClock
from airdock.dag.graph import leaves
from airdock.dag.named_assets import conditions_of, find_assets, find_clash
from airdock.dag.param import check_params
from airdock.dag.serialized import SerializedDag, SerializedTask
from airdock.errors import ConfigError, ConflictError, DagError, UnknownRunError
from airdock.hands import Hands
from airdock.model.keys import RunKey, TaskKey
from airdock.model.progress import TaskChanged
from airdock.model.states import RUN_FINISHED, RunState, TaskState, is_finished
from airdock.scheduler.asking import Ask, ask_interval, is_custom
from airdock.scheduler.deadlines import reckon_deadlines
from airdock.scheduler.loop import Scheduler
from airdock.scheduler.owner import Owner
from airdock.scheduler.points import Reached, passing
from airdock.scheduler.runs import make_instances
from airdock.scheduler.timetables import RunPlan, manual_interval, name_run
from airdock.scheduler.waits import Wait, explain_waits
from airdock.store.base import Store
from airdock.store.filters import RunFilter, StoreInfo
from airdock.store.records import Answer, AssetEvent, Deadline, Instance, Pool, Run, SchedulerRow, Try
from airdock.store.upkeep import TABLES, clean

__all__ = ["Orchestrator", "make_owner"]


def make_owner() -> str:
    """The name under which this process owns runs."""
    return str(Owner.current())


class Orchestrator:
    """Runs of DAGs over one store.

    `scheduler` gives what works on runs, and is asked only when something is to be run. `executors` are the names a
    task may ask for. `ask` asks timetables that authors wrote; without it their runs by hand are for one moment.
    `variable` gives the text of a variable, None where there is none.
    """

    def __init__(
        self,
        *,
        store: Store,
        scheduler: Callable[[], Scheduler],
        executors: Collection[str] = (),
        clock: Clock | None = None,
        reached: Reached = lambda _name: None,
        ask: Ask | None = None,
        variable: Callable[[str], str | None] = lambda _name: None,
    ) -> None:
        self._store, self._scheduler, self._executors, self._ask = store, scheduler, executors, ask
        self._variable = variable
        self._clock = clock or SystemClock()
        self._reached = reached

    def create_run(
        self,
        dag: SerializedDag,
        *,
        conf: Mapping[str, Any] | None = None,
        run_id: str | None = None,
        logical_date: datetime | None = None,
        plan: RunPlan | None = None,
        note: str = "",
        events: Sequence[AssetEvent] = (),
        mark: int | None = None,
        backfill: int | None = None,
        needs_pools: bool = True,
    ) -> RunKey:
        """Make a run of the DAG: as planned, else by hand for now or a logical date.

        `events` of assets are what it is made for, `mark` is the number of the last of them.

        ConfigError if a task asks for a pool or executor that isn't there, or a deadline's interval for a variable; but
        a task may wait for its pool to be made or enlarged where it isn't so that the run `needs_pools`.
        ConflictError if there is such a run.
        """
        now = self._clock.now()
        plan = plan or _plan_by_hand(dag, logical_date or now, run_id, self._ask)
        key = RunKey(dag_id=dag.dag_id, run_id=_check_run_id(plan.run_id))
        self._check(dag, needs_pools=needs_pools)
        _check_params(dag, conf or {})
        body = dag.to_dict()
        digest = "sha256:" + hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        run = Run(
            key=key,
            state=RunState.QUEUED,
            dag_digest=digest,
            created=now,
            logical_date=plan.logical_date,
            conf=dict(conf or {}),
            run_type=plan.run_type,
            run_after=plan.run_after,
            interval_start=plan.interval[0] if plan.interval else None,
            interval_end=plan.interval[1] if plan.interval else None,
            note=note,
            backfill=backfill,
            events=tuple(event.to_dict() for event in events),
        )
        deadlines = reckon_deadlines(dag, run, store=self._store, variable=self._variable)
        with passing(self._reached, "create"):
            self._store.save_dag(digest, dag_id=dag.dag_id, body=body)
            rows = [row for task in dag.tasks for row in make_instances(key, dag, task)]
            self._store.create_run(run, rows, mark=mark, deadlines=deadlines)
        return key

    def _check(self, dag: SerializedDag, *, needs_pools: bool) -> None:
        pools = {pool.name: pool.slots for pool in self._store.list_pools()}
        for task in dag.tasks:
            if needs_pools:
                _check_pool(task, pools)
            if task.executor is not None and task.executor not in self._executors:
                raise ConfigError(
                    f"there is no executor {task.executor!r}",
                    where=f"task {task.task_id}",
                    hint=_known("executors", self._executors),
                )

    @cached_property
    def hands(self) -> Hands:
        """What people do to DAGs and runs by hand."""
        return Hands(store=self._store, clock=self._clock, create=self.create_run, ask=self._ask)

    def assets(self) -> list[dict[str, Any]]:
        """The assets of the DAGs that a scheduler has loaded, by name.

        Each has "name", "uri", who makes it ("made_by", tasks), waits for it ("waited_for_by", DAGs) and watches it
        ("watched_by", classes of triggers), when it was "last" made, and whether it is "active".
        """
        last = {(event.name, event.uri): event.at.isoformat() for event in self._store.list_events()}
        active = self._store.list_active_assets()
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for row in self._store.list_dags():
            dag = SerializedDag.from_dict(self._store.load_dag(row.digest))
            for task in dag.tasks:
                for each in (outlet["asset"] for outlet in task.outlets if "asset" in outlet):
                    _asset(found, each, last)["made_by"].append(f"{dag.dag_id}/{task.task_id}")
            for each in conditions_of(dag.asset_condition or {}):
                if "asset" in each:
                    _asset(found, each["asset"], last)["waited_for_by"].append(dag.dag_id)
            for each in find_assets(dag):
                triggers = {watcher["classpath"] for watcher in each.get("watchers") or ()}
                asset = _asset(found, each, last)
                asset["watched_by"] = sorted({*asset["watched_by"], *triggers})
        return [{**found[key], "active": not find_clash(key, active)} for key in sorted(found)]

    def tell_asset(self, name: str, uri: str, *, extra: Mapping[str, Any]) -> None:
        """The asset was made outside."""
        self._store.add_events([AssetEvent(name=name, uri=uri, at=self._clock.now(), extra=extra)])

    def run(self, key: RunKey) -> RunState:
        """Work on the run until it ends, or until `cancel`: then it is `running` and can be resumed.

        ConflictError if another process works on it, which is named.
        """
        return self._take_up(key, displacing="")

    def resume(self, run: RunKey | str) -> RunState:
        """Go on with a run whose process died or was told to stop; nothing that succeeded is repeated.

        A run that has ended stays as it is. ConflictError if another process works on it, UnknownRunError.
        """
        key = run if isinstance(run, RunKey) else self.find_run(run).key
        found = self._store.load_run(key)
        is_dead = bool(found.owner) and Owner.parse(found.owner).is_dead()
        return self._take_up(key, displacing=found.owner if is_dead else "")

    def _take_up(self, key: RunKey, *, displacing: str) -> RunState:
        while True:
            try:
                return self._scheduler().run(key, displacing=displacing)
            except ConflictError as error:
                found = self._store.load_run(key)
                if not found.owner:  # a person changed it, and nobody has it yet
                    if found.state in RUN_FINISHED:
                        return found.state
                    continue
                if error.where != found.owner:
                    raise
                raise ConflictError(
                    f"{Owner.parse(found.owner).label} works on this run",
                    where=key.run_id,
                    hint="wait until it is done, or stop it first",
                ) from error

    def cancel(self) -> None:
        """Let what runs end, and leave the run to be resumed. From any thread."""
        self._scheduler().cancel()

    def find_run(self, text: str) -> Run:
        """By run id, or by `dag_id/run_id` where several DAGs have a run of that id."""
        dag_id, _, run_id = text.rpartition("/")
        found = self._store.list_runs(dag_id=dag_id or None, run_id=run_id, limit=2)
        if not found:
            names = ", ".join(run.key.run_id for run in self._store.list_runs(limit=3))
            hint = f"the newest are: {names}" if names else "nothing ran yet: airdock run FILE"
            raise UnknownRunError(f"there is no run {text!r}", hint=hint)
        if len(found) > 1:
            names = " and ".join(f"{run.key.dag_id}/{run.key.run_id}" for run in found)
            raise UnknownRunError(f"several DAGs have a run {text!r}", hint=f"say which: {names}")
        return found[0]

    def runs(self, *, dag_id: str | None = None, state: RunState | None = None, limit: int = 100) -> list[Run]:
        """The newest first."""
        return self._store.find_runs(RunFilter(dag_id=dag_id, states=[state] if state else None, limit=limit))

    def states(self, key: RunKey) -> list[Instance]:
        """How each task instance of the run stands."""
        return self._store.list_instances(key)

    def waits(self, key: RunKey) -> dict[TaskKey, Wait]:
        """What each task instance of the run that waits is waiting for."""
        run, rows = self._store.load_run(key), self._store.list_instances(key)
        others: list[Instance] = []
        if any(row.state is TaskState.SCHEDULED for row in rows):  # only they compete with other runs
            beside = [each.key for each in self._store.list_runs() if each.state is RunState.RUNNING]
            others = [row for each in beside if each != key for row in self._store.list_instances(each)]
        return explain_waits(
            self.dag_of(key),
            run,
            rows,
            others=others,
            pools=self._store.list_pools(),
            answers=self._store.list_answers(key),
        )

    def find_dag(self, dag_id: str) -> SerializedDag:
        """The DAG as a scheduler loaded it last, else as its newest run had it. DagError if there is neither."""
        row = self._store.find_dag_row(dag_id)
        if row is not None and row.is_active:
            return SerializedDag.from_dict(self._store.load_dag(row.digest))
        found = self._store.list_runs(dag_id=dag_id, limit=1)
        if not found:
            known = sorted(self._newest())
            raise DagError(f"there is no DAG {dag_id!r}", hint=_known("DAGs", known) if known else "name its file")
        return self.dag_of(found[0].key)

    def _newest(self) -> dict[str, str]:
        """The digest of each DAG that a scheduler has loaded, or that ran lately."""
        newest = {row.dag_id: row.digest for row in self._store.list_dags()}
        for run in self._store.list_runs(limit=1000):
            newest.setdefault(run.key.dag_id, run.dag_digest)
        return newest

    def dags(self) -> list[SerializedDag]:
        """Each DAG that a scheduler has loaded, and each other one that ran lately as its newest run had it, by id."""
        newest = self._newest()
        return [SerializedDag.from_dict(self._store.load_dag(digest)) for _, digest in sorted(newest.items())]

    def pools(self) -> list[Pool]:
        """Every pool by name."""
        return self._store.list_pools()

    def set_pool(
        self, name: str, *, slots: int, description: str | None = None, include_deferred: bool | None = None
    ) -> None:
        """Make a pool, or give it so many slots; -1 is unlimited. What isn't given stays as it is.

        ConfigError for a name or number that is none.
        """
        if not name.strip() or slots < -1:
            raise ConfigError(f"expected a name and at least 0 slots, or -1, found {name!r} and {slots}")
        known = next((pool for pool in self._store.list_pools() if pool.name == name), Pool(name=name, slots=slots))
        given = {"description": description, "include_deferred": include_deferred}
        changes: dict[str, Any] = {field: value for field, value in given.items() if value is not None}
        self._store.save_pools([replace(known, slots=slots, **changes)])

    def store_info(self) -> StoreInfo:
        """What keeps the metadata; it was brought to the newest migration when it was opened."""
        return self._store.info()

    def schedulers(self) -> list[SchedulerRow]:
        """Who serves on this store, and when each was last seen."""
        return self._store.list_schedulers()

    def check_store(self) -> list[str]:
        """What is wrong with the metadata, a sentence each."""
        return self._store.check()

    def clean_store(
        self, *, before: datetime, tables: Collection[str] = TABLES, pretend: bool = False
    ) -> dict[str, int]:
        """Forget what is older, and say how many rows of each table: see `store.upkeep.clean`."""
        return clean(self._store, before=before, tables=tables, pretend=pretend)

    def leaves(self, key: RunKey) -> tuple[str, ...]:
        """The tasks of the run's DAG that no other waits for."""
        return leaves({task.task_id: frozenset(task.upstream) for task in self.dag_of(key).tasks})

    def standing(self, key: RunKey) -> list[TaskChanged]:
        """How the run stands before it is worked on, told as changes: in the DAG's order, with what waits for whom.

        What was under way when its process died is told as waiting; the scheduler says what becomes of it.
        """
        tasks = {task.task_id: task for task in self.dag_of(key).tasks}
        place = {task_id: number for number, task_id in enumerate(tasks)}
        outcomes = {tried.key: tried.outcome for tried in self._store.list_tries(key)}
        rows = sorted(self._store.list_instances(key), key=lambda row: (place[row.key.task_id], row.key.map_index))
        return [
            TaskChanged(
                key=row.key,
                state=row.state if is_finished(row.state) else TaskState.NONE,
                at=row.ended or self._clock.now(),
                try_number=row.try_number,
                waiting_for="" if is_finished(row.state) else ", ".join(tasks[row.key.task_id].upstream),
                outcome=outcomes.get(row.key.attempt(row.try_number)) if is_finished(row.state) else None,
                environment=tasks[row.key.task_id].environment.label,
            )
            for row in rows
        ]

    def dag_of(self, key: RunKey) -> SerializedDag:
        """The DAG as this run has it."""
        return SerializedDag.from_dict(self._store.load_dag(self._store.load_run(key).dag_digest))

    def tries(self, key: RunKey) -> list[Try]:
        """Every try of the run, with its outcome."""
        return self._store.list_tries(key)

    def deadlines(self, key: RunKey) -> list[Deadline]:
        """Those that the run has met or missed are there no longer."""
        return self._store.list_deadlines(run=key)

    def answers(self, key: RunKey) -> list[Answer]:
        """The images that the run's environments became, or why they couldn't."""
        return self._store.list_answers(key)


def _check_pool(task: SerializedTask, pools: Mapping[str, int]) -> None:
    where = f"task {task.task_id}"
    if task.pool not in pools:
        raise ConfigError(f"there is no pool {task.pool!r}", where=where, hint=_known("pools", pools))
    if 0 <= pools[task.pool] < task.pool_slots:
        raise ConfigError(
            f"expected pool_slots of at most {pools[task.pool]}, the size of pool {task.pool!r}, "
            f"found {task.pool_slots}",
            where=where,
        )


def _asset(
    found: dict[tuple[str, str], dict[str, Any]], asset: Mapping[str, Any], last: Mapping[tuple[str, str], str]
) -> dict[str, Any]:
    key = (str(asset["name"] or asset["uri"]), str(asset["uri"] or asset["name"]))
    lists: dict[str, Any] = {"made_by": [], "waited_for_by": [], "watched_by": []}
    return found.setdefault(key, {"name": key[0], "uri": key[1], **lists, "last": last.get(key)})


def _check_params(dag: SerializedDag, conf: Mapping[str, Any]) -> None:
    values = {**dag.params, **{name: value for name, value in conf.items() if name in dag.params}}
    mistakes = check_params(values, dag.param_schemas)
    if mistakes:
        raise ConfigError(
            "; ".join(mistakes), where=f"DAG {dag.dag_id}", hint="give the run values: --conf '{\"name\": value}'"
        )


def _plan_by_hand(dag: SerializedDag, date: datetime, run_id: str | None, ask: Ask | None) -> RunPlan:
    """A run by hand is for a moment: it begins then, or at once where that is over."""
    if is_custom(dag.timetable):
        interval = (date, date) if ask is None else ask_interval(ask, dag, date)
    else:
        interval = manual_interval(dag.timetable, date)
    name = run_id or name_run("manual", date)
    return RunPlan(run_type="manual", run_id=name, logical_date=date, interval=interval, run_after=date)


def _check_run_id(run_id: str) -> str:
    if not run_id or run_id in (".", "..") or "/" in run_id or "\0" in run_id:
        raise ConfigError(f"expected a run id that can name a folder, found {run_id!r}")
    return run_id


def _known(what: str, names: Collection[str]) -> str:
    return f"the {what} are: {', '.join(sorted(names))}"
