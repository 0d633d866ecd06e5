"""What serves a DAG folder: watch it, load what changes, make the runs that are due, and work on all of them."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from airdock.dag.serialized import SerializedDag
from airdock.indexing import StoreDagIndex
from airdock.loading.catalogue import Catalogue
from airdock.loading.folder import DagFolder
from airdock.loading.index import LoadedFile
from airdock.loading.watch import Watcher
from airdock.model.keys import RunKey
from airdock.model.progress import Note, Report
from airdock.model.states import RUN_FINISHED, RunState
from airdock.scheduler.asking import Ask, AskedTimetables
from airdock.scheduler.asset_runs import AssetRuns
from airdock.scheduler.assets import ActiveAssets
from airdock.scheduler.duty import Duties
from airdock.scheduler.intake import StoreIntake
from airdock.scheduler.lease import has_company
from airdock.scheduler.loop import Scheduler
from airdock.scheduler.planner import Planner
from airdock.scheduler.runs import most_active_runs
from airdock.scheduler.timetables import RunPlan
from airdock.scheduler.watching import AssetWatch, Watching
from airdock.store.base import Store
from airdock.store.filters import RunFilter
from airdock.store.records import AssetEvent

__all__ = ["LEASE_S", "Server"]

LEASE_S: Final = 10.0
"""How long a run belongs to a scheduler that is gone: with a look at every third of it, taken over within 15 s."""
_REFRESH_S: Final = 3.0
"""How often it is read anew who is paused, which people say from other processes, and who else serves."""
_BEAT_S: Final = 30.0
"""How often a server says that it's there."""
_PLAN_S: Final = 60.0
"""How often schedules are looked at whatever they say, because clocks are set."""


class Server:
    """`run` blocks until `stop`, which may be called from any thread or signal handler.

    `scheduler` makes the loop, and is given `is_paused` and `ended`. `load` loads one file; `create` makes the run that
    a schedule asks for, or that events of assets do (`events`, `mark`). `ask` asks timetables that authors wrote.
    `watching` gives what runs the triggers that watch assets.
    """

    def __init__(
        self,
        *,
        folder: Path,
        store: Store,
        owner: str,
        scheduler: Callable[..., Scheduler],
        load: Callable[[Path], Sequence[SerializedDag]],
        create: Callable[..., object],
        ask: Ask,
        report: Report,
        side_by_side: int,
        watching: Callable[[], Watching],
        pause_new: bool = False,
        stopping: Callable[[], None] = lambda: None,
        stop_loading: Callable[[], None] = lambda: None,
    ) -> None:
        self._stop_loading = stop_loading
        self._stopping = stopping
        self.has_company = False
        """Whether schedulers of other machines are known, which take over runs whose leases are over."""
        self.index = StoreDagIndex(store=store, pause_new=pause_new)
        self._folder, self._report = folder, report
        self._scheduler = scheduler(is_paused=self.index.is_paused, ended=self._hear_of_run)
        self._catalogue = Catalogue(index=self.index, load=load, changed=self._hear_of_file, side_by_side=side_by_side)
        self._watcher = Watcher(DagFolder(folder), changed=self._catalogue.take)
        self._create = create
        asked = AskedTimetables(ask=ask, answered=self._scheduler.look)
        self._planner = Planner(store=store, dags=self.index.open_dags, create=self._make_run, asked=asked)
        self._asset_runs = AssetRuns(store=store, dags=self.index.open_dags, create=self._make_asset_run)
        self._active_assets = ActiveAssets(
            store=store, dags=self.index.dags, tell=lambda line: self._report(Note(line=line))
        )
        self._asset_watch = AssetWatch(
            store=store,
            dags=self.index.open_dags,
            inactive=lambda: self._active_assets.inactive,
            open=watching,
            owner=owner,
            lease_s=LEASE_S,
            look=self._scheduler.look,
        )
        self._store, self._owner = store, owner
        self._intake = StoreIntake(
            store=store,
            owner=owner,
            lease_s=LEASE_S,
            knows=lambda dag_id: dag_id in self.index.open_dags(),
            max_active=lambda dag_id: most_active_runs(self.index.dags()[dag_id]),
            strangers_s=LEASE_S,
        )

    def run(self) -> None:
        """Serve until `stop`: then tasks that run are stopped, and their runs are left to whoever serves next."""
        self._folder.mkdir(parents=True, exist_ok=True)
        duties = Duties()
        duties.add(_PLAN_S, self._planner.plan)
        for duty in (self._active_assets, self._asset_watch, self._asset_runs):  # events come before their runs
            duties.add(_PLAN_S, duty.plan)
        duties.add(_REFRESH_S, self._refresh)
        duties.add(_BEAT_S, lambda _now: self._store.beat(self._owner))
        self._watcher.start()
        try:
            self._scheduler.serve(self._intake, duties)
        finally:
            self._watcher.stop()
            self._watcher.join()
            self._catalogue.stop()
            self._stop_loading()
            self._catalogue.join()
        self._asset_watch.leave()
        self._store.sign_off(self._owner)

    def stop(self) -> None:
        self._scheduler.cancel()
        self._stopping()

    def look(self) -> None:
        """Other processes may have changed anything in the store. From any thread."""
        self._scheduler.look(at_all=True)

    def _make_run(self, dag: SerializedDag, plan: RunPlan) -> None:
        self._create(dag, plan)
        self._scheduler.look()  # so that the run is claimed now, not when runs are next looked for

    def _make_asset_run(self, dag: SerializedDag, plan: RunPlan, events: Sequence[AssetEvent], mark: int) -> None:
        self._create(dag, plan, events=events, mark=mark)
        self._scheduler.look()

    def _hear_of_run(self, key: RunKey, state: RunState) -> None:
        """Pause a DAG whose runs failed too often, one after the other."""
        dag = self.index.dags().get(key.dag_id)
        most = dag.max_consecutive_failed_dag_runs if dag is not None else 0
        if state is not RunState.FAILED or most < 1:
            return
        ended = self._store.find_runs(RunFilter(dag_id=key.dag_id, states=RUN_FINISHED, limit=most))
        if len(ended) == most and all(run.state is RunState.FAILED for run in ended):
            self._store.pause_dags([key.dag_id], is_paused=True)
            self._report(Note(line=f"{key.dag_id}: paused, because its last {most} runs failed"))
            self.index.refresh()

    def _refresh(self, now: datetime) -> None:
        self.has_company = has_company(self._store.list_schedulers(), self._owner, missing_s=3 * _BEAT_S)
        if self.index.refresh():
            self._scheduler.look()

    def _hear_of_file(self, loaded: LoadedFile | None) -> None:
        if loaded is not None:
            names = ", ".join(dag.dag_id for dag in loaded.dags)
            why = loaded.error["message"] if loaded.error else ""
            self._report(Note(line=f"{loaded.path.name}: {f'not loaded: {why}' if why else f'loaded {names}'}"))
        self._scheduler.look()
