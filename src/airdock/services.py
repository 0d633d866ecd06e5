"""What works on runs of DAGs, on the parts of one home folder: the database, what loads, runs, answers and calls.

Every part is made when it is first asked for, so that a command pays only for what it uses.
"""

import os
import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airdock.config import Config
from airdock.parts import Parts

if TYPE_CHECKING:
    from collections.abc import Callable

    from airdock.bell import Bell
    from airdock.dag.serialized import SerializedDag
    from airdock.executors.base import Executor
    from airdock.loading.container import ContainerRun
    from airdock.loading.process import ProcessRun
    from airdock.loads import Loads
    from airdock.model.keys import RunKey, TryKey
    from airdock.model.mount import Mount
    from airdock.model.states import RunState
    from airdock.orchestrator import Orchestrator
    from airdock.preparing import Preparing
    from airdock.runner.callbacks import Callbacks
    from airdock.runner.run_folders import RunFolders
    from airdock.runner.task_api import TaskApi
    from airdock.scheduler.calling import Calling
    from airdock.scheduler.lease import Lease
    from airdock.scheduler.loop import Scheduler
    from airdock.secrets.vault import Vault
    from airdock.serving import Server
    from airdock.store.base import Store
    from airdock.triggers.triggerer import Triggerer

__all__ = ["Services"]

_PATIENCE_S = 600.0
"""How long a server waits for a database that can't be had."""
_MOST_RUNS = 100_000


class Services(Parts):
    """What an `App` has its verbs from."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._forgotten: Store | None = None
        self._times_reached = 0
        self._lease: Lease | None = None

    def close(self) -> None:
        """Close what was made: the store, then the parts below with whatever still runs."""
        if "database" in vars(self):
            if self.database.has_written:
                self.bell.ring()
            self.database.close()
        super().close()

    @property
    def store(self) -> "Store":
        """Where runs are: the database, or what a run that is to be forgotten has instead."""
        return self._forgotten or self.database

    @cached_property
    def database(self) -> "Store":
        from airdock.store.sql import SqlStore

        if self.config.database.url:
            return SqlStore(url=self.config.database.url)
        self.config.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        return SqlStore(path=self.config.home / "airdock.db", clock=self.clock)

    @cached_property
    def bell(self) -> "Bell":
        from airdock.bell import Bell

        return Bell(self.config.home / "run")

    @cached_property
    def loads(self) -> "Loads":
        from airdock.loads import Loads

        return Loads(
            home=self.config.home,
            run=self._make_run,
            given=lambda: self.vault.to_json(),
            pythons=lambda: [interpreter.series for interpreter in self.pythons.all()],
            schedules=self.config.scheduler.schedules,
            tell=self._note,
        )

    def _make_run(self) -> "ContainerRun | ProcessRun":
        if self.is_isolated:
            from airdock.loading.container import ContainerRun

            return ContainerRun(engine=self.engine, folders=self.folders)
        from airdock.loading.process import ProcessRun

        return ProcessRun()

    @cached_property
    def orchestrator(self) -> "Orchestrator":
        from airdock.orchestrator import Orchestrator

        return Orchestrator(
            store=self.store,
            scheduler=lambda: self.scheduler,
            executors=(self.config.core.executor,),
            clock=self.clock,
            reached=self._reached,
            ask=self.loads.ask,
            variable=lambda name: self.vault.variable(name),
        )

    @cached_property
    def scheduler(self) -> "Scheduler":
        return self._make_scheduler()

    def _make_scheduler(
        self, *, ended: "Callable[[RunKey, RunState], None]" = lambda _run, _state: None, **settings: Any
    ) -> "Scheduler":
        from airdock.scheduler.loop import Scheduler

        def hear_of_end(run: "RunKey", state: "RunState") -> None:
            self.run_folders.end(run)
            ended(run, state)

        made = Scheduler(
            store=self.store,
            executors={self.config.core.executor: self.executor},
            default_executor=self.config.core.executor,
            prepare=self._preparing,
            folders=self.run_folders.mounts,
            place=self.loads.place,
            owner=self._owner,
            clock=self.clock,
            report=self._tell,
            reached=self._reached,
            triggering=self._open_triggerer,
            calling=self.calling,
            ended=hear_of_end,
            **settings,
        )
        self._lease = made.lease
        return made

    def _renew_try(self, key: "TryKey") -> None:
        """ConflictError where a scheduler of another machine may soon run the try once more."""
        if self._lease is not None and "server" in vars(self) and self.server.has_company:
            self._lease.check()

    @cached_property
    def _owner(self) -> str:
        from airdock.orchestrator import make_owner

        return make_owner()

    @cached_property
    def server(self) -> "Server":
        """What `serve` runs. Make it before `serve`, and before what else has the store, to be able to stop it."""
        from airdock.serving import LEASE_S, Server
        from airdock.store.patient import Patience, be_patient

        patience = Patience(_PATIENCE_S)
        self.__dict__["database"] = be_patient(self.database, patience)
        return Server(
            folder=self.config.home / "dags",
            store=self.store,
            owner=self._owner,
            scheduler=lambda **settings: self._make_scheduler(lease_s=LEASE_S, **settings),
            load=self.loads.load,
            create=lambda dag, plan, **more: self.orchestrator.create_run(dag, plan=plan, needs_pools=False, **more),
            ask=self.loads.ask,
            report=self._tell,
            side_by_side=len(os.sched_getaffinity(0)),
            stopping=patience.give_up,
            stop_loading=self.loads.stop,
            watching=self._open_triggerer,
            pause_new=self.config.scheduler.new_dags == "pause",
        )

    @contextmanager
    def _working(self) -> "Iterator[None]":
        """What runs tasks is there; at the end what runs is stopped and waited for."""
        self.executor.start()
        self.run_folders.sweep(self._open_runs)
        try:
            yield
        finally:
            self._preparing.stop()
            self.executor.stop()
            self.calling.stop()
            for part in [getattr(self, name) for name in ("triggerer", "callbacks") if name in vars(self)]:
                part.stop()
                part.join()
            self.executor.join()
            self._preparing.join()
            self.run_folders.join()

    def _open_runs(self) -> "list[RunKey]":
        from airdock.model.states import RunState

        states = [RunState.QUEUED, RunState.RUNNING]
        return [run.key for run in self.database.list_runs(states=states, limit=_MOST_RUNS)]

    @cached_property
    def executor(self) -> "Executor":
        from airdock.executors.local import LocalExecutor
        from airdock.executors.sequential import SequentialExecutor
        from airdock.model.environment import Environment
        from airdock.runner.pack import make_runner
        from airdock.runner.supervisor import Supervisor

        run = self.config.home / "run"
        run.mkdir(mode=0o700, parents=True, exist_ok=True)
        supervisor = Supervisor(
            starter=self.starter(),
            tasks=self.task_api,
            home=self.config.home,
            runner=make_runner(run),
            clock=self.clock,
            reached=self._reached,
            renew=self._renew_try if self.config.database.url else None,
            beside=lambda: self.environments.prepare(Environment(), where="what is done before tasks").digest,
        )
        if self.config.core.executor == "sequential":
            return SequentialExecutor(supervise=supervisor, clock=self.clock)
        return LocalExecutor(supervise=supervisor, slots=self.config.core.parallelism, clock=self.clock)

    @cached_property
    def task_api(self) -> "TaskApi":
        """What answers running tasks, and triggers and callbacks."""
        from airdock.answers import StoreTaskApi
        from airdock.scheduler.following import find_following
        from airdock.triggered import TriggeredRuns

        orchestrator = self.orchestrator
        trigger = TriggeredRuns(
            store=self.store,
            find=self._find_dag,
            create=partial(orchestrator.create_run, needs_pools=False),
            is_paused=self._is_paused,
            clock=self.clock,
        )
        return StoreTaskApi(
            store=self.store,
            vault=self.vault,
            trigger=trigger,
            follow=lambda dag, run: find_following(dag, run, self.loads.ask),
            serves=lambda: "server" in vars(self),
            max_map_length=self.config.core.max_map_length,
        )

    @cached_property
    def vault(self) -> "Vault":
        """Variables and connections."""
        from airdock.secrets.cipher import Cipher
        from airdock.secrets.vault import Vault

        return Vault(store=self.database, cipher=Cipher(self.config.home / "fernet.key"), environ=os.environ)

    def _is_paused(self, dag_id: str) -> bool:
        row = self.store.find_dag_row(dag_id)
        return row is not None and row.is_paused

    def _find_dag(self, dag_id: str) -> "SerializedDag":
        """As the DAG folder has it, where it is served; else as its newest run had it."""
        served = self.server.index.dags().get(dag_id) if "server" in vars(self) else None
        return served or self.orchestrator.find_dag(dag_id)

    @cached_property
    def triggerer(self) -> "Triggerer":
        """What runs the triggers of deferred tasks; whoever subscribes to it starts and ends it."""
        from airdock.model.environment import Environment
        from airdock.triggers.triggerer import Triggerer

        return Triggerer(
            starter=self.starter(),
            image=lambda: self.environments.prepare(Environment(), where="triggers").digest,
            place=self._place_of_triggers,
            tasks=self.task_api,
            home=self.config.home,
            clock=self.clock,
        )

    @cached_property
    def calling(self) -> "Calling":
        """What has stored callbacks called."""
        from airdock.scheduler.calling import Calling

        return Calling(store=self.store, owner=self._owner, open=lambda: self.callbacks)

    @cached_property
    def callbacks(self) -> "Callbacks":
        """What calls the callbacks of DAGs and of tasks that can't call them; whoever uses it ends it."""
        from airdock.model.environment import Environment
        from airdock.runner.callbacks import Callbacks
        from airdock.runner.pack import make_runner

        return Callbacks(
            starter=self.starter(),
            image=lambda: self.environments.prepare(Environment(), where="callbacks").digest,
            place=self.loads.place,
            tasks=self.task_api,
            home=self.config.home,
            runner=make_runner(self.config.home / "run"),
            clock=self.clock,
        )

    def _open_triggerer(self) -> "Triggerer":
        self.triggerer.start()
        return self.triggerer

    def _place_of_triggers(self, fileloc: str) -> "Sequence[Mount]":
        """One place for all files of the DAG folder, so that one process runs their triggers."""
        folder = self.config.home / "dags"
        return self.loads.place(folder if Path(fileloc).is_relative_to(folder) else fileloc)

    @cached_property
    def _preparing(self) -> "Preparing":
        from airdock.preparing import Preparing

        return Preparing(self.environments)

    @cached_property
    def run_folders(self) -> "RunFolders":
        from airdock.runner.run_folders import RunFolders

        def remove(folder: Path) -> None:
            if self.is_isolated:
                self.launcher.remove(folder)
            else:
                shutil.rmtree(folder)

        return RunFolders(self.config.home, remove=remove)

    def _reached(self, point: str) -> None:
        """Die here where the settings say so: `point`, or `point:N` for the N-th time it is reached."""
        name, _, count = self.config.debug.kill_at.partition(":")
        if point == name:
            self._times_reached += 1
            if self._times_reached >= int(count or 1):
                os.kill(os.getpid(), signal.SIGKILL)
