"""Wires the parts together, from settings; whoever has an `App` needs to know nothing of how they're made.

Every part is made when it is first asked for, so that a command pays only for what it uses.
"""

import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from airdock.clock import SystemClock
from airdock.config import Config
from airdock.errors import AirdockError, DagError
from airdock.record import record

if TYPE_CHECKING:
    from datetime import datetime

    from airdock.dag.serialized import SerializedDag
    from airdock.engine import Engine
    from airdock.environments.base import Environments
    from airdock.environments.host import HostImage
    from airdock.environments.python import Pythons
    from airdock.executors.base import Executor
    from airdock.images.image import Image
    from airdock.images.store import ImageStore
    from airdock.model.keys import RunKey
    from airdock.model.mount import Mount
    from airdock.model.progress import Progress, Report
    from airdock.model.states import RunState
    from airdock.networks.networks import Networks
    from airdock.orchestrator import Orchestrator
    from airdock.preparing import Preparing
    from airdock.reclaim import Reclaim
    from airdock.runner.base import Starter
    from airdock.runner.callbacks import Callbacks
    from airdock.runner.task_api import TaskApi
    from airdock.runtime.launcher import Launcher
    from airdock.scheduler.calling import Calling
    from airdock.scheduler.loop import Scheduler
    from airdock.secrets.vault import Vault
    from airdock.serving import Server
    from airdock.store.base import Store
    from airdock.transfer import Transfers
    from airdock.triggers.triggerer import Triggerer

__all__ = ["App", "RunSummary"]

_PATIENCE_S = 600.0
"""How long a server waits for a database that can't be had."""


@record
class RunSummary:
    """How a run in the foreground ended.

    `workspace` is the folder that its tasks saw as `/workspace`; `last` are the tasks that no other waits for.
    """

    key: "RunKey"
    state: "RunState"
    isolation: str
    workspace: Path
    last: tuple[str, ...] = ()


class App:
    """The parts for one home folder and its settings; a context manager that closes what was opened."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.clock = SystemClock()
        self._report: Report = _ignore
        self._forgotten: Store | None = None
        self._times_reached = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> None:
        """Start what is cheap to start only while this process has one thread: the launcher."""
        if self.is_isolated:
            self.launcher.start()

    def close(self) -> None:
        """Close what was made: the store, leases of images, then the launcher with whatever it still runs."""
        made = vars(self)
        if "database" in made:
            self.database.close()
        if "images" in made:
            if self.images.has_grown:
                self._trim()
            self.images.close()
        if "engine" in made:
            self.engine.close()
        if "networks" in made:
            self.networks.close()
        if "transfers" in made:
            self.transfers.close()
        if "launcher" in made:
            self.launcher.stop()
            self.launcher.join()

    def _trim(self) -> None:
        """Hold the caps on images and cached steps. That it fails mustn't spoil what was asked for."""
        try:
            self.reclaim.trim()
        except AirdockError as error:
            import logging  # costs every command more than a millisecond

            logging.getLogger(__name__).warning("caches could not be trimmed: %s", error.message)

    # containers

    @cached_property
    def launcher(self) -> "Launcher":
        from airdock.runtime.launcher import Launcher

        return Launcher(folder=self.config.home / "run", userns=self.config.isolation.userns)

    @cached_property
    def images(self) -> "ImageStore":
        from airdock.images.calls import LateCalls
        from airdock.images.store import ImageStore

        return ImageStore(
            root=self.config.home / "images",
            calls=LateCalls(lambda: self.launcher),
            compression=self.config.images.compression,
        )

    @cached_property
    def engine(self) -> "Engine":
        from airdock.engine import Engine

        return Engine(
            images=lambda: self.images,
            launcher=lambda: self.launcher,
            containers=self.config.home / "run" / "containers",
            cache=self.config.home / "cache" / "build",
            clock=self.clock,
            builtin=self._make_builtin,
            trusts=lambda label: self.host.made(label),
            networks=lambda: self.networks,
            transfers=lambda: self.transfers,
            pull=self.config.registries.pull,
            runtime=self.config.isolation.runtime,
        )

    @cached_property
    def transfers(self) -> "Transfers":
        from airdock.engine import HOST_LABEL
        from airdock.remote.client import Remote
        from airdock.remote.credentials import DockerCredentials
        from airdock.surroundings import find_login_files, make_remote_settings
        from airdock.transfer import Transfers

        credentials = DockerCredentials(find_login_files(os.environ))
        return Transfers(
            images=self.images,
            remote=Remote(settings=make_remote_settings(self.config.registries, os.environ), credentials=credentials),
            credentials=credentials,
            cache=self.config.home / "cache",
            bound=HOST_LABEL,
        )

    @cached_property
    def networks(self) -> "Networks":
        from airdock.networks.networks import Networks

        return Networks(
            folder=self.config.home / "networks",
            run=self.config.home / "run",
            uplink=self.config.network.uplink,
            publish_on="" if self.config.network.publish_on == "0.0.0.0" else self.config.network.publish_on,  # noqa: S104
        )

    @cached_property
    def reclaim(self) -> "Reclaim":
        """The disk, and getting it back."""
        from datetime import timedelta

        from airdock.reclaim import Reclaim

        return Reclaim(
            engine=self.engine,
            cache=self.config.home / "cache",
            images_max=self.config.images.max_size,
            images_any=self.config.images.over_size == "any",
            cache_max=self.config.build.cache_max_size,
            keep=timedelta(days=self.config.environments.keep_days),
        )

    def _make_builtin(self, name: str) -> "Image | None":
        from airdock.engine import HOST

        # Whoever runs another image goes without what makes this one.
        return self.host.find(name) if name.partition(":")[0] == HOST else None

    # environments

    @cached_property
    def pythons(self) -> "Pythons":
        from airdock.environments.python import Pythons

        return Pythons(
            memory=self.config.home / "cache" / "pythons.json",
            home=Path.home(),
            path=os.environ.get("PATH", os.defpath),
            search=self.config.environments.python_search,
        )

    @cached_property
    def host(self) -> "HostImage":
        from airdock.environments.host import HostImage

        return HostImage(images=self.images, pythons=self.pythons, memory=self.config.home / "cache")

    @cached_property
    def environments(self) -> "Environments":
        """What makes environments: images, or virtual environments where the user gave up isolation."""
        from airdock.environments.index import load_index_settings

        index = load_index_settings(environ=os.environ, home=Path.home())
        cache = self.config.home / "cache"
        if self.is_isolated:
            from airdock.environments.images import ImageEnvironments

            return ImageEnvironments(
                engine=self.engine,
                host=self.host,
                folder=cache / "environments",
                base=self.config.environments.base,
                index=index,
                report=self._tell,
            )
        from airdock.environments.process import ProcessEnvironments

        return ProcessEnvironments(
            folder=cache / "process",
            cache=cache / "uv",
            pythons=self.pythons,
            index=index,
            report=self._tell,
            environ=os.environ,
        )

    @property
    def is_isolated(self) -> bool:
        return self.config.isolation.mode == "container"

    # orchestration

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
    def orchestrator(self) -> "Orchestrator":
        from airdock.orchestrator import Orchestrator

        return Orchestrator(
            store=self.store,
            scheduler=lambda: self.scheduler,
            executors=(self.config.core.executor,),
            clock=self.clock,
            reached=self._reached,
            ask=self.ask_timetables,
        )

    @cached_property
    def scheduler(self) -> "Scheduler":
        return self._make_scheduler()

    def _make_scheduler(self, **settings: Any) -> "Scheduler":
        from airdock.scheduler.loop import Scheduler

        return Scheduler(
            store=self.store,
            executors={self.config.core.executor: self.executor},
            default_executor=self.config.core.executor,
            prepare=self._preparing,
            workspace=self.workspace,
            place=self._place,
            owner=self._owner,
            clock=self.clock,
            report=self._tell,
            reached=self._reached,
            triggering=self._open_triggerer,
            calling=self.calling,
            **settings,
        )

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
            load=self.load_dags,
            create=lambda dag, plan, **more: self.orchestrator.create_run(dag, plan=plan, **more),
            ask=self.ask_timetables,
            report=self._tell,
            side_by_side=len(os.sched_getaffinity(0)),
            stopping=patience.give_up,
            pause_new=self.config.scheduler.new_dags == "pause",
        )

    def serve(self, *, report: "Report" = lambda _progress: None) -> None:
        """Watch the DAG folder, and run what is due, until `server.stop`."""
        self._report = report
        with self._working():
            self.server.run()

    @contextmanager
    def _working(self) -> "Iterator[None]":
        """What runs tasks is there; at the end what runs is stopped and waited for."""
        self.executor.start()
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

    @cached_property
    def executor(self) -> "Executor":
        from airdock.executors.local import LocalExecutor
        from airdock.executors.sequential import SequentialExecutor
        from airdock.runner.pack import make_runner
        from airdock.runner.supervisor import Supervisor

        run = self.config.home / "run"
        run.mkdir(mode=0o700, parents=True, exist_ok=True)
        supervisor = Supervisor(
            starter=self._starter(),
            tasks=self.task_api,
            home=self.config.home,
            runner=make_runner(run),
            clock=self.clock,
            reached=self._reached,
        )
        if self.config.core.executor == "sequential":
            return SequentialExecutor(supervise=supervisor, clock=self.clock)
        return LocalExecutor(supervise=supervisor, slots=self.config.core.parallelism, clock=self.clock)

    @cached_property
    def task_api(self) -> "TaskApi":
        """What answers running tasks, and triggers and callbacks."""
        from airdock.answers import StoreTaskApi
        from airdock.triggered import TriggeredRuns

        orchestrator = self.orchestrator
        trigger = TriggeredRuns(
            store=self.store,
            find=self._find_dag,
            create=orchestrator.create_run,
            is_paused=self._is_paused,
            clock=self.clock,
        )
        return StoreTaskApi(store=self.store, vault=self.vault, trigger=trigger)

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
            starter=self._starter(),
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
            starter=self._starter(),
            image=lambda: self.environments.prepare(Environment(), where="callbacks").digest,
            place=self._place,
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
        return self._place(folder if Path(fileloc).is_relative_to(folder) else fileloc)

    def _starter(self) -> "Starter":
        if self.is_isolated:
            from airdock.runner.container import ContainerStarter
            from airdock.surroundings import find_certificates, find_proxies

            network = self.config.network.mode
            return ContainerStarter(
                engine=self.engine,
                network=network,
                environ=find_proxies(os.environ) if network == "host" else {},
                host_environ=find_certificates(os.environ),
                tell=self._note,
            )
        from airdock.runner.process import ProcessStarter

        return ProcessStarter(environments=self.config.home / "cache" / "process", environ=os.environ)

    @cached_property
    def _preparing(self) -> "Preparing":
        from airdock.preparing import Preparing

        return Preparing(self.environments)

    def workspace(self, run: "RunKey") -> Path:
        """The folder of a run that all its tasks see; made when it is first asked for."""
        from airdock.runner.logs import run_folder

        folder = run_folder(self.config.home / "workspaces", run.dag_id, run.run_id)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def load_dags(self, path: Path) -> "list[SerializedDag]":
        """The DAGs of a file, loaded away from this process. Raises DagFileError and the other DagErrors."""
        from airdock.loading.container import ContainerLoad
        from airdock.loading.file import load_dag_file
        from airdock.loading.given import asks
        from airdock.loading.process import ProcessLoad

        given = self.vault.to_json() if asks(path) else b""
        return load_dag_file(
            path,
            load=ContainerLoad(engine=self.engine, given=given) if self.is_isolated else ProcessLoad(given=given),
            work=self.config.home / "run" / "loads",
            pythons=tuple(interpreter.series for interpreter in self.pythons.all()),
            tell=self._note,
            place=self._place,
        )

    def ask_timetables(self, path: str, questions: "Sequence[Mapping[str, Any]]") -> "Sequence[Mapping[str, Any]]":
        """The answers of a file's own timetables: see `dag.ask_timetable`. Raises DagFileError."""
        from airdock.loading.asking import ask_timetables
        from airdock.loading.container import ContainerLoad
        from airdock.loading.given import asks
        from airdock.loading.process import ProcessLoad

        given = self.vault.to_json() if asks(Path(path)) else b""
        return ask_timetables(
            Path(path),
            questions,
            load=ContainerLoad(engine=self.engine, given=given) if self.is_isolated else ProcessLoad(given=given),
            work=self.config.home / "run" / "loads",
            place=self._place,
        )

    def load_dag(self, path: Path, dag_id: str | None) -> "SerializedDag":
        """The DAG of that id in the file, or the only one. Raises DagError."""
        return _choose(self.load_dags(path), dag_id, path)

    def load_folder(
        self, folder: Path, *, tell: Callable[[Path, str], None] = lambda _path, _line: None
    ) -> "Iterator[tuple[Path, list[SerializedDag] | AirdockError]]":
        """Each DAG file below a folder (or the file itself) with its DAGs, or with why it can't be loaded.

        What a file prints while it is loaded is told to `tell`.
        """
        from airdock.loading.folder import DagFolder
        from airdock.model.progress import Note

        paths = sorted(DagFolder(folder.absolute()).scan()) if folder.is_dir() else [folder.absolute()]
        before = self._report
        for path in paths:
            self._report = lambda progress, path=path: (  # type: ignore[misc]
                tell(path, progress.line) if isinstance(progress, Note) else None
            )
            try:
                yield path, self.load_dags(path)
            except AirdockError as error:
                yield path, error
            finally:
                self._report = before

    def _place(self, path: "Path | str") -> "Sequence[Mount]":
        from airdock.loading.place import make_place

        empty = self.config.home / "run" / "empty"
        empty.mkdir(mode=0o755, parents=True, exist_ok=True)
        return make_place(Path(path), home=Path.home(), own=self.config.home, empty=empty)

    def run_file(
        self,
        path: Path,
        *,
        dag_id: str | None = None,
        conf: Mapping[str, Any] | None = None,
        resume: str | None = None,
        logical_date: "datetime | None" = None,
        report: "Report" = lambda _progress: None,
    ) -> RunSummary:
        """Run a DAG of the file once, or finish an earlier run, in the foreground.

        Raises DagError for the file, ConflictError where another process works on the run, UnknownRunError. When
        interrupted, tasks that run are stopped, and the run can be resumed.
        """
        self._report = report
        if resume is None:
            dags = self._load_while_opening(path)
            key = self.orchestrator.create_run(_choose(dags, dag_id, path), conf=conf, logical_date=logical_date)
        else:
            key = self.orchestrator.find_run(resume).key
        for change in self.orchestrator.standing(key):
            self._tell(change)
        with self._working():
            state = self.orchestrator.run(key) if resume is None else self.orchestrator.resume(key)
            self.calling.wait()
        return RunSummary(
            key=key,
            state=state,
            isolation=self.config.isolation.mode,
            workspace=self.workspace(key),
            last=self.orchestrator.leaves(key),
        )

    def test_task(
        self,
        path: Path,
        task_id: str,
        *,
        dag_id: str | None = None,
        conf: Mapping[str, Any] | None = None,
        logical_date: "datetime | None" = None,
        report: "Report" = lambda _progress: None,
    ) -> RunSummary:
        """Run one task of the file alone, at once and once, in a store that is forgotten. Its log is kept.

        What other tasks pushed isn't there. A mapped task has to say itself how many it is. Raises DagError.
        """
        from airdock.dag.single import only
        from airdock.store.memory import MemoryStore

        self._forgotten = MemoryStore(clock=self.clock)
        self._report = report
        dag = only(self.load_dag(path, dag_id), task_id)
        key = self.orchestrator.create_run(
            dag, conf=conf, run_id=f"test__{self.clock.now().isoformat()}", logical_date=logical_date
        )
        for change in self.orchestrator.standing(key):
            self._tell(change)
        with self._working():
            state = self.orchestrator.run(key)
            self.calling.wait()
        return RunSummary(
            key=key,
            state=state,
            isolation=self.config.isolation.mode,
            workspace=self.workspace(key),
            last=self.orchestrator.leaves(key),
        )

    def _tell(self, progress: "Progress") -> None:
        self._report(progress)

    def _load_while_opening(self, path: Path) -> "list[SerializedDag]":
        """The DAGs of a file. While another process loads them, this one opens what the run needs."""
        from airdock.images.background import Background

        opening = Background(self._open)
        try:
            dags = self.load_dags(path)
        finally:
            opening.join()
        opening.result()
        return dags

    def _open(self) -> None:
        """The store, and the modules that run tasks: importing them takes as long as loading a small file."""
        import airdock.executors.local
        import airdock.runner.supervisor
        import airdock.scheduler.loop  # noqa: F401 - imported, not used

        _ = self.store

    def _note(self, line: str) -> None:
        from airdock.model.progress import Note

        self._tell(Note(line=line))

    def _reached(self, point: str) -> None:
        """Die here where the settings say so: `point`, or `point:N` for the N-th time it is reached."""
        name, _, count = self.config.debug.kill_at.partition(":")
        if point == name:
            self._times_reached += 1
            if self._times_reached >= int(count or 1):
                os.kill(os.getpid(), signal.SIGKILL)


def _choose(dags: "list[SerializedDag]", dag_id: str | None, path: Path) -> "SerializedDag":
    """The DAG of that id, or the only one."""
    names = ", ".join(dag.dag_id for dag in dags)
    if dag_id is None:
        if len(dags) == 1:
            return dags[0]
        raise DagError(f"expected one DAG, found {names}", where=str(path), hint=f"say which: {path}:{dags[0].dag_id}")
    found = next((dag for dag in dags if dag.dag_id == dag_id), None)
    if found is None:
        raise DagError(f"expected a DAG {dag_id!r}, found {names}", where=str(path))
    return found


def _ignore(progress: "Progress") -> None:
    """Nobody is told."""
