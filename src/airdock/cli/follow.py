"""A run that another process works on, told as it changes: what is stored now against what was stored before."""

import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Final

from airdock.cli.board import Board
from airdock.cli.runs_words import is_stopped, until_text
from airdock.model.keys import RunKey, TaskKey
from airdock.model.progress import Note, Progress, RunChanged, TaskChanged
from airdock.model.states import RUN_FINISHED, RunState, is_finished

if TYPE_CHECKING:
    from airdock.orchestrator import Orchestrator
    from airdock.scheduler.waits import Wait
    from airdock.store.records import Instance, Run

__all__ = ["Follower", "follow", "make_board"]

_SHARE: Final = 10
"""Looks take at most one part in so many of the time, however long the run makes one of them."""

_Seen = tuple[str, int, str]


class Follower:
    """Compares looks at one run; each gives what changed since the one before, all of it at first."""

    def __init__(self, orchestrator: "Orchestrator", key: RunKey) -> None:
        self._orchestrator, self._key = orchestrator, key
        dag = orchestrator.dag_of(key)
        self._environments = {task.task_id: task.environment.label for task in dag.tasks}
        self._place = {task.task_id: number for number, task in enumerate(dag.tasks)}
        self._seen: dict[TaskKey, _Seen] = {}
        self._state: RunState | None = None

    def look(self) -> "tuple[Run, list[Progress]]":
        """The run as it is now, and what changed."""
        run = self._orchestrator.find_run(f"{self._key.dag_id}/{self._key.run_id}")
        waits = {} if run.state in RUN_FINISHED else self._orchestrator.waits(self._key)
        rows = self._orchestrator.states(self._key)
        rows.sort(key=lambda row: (self._place.get(row.key.task_id, len(self._place)), row.key.map_index))
        changed = [row for row in rows if self._is_new(row, waits.get(row.key))]
        told: list[Progress] = []
        if run.state is not self._state:
            self._state = run.state
            told.append(_run_changed(run))
        return run, told + self._tell(changed, waits, run)

    def _is_new(self, row: "Instance", wait: "Wait | None") -> bool:
        now = (row.state.value, row.try_number, wait.text if wait else "")
        was, self._seen[row.key] = self._seen.get(row.key), now
        return was != now

    def _tell(self, rows: "list[Instance]", waits: "dict[TaskKey, Wait]", run: "Run") -> list[Progress]:
        ended = any(is_finished(row.state) or row.until for row in rows)
        outcomes = {tried.key: tried.outcome for tried in self._orchestrator.tries(self._key)} if ended else {}
        return [
            TaskChanged(
                key=row.key,
                state=row.state,
                at=row.ended or row.started or run.started or run.created,
                try_number=row.try_number,
                waiting_for=until_text(waits[row.key]) if row.key in waits else "",
                outcome=outcomes.get(row.key.attempt(row.try_number)),
                environment=self._environments.get(row.key.task_id, ""),
            )
            for row in rows
        ]


def follow(
    orchestrator: "Orchestrator", key: RunKey, *, pause: Callable[[float], object], every_s: float
) -> Generator[Progress, None, None]:
    """What happens to the run until it ends, or nobody works on it any more; all that happened comes first."""
    follower = Follower(orchestrator, key)
    while True:
        begun = time.monotonic()
        run, told = follower.look()
        yield from told
        if run.state in RUN_FINISHED:
            return
        if is_stopped(run):
            yield Note(line="nobody works on this run: airdock run FILE --resume finishes it")
            return
        pause(max(every_s, (time.monotonic() - begun) * _SHARE))


def make_board(orchestrator: "Orchestrator", key: RunKey) -> Board:
    """How the run stands now."""
    board = Board()
    for event in Follower(orchestrator, key).look()[1]:
        board.apply(event, 0.0)
    return board


def _run_changed(run: "Run") -> RunChanged:
    at = run.ended or run.started or run.created
    return RunChanged(dag_id=run.key.dag_id, run_id=run.key.run_id, state=run.state, at=at, reason=run.reason)
