"""Wires everything together, from settings; whoever has an `App` needs to know nothing of how it's made.

Every part is made when it is first asked for, so that a command pays only for what it uses.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airdock.record import record
from airdock.services import Services

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from airdock.dag.serialized import SerializedDag
    from airdock.model.keys import RunKey
    from airdock.model.progress import Report
    from airdock.model.states import RunState

__all__ = ["App", "RunSummary"]


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


class App(Services):
    """Loads DAGs and runs them, on the parts of one home folder."""

    def serve(self, *, report: "Report" = lambda _progress: None) -> None:
        """Watch the DAG folder, and run what is due, until `server.stop`."""
        self._report = report
        server = self.server
        (self.config.home / "dags").mkdir(parents=True, exist_ok=True)
        with self.loads.warm(), self._working(), self.bell.listening(server.look):
            server.run()

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
            dag = self._load_while_opening(path, dag_id)
            key = self.orchestrator.create_run(dag, conf=conf, logical_date=logical_date)
        else:
            key = self.orchestrator.find_run(resume).key
        return self._run_to_end(key, self.orchestrator.run if resume is None else self.orchestrator.resume)

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
        from airdock.runner.run_folders import TEST_PREFIX
        from airdock.store.memory import MemoryStore

        self._forgotten = MemoryStore(clock=self.clock)
        self._report = report
        dag = only(self.loads.load_one(path, dag_id), task_id)
        key = self.orchestrator.create_run(
            dag, conf=conf, run_id=f"{TEST_PREFIX}{self.clock.now().isoformat()}", logical_date=logical_date
        )
        return self._run_to_end(key, self.orchestrator.run)

    def _run_to_end(self, key: "RunKey", run: "Callable[[RunKey], RunState]") -> RunSummary:
        from airdock.scheduler.told import Told

        told = self._report = Told(self._report)
        for change in self.orchestrator.standing(key):
            self._tell(change)
        with self._working():
            scheduler = self.scheduler
            with self.bell.listening(lambda: scheduler.look(at_all=True)):  # other commands may change the run
                state = run(key)
            self.calling.wait()
        for rest in told.missing(self.orchestrator.standing(key), self.store.load_run(key)):
            self._tell(rest)
        return RunSummary(
            key=key,
            state=state,
            isolation=self.config.isolation.mode,
            workspace=self.run_folders.workspace(key),
            last=self.orchestrator.leaves(key),
        )

    def _load_while_opening(self, path: Path, dag_id: str | None) -> "SerializedDag":
        """The DAG of a file. While another process loads it, this one opens what the run needs."""
        from airdock.images.background import Background

        opening = Background(self._open)
        try:
            dag = self.loads.load_one(path, dag_id)
        finally:
            opening.join()
        opening.result()
        return dag

    def _open(self) -> None:
        """The store, and the modules that run tasks: importing them takes as long as loading a small file."""
        import airdock.executors.local
        import airdock.runner.supervisor
        import airdock.scheduler.loop  # noqa: F401 - imported, not used

        _ = self.store
