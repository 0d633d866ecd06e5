"""What was told of a run, so that the rest of it can be told at its end: what another command changed tells nobody."""

from collections.abc import Iterable, Iterator

from airdock.model.keys import TaskKey
from airdock.model.progress import Progress, Report, RunChanged, TaskChanged
from airdock.model.states import FINISHED, RUN_FINISHED, RunState, TaskState
from airdock.store.records import Run

__all__ = ["Told"]


class Told:
    """A report that passes everything on, and remembers the last states."""

    def __init__(self, report: Report) -> None:
        self._pass_on = report
        self._tasks: dict[TaskKey, TaskState] = {}
        self._run: RunState | None = None

    def __call__(self, progress: Progress) -> None:
        match progress:
            case TaskChanged():
                self._tasks[progress.key] = progress.state
            case RunChanged():
                self._run = progress.state
        self._pass_on(progress)

    def missing(self, tasks: Iterable[TaskChanged], run: Run) -> Iterator[Progress]:
        """What these say of the end that wasn't told yet."""
        for change in tasks:
            if change.state in FINISHED and self._tasks.get(change.key) is not change.state:
                yield change
        if run.state in RUN_FINISHED and self._run is not run.state:
            at = run.ended or run.created
            key = run.key
            yield RunChanged(dag_id=key.dag_id, run_id=key.run_id, state=run.state, at=at, reason=run.reason)
