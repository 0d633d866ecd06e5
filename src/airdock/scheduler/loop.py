"""Apply what was decided: one run in the foreground, driven by an inbox of events.

One turn: take all that happened → decide → commit everything in one transaction → hand over workloads → acknowledge
endings → tell. A crash between any two of these loses nothing: what was committed is found again, what was handed over
is adopted or proven gone, what wasn't acknowledged is told again.
"""

import queue
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from airdock.clock import Clock, SystemClock
from airdock.dag.serialized import SerializedDag
from airdock.errors import ConflictError, UnknownRunError
from airdock.executors.base import Executor
from airdock.model.events import Event, Finished, Started, Waiting
from airdock.model.keys import RunKey, TaskKey, TryKey
from airdock.model.mount import Mount
from airdock.model.outcome import Lost, Outcome
from airdock.model.progress import Report, TaskChanged
from airdock.model.states import RUN_FINISHED, RunState, TaskState
from airdock.scheduler.course import Course
from airdock.scheduler.events import Action, Answered, Happening, RunBegan, Stop, TryEnded, TryStarted
from airdock.scheduler.points import Reached, kinds_of, passing
from airdock.scheduler.prepare import Prepare, Prepared, PrepareFailed, Reply
from airdock.scheduler.ready import Ready
from airdock.scheduler.tell import tell_released, tell_run, tell_tasks, tell_waiting
from airdock.scheduler.view import RunView
from airdock.scheduler.workloads import make_workload
from airdock.store.base import ACTIVE, Store
from airdock.store.records import Answer, Batch, Expansion, Run, RunTransition, Transition

__all__ = ["Scheduler"]

_ROOM_RETRY_S: Final = 0.5
"""How often to ask again for slots that other runs take; nobody tells when they give them back."""


class _Cancel:
    """Put into the inbox to end the run's work and leave it to be resumed."""


_Message = Event | Reply | _Cancel


@dataclass(kw_only=True, slots=True)
class _Turn:
    """What one turn of the loop takes in."""

    events: list[Happening] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    finished: list[Finished] = field(default_factory=list)
    runs: list[RunTransition] = field(default_factory=list)


class Scheduler:
    """Runs one DAG run at a time with `run`, which blocks; `cancel` may be called from any thread or signal handler.

    `executors` are by name, and started by whoever owns them; their events come here. `workspace` gives, and makes,
    the folder of a run's files. `owner` names this process in leases.
    """

    def __init__(
        self,
        *,
        store: Store,
        executors: Mapping[str, Executor],
        default_executor: str,
        prepare: Prepare,
        workspace: Callable[[RunKey], Path],
        place: Callable[[str], Sequence[Mount]],
        owner: str,
        clock: Clock | None = None,
        report: Report = lambda _progress: None,
        reached: Reached = lambda _name: None,
        lease_s: float = 60.0,
    ) -> None:
        self._store, self._executors, self._default = store, executors, default_executor
        self._prepare, self._workspace, self._owner = prepare, workspace, owner
        self._place = place
        self._clock = clock or SystemClock()
        self._report, self._reached, self._lease_s = report, reached, lease_s
        self._inbox: queue.SimpleQueue[_Message] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._renew_at = 0.0
        for executor in executors.values():
            executor.subscribe(self._inbox.put)

    def cancel(self) -> None:
        """Cancel what runs, start nothing more, and let `run` return with the run still running, to be resumed."""
        self._inbox.put(_Cancel())

    def run(self, key: RunKey, *, displacing: str = "") -> RunState:
        """Take the run over and work on it until it ends or `cancel` was called; returns its state then.

        ConflictError if somebody else owns it, or takes it over meanwhile; `displacing` is an owner known to be dead.
        """
        with passing(self._reached, "lease"):
            run = self._store.take_run(key, owner=self._owner, lease_s=self._lease_s, displacing=displacing)
        self._renew_at = self._clock.monotonic() + self._lease_s / 3
        course = self._load(run)
        turn = _Turn(events=[RunBegan()])
        self._recover(course, turn)
        if run.state in RUN_FINISHED:
            self._acknowledge(turn.finished)
            state = run.state
        else:
            state = self._drive(course, turn)
        with passing(self._reached, "release"):
            self._store.release_run(key, owner=self._owner)
        return state

    # The way of a run

    def _drive(self, course: Course, turn: _Turn) -> RunState:
        run, now = course.run, self._clock.now()
        if run.state is RunState.QUEUED:
            turn.runs.append(RunTransition(key=run.key, source=run.state, target=RunState.RUNNING, at=now))
        self._request(course)
        try:
            while (state := self._take_turn(course, turn)) is None:
                turn = self._wait(course)
        except BaseException:
            self._cancel_all(course)  # the lease stays, so that nobody runs these again before this process is gone
            raise
        return state

    def _load(self, run: Run) -> Course:
        dag = SerializedDag.from_dict(self._store.load_dag(run.dag_digest))
        view = RunView(
            run=run.key,
            logical_date=run.logical_date,
            dag=dag,
            instances=self._store.list_instances(run.key),
            answers=[answer for answer in self._store.list_answers(run.key) if answer.error is None],
            lengths=lambda task_id, name: self._store.list_lengths(run.key, task_id=task_id, name=name),
        )
        ready = Ready(
            dag=dag,
            default_executor=self._default,
            pools=self._pools(),
            executors={name: executor.capacity().slots for name, executor in self._executors.items()},
        )
        return Course(run=run, dag=dag, view=view, ready=ready)

    def _recover(self, course: Course, turn: _Turn) -> None:
        """Endings that were kept come first; tries that nobody ended and nobody runs any more are lost.

        Also for a new run: what a dead process left is cleared up by whoever comes next.
        """
        waiting = frozenset(course.active_tries())
        adopted: set[TryKey] = set()
        for executor in self._executors.values():
            adopted |= executor.adopt(waiting)
        self._sort(course, turn, self._drain())
        told = {event.key for event in turn.finished}
        lost = Outcome(ending=Lost(reason="the process that ran it died"))
        turn.events += [
            TryEnded(key=key, outcome=course.complete(key, lost))
            for key in sorted(waiting, key=lambda key: (key.task_id, key.map_index))
            if key not in adopted and key not in told
        ]

    def _request(self, course: Course) -> None:
        for environment, task_id in course.needs().items():
            self._prepare.request(environment, where=task_id, answer=self._inbox.put)

    # One turn

    def _take_turn(self, course: Course, turn: _Turn) -> RunState | None:
        """Do all that follows from what happened; returns the run's state if that was the last turn."""
        now = self._clock.now()
        stopping = self._stopping.is_set()
        actions = course.absorb(turn.events, now)
        claims = [] if stopping else course.admit(now)
        end = course.conclude(now)
        refused = self._commit(course, turn, actions, claims, end)
        queued = [step for step in claims if step.key not in refused]
        self._submit(course, queued)
        self._acknowledge(turn.finished)
        stops = [action.key for action in actions if isinstance(action, Stop)]
        for executor in self._executors.values() if stops else ():
            executor.cancel(stops)
        for change in turn.runs:
            tell_run(self._report, change)
        tell_tasks(self._report, course, actions, queued)
        tell_waiting(self._report, course, actions, now)
        tell_released(self._report, course, queued, now)
        if end is not None:
            tell_run(self._report, end)
            return end.target
        return RunState.RUNNING if stopping and not course.ready.taken else None

    def _commit(
        self,
        course: Course,
        turn: _Turn,
        actions: Iterable[Action],
        claims: Sequence[Transition],
        end: RunTransition | None,
    ) -> frozenset[TaskKey]:
        steps = [action for action in actions if isinstance(action, Transition)]
        batch = Batch(
            answers=turn.answers,
            expansions=[action for action in actions if isinstance(action, Expansion)],
            transitions=[*steps, *claims],
            runs=[*turn.runs, *([end] if end else [])],
        )
        if not batch:
            return frozenset()
        with passing(self._reached, *kinds_of(batch)):
            refused = self._store.commit(batch, owner=self._owner)
        if refused:
            course.undo([step for step in claims if step.key in refused])
        return refused

    def _submit(self, course: Course, queued: Sequence[Transition]) -> None:
        if not queued:
            return
        workspace, place = self._workspace(course.run.key), self._place(course.dag.fileloc)
        by_executor: dict[str, list[Transition]] = {}
        for step in queued:
            by_executor.setdefault(step.executor, []).append(step)
        with passing(self._reached, "submit"):
            for name, steps in by_executor.items():
                workloads = [
                    make_workload(
                        course.view.task(step.key.task_id),
                        step.key.attempt(step.to_try),
                        digest=step.digest,
                        workspace=workspace,
                        place=place,
                    )
                    for step in steps
                ]
                self._executors[name].submit(workloads, run_info=_describe(course.run))

    def _acknowledge(self, finished: Collection[Finished]) -> None:
        if not finished:
            return
        with passing(self._reached, "ack"):
            for event in finished:
                for executor in self._executors.values():
                    executor.ack(event)

    # What happens meanwhile

    def _wait(self, course: Course) -> _Turn:
        """Block until something happened, then take all that has."""
        turn = _Turn()
        while not (turn.events or turn.finished or turn.answers or self._is_idle_stop(course)):
            messages = self._drain() or self._sleep(course)
            self._renew(course)
            self._sort(course, turn, messages)
            turn.events += course.pop_due(self._clock.now())
            if course.ready.is_blocked:
                break
        return turn

    def _is_idle_stop(self, course: Course) -> bool:
        return self._stopping.is_set() and not course.ready.taken

    def _sleep(self, course: Course) -> list[_Message]:
        pauses = [max(self._renew_at - self._clock.monotonic(), 0.0)]
        if (due := course.next_due()) is not None:
            pauses.append(max((due - self._clock.now()) / timedelta(seconds=1), 0.0))
        if course.ready.is_blocked:
            pauses.append(_ROOM_RETRY_S)
        try:
            return [self._inbox.get(timeout=min(pauses)), *self._drain()]
        except queue.Empty:
            return []

    def _drain(self) -> list[_Message]:
        messages: list[_Message] = []
        while True:
            try:
                messages.append(self._inbox.get_nowait())
            except queue.Empty:
                return messages

    def _sort(self, course: Course, turn: _Turn, messages: Iterable[_Message]) -> None:
        run, now = course.run.key, self._clock.now()
        for message in messages:
            match message:
                case Started(key=key, at=at) if key.task.run == run:
                    turn.events.append(TryStarted(key=key, at=at))
                case Finished(key=key, outcome=outcome) if key.task.run == run:
                    turn.finished.append(message)
                    turn.events.append(TryEnded(key=key, outcome=course.complete(key, outcome)))
                case Waiting(key=key, reason=reason) if key.task.run == run:
                    self._report(
                        TaskChanged(
                            key=key.task,
                            state=TaskState.QUEUED,
                            at=now,
                            try_number=key.try_number,
                            waiting_for=reason,
                        )
                    )
                case Prepared() | PrepareFailed():
                    self._take_reply(course, turn, message, now)
                case _Cancel():
                    self._stopping.set()
                    self._cancel_all(course)
                case Finished() if self._is_stored(message):
                    self._acknowledge([message])
                case _:
                    pass  # of another run: whoever resumes that run needs to be told

    def _is_stored(self, event: Finished) -> bool:
        """Whether this ending of another run's try was committed, but its process died before it acknowledged it."""
        task = event.key.task
        try:
            rows = self._store.list_instances(task.run, task_id=task.task_id)
        except UnknownRunError:
            return True
        current = (row.key.attempt(row.try_number) for row in rows if row.state in ACTIVE)
        return event.key not in current

    def _take_reply(self, course: Course, turn: _Turn, reply: Reply, now: datetime) -> None:
        if course.view.answer(reply.environment) is not None:
            return
        answer = Answer(run=course.run.key, environment=reply.environment, at=now)
        match reply:
            case Prepared(digest=digest, reused=reused):
                answer = replace(answer, digest=digest, reused=reused)
            case PrepareFailed(error=error):
                answer = replace(answer, error=error)
        turn.answers.append(answer)
        turn.events.append(Answered(answer=answer))

    def _renew(self, course: Course) -> None:
        if self._clock.monotonic() < self._renew_at:
            return
        self._renew_at = self._clock.monotonic() + self._lease_s / 3
        key = course.run.key
        if key not in self._store.renew_runs([key], owner=self._owner, lease_s=self._lease_s):
            raise ConflictError("the run was taken over by somebody else", where=key.run_id)
        course.ready.pools = self._pools()  # somebody may have changed them meanwhile

    def _pools(self) -> dict[str, int]:
        return {pool.name: pool.slots for pool in self._store.list_pools()}

    def _cancel_all(self, course: Course) -> None:
        tries = course.active_tries()
        for executor in self._executors.values():
            executor.cancel(tries)


def _describe(run: Run) -> dict[str, object]:
    return {
        "run_id": run.key.run_id,
        "logical_date": run.logical_date.isoformat() if run.logical_date else None,
        "conf": dict(run.conf),
    }
