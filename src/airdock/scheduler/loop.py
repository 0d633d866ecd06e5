"""Apply what was decided: many runs, driven by one inbox of events.

One turn: take all that happened → decide, for each run that it concerns → commit everything in one transaction → hand
over workloads → acknowledge endings → tell. A crash between any two of these loses nothing: what was committed is found
again, what was handed over is adopted or proven gone, what wasn't acknowledged is told again.

Between turns the loop sleeps on its inbox, until the next thing is due.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from airdock.clock import Clock, SystemClock
from airdock.errors import AirdockError, ConflictError
from airdock.executors.base import Executor
from airdock.model.events import Finished, Started, Waiting
from airdock.model.keys import RunKey, TryKey
from airdock.model.mount import Mount
from airdock.model.progress import Report
from airdock.model.states import FINISHED, RUN_FINISHED, RunState
from airdock.scheduler.at_hand import AtHand
from airdock.scheduler.calling import Calling
from airdock.scheduler.calls import find_calls
from airdock.scheduler.commits import Commits
from airdock.scheduler.course import Course
from airdock.scheduler.crew import Crew
from airdock.scheduler.deadlines import DeadlineWatch
from airdock.scheduler.duty import Duties, Intake
from airdock.scheduler.events import Happening, TriggerFired, TryEnded, TryStarted
from airdock.scheduler.inbox import Cancel, Happened, Inbox, Look, Message
from airdock.scheduler.lease import Lease
from airdock.scheduler.needs import Needs
from airdock.scheduler.points import Reached, passing
from airdock.scheduler.prepare import Prepare, Prepared, PrepareFailed, Reply
from airdock.scheduler.room import Room
from airdock.scheduler.takeup import find_kept, find_lost, is_stored, make_course
from airdock.scheduler.tell import tell_held, tell_turn
from airdock.scheduler.turn import Turn
from airdock.scheduler.waiting import Triggering, Waiters
from airdock.store.base import Store
from airdock.store.records import Run, RunTransition, Transition

__all__ = ["Scheduler"]

_ROOM_RETRY_S: Final = 0.5
"""How often to ask again for slots that other schedulers take; nobody tells when they give them back."""

_CALLS_S: Final = 5.0
"""How often to look for callbacks whose caller died."""
_DEADLINES_S: Final = 5.0
"""How often to look for deadlines of runs that others made, and because clocks are set."""

_log = logging.getLogger(__name__)


class Scheduler:
    """Works on one run with `run`, or on all there are with `serve`; both block, and only one goes on at a time.

    `executors` are by name, and started by whoever owns them; their events come here. `folders` gives, and makes, what
    the tasks of a run see of its files. `owner` names this process in leases. Of a DAG that `is_paused` what runs goes
    on, and nothing more is queued; `look` lets it be asked again. `cancel`, `look` and `happen` may be called from any
    thread or signal handler.
    """

    def __init__(
        self,
        *,
        store: Store,
        executors: Mapping[str, Executor],
        default_executor: str,
        prepare: Prepare,
        folders: Callable[[RunKey], Sequence[Mount]],
        place: Callable[[str], Sequence[Mount]],
        owner: str,
        clock: Clock | None = None,
        report: Report = lambda _progress: None,
        reached: Reached = lambda _name: None,
        lease_s: float = 60.0,
        is_paused: Callable[[str], bool] = lambda _dag_id: False,
        triggering: Callable[[], Triggering] | None = None,
        calling: Calling | None = None,
        ended: Callable[[RunKey, RunState], None] = lambda _key, _state: None,
    ) -> None:
        self._store, self._default, self._owner = store, default_executor, owner
        self._clock = clock or SystemClock()
        self._report, self._reached = report, reached
        self.lease = Lease(lease_s, clock or SystemClock())
        self._calling, self._hear_of_run = calling, ended
        self._inbox, self._stopping = Inbox(), threading.Event()
        self._crew = Crew(executors, folders=folders, place=place, lease_s=self.lease.of_tries_s, reached=reached)
        self._commits = Commits(store=store, owner=owner, reached=reached, lost=self._lose)
        self._room = Room(executors=self._crew.slots())
        self._at_hand = AtHand(room=self._room, is_paused=is_paused)
        self._needs = Needs(prepare=prepare, inbox=self._inbox)
        self._ended: dict[RunKey, RunState] = {}
        self._lost: dict[RunKey, ConflictError] = {}
        self._duties, self._is_serving = Duties(), False
        self._waiters = Waiters(triggering, self._fire)
        self._crew.subscribe(self._inbox.put)

    def cancel(self) -> None:
        """Cancel what runs, start nothing more, and return from `run` or `serve` with runs left to be resumed."""
        self._inbox.leave(Cancel())

    def look(self, *, at_all: bool = False) -> None:
        """Something outside changed: let every duty look; with `at_all` it may be anything in the store."""
        self._inbox.leave(Look(at_all=at_all))

    def happen(self, run: RunKey, event: Happening) -> None:
        """Let this happen to the run. It is forgotten where the run isn't worked on here."""
        self._inbox.leave(Happened(run=run, event=event))

    def run(self, key: RunKey, *, displacing: str = "") -> RunState:
        """Take the run over and work on it until it ends or `cancel` was called; returns its state then.

        ConflictError if somebody else owns it, or takes it over meanwhile; `displacing` is an owner known to be dead.
        """
        with passing(self._reached, "lease"):
            run = self._store.take_run(key, owner=self._owner, lease_s=self.lease.length_s, displacing=displacing)
        self._duties = Duties()
        self._watch_deadlines(key)
        self._work(lambda: self._take_up([run]), until=lambda: key not in self._at_hand.courses)
        if (lost := self._lost.pop(key, None)) is not None:
            raise lost
        if not self._stopping.is_set():  # it may have ended late before anybody looked
            self._duties.look()
            self._duties.do(self._clock.now(), self._clock.monotonic())
        return self._ended.pop(key)

    def serve(self, intake: Intake, duties: Duties) -> None:
        """Work on every run that `intake` claims, and do the duties when they're due, until `cancel`."""

        def claim(now: datetime) -> None:
            with passing(self._reached, "lease"):
                runs = intake.claim(self._at_hand.courses.values(), now=now)
            self._take_up(runs)
            self._at_hand.look_back()  # other schedulers work on other runs
            self._ended.clear()
            self._lost.clear()

        duties.add(intake.pause_s, claim)
        if self._calling is not None:
            duties.add(_CALLS_S, self._calling.take)
        self._duties, self._is_serving = duties, True
        self._watch_deadlines()
        self._work(lambda: None, until=lambda: self._stopping.is_set() and not self._at_hand.courses)

    def _watch_deadlines(self, run: RunKey | None = None) -> None:
        """Of one run, which gets no others later, or of all."""
        if self._calling is not None and (run is None or self._store.next_deadline(run=run) is not None):
            watch = DeadlineWatch(store=self._store, called=self._calling.take, run=run)
            self._duties.add(_DEADLINES_S, watch.watch)

    def _work(self, begin: Callable[[], None], *, until: Callable[[], bool]) -> None:
        try:
            begin()
            while not until():
                self._take_turn()
                if not until():
                    self._wait(until)
        except BaseException:
            self._cancel_all()  # leases stay, so that nobody runs these again before this process is gone
            raise

    # Which runs

    def _take_up(self, runs: Sequence[Run]) -> None:
        """Endings that were kept come first; tries that nobody ended and nobody runs any more are lost.

        Also for a new run: what a dead process left is cleared up by whoever comes next.
        """
        if not runs:
            return
        if not self._at_hand.courses:
            self.lease.renewed(self._clock.monotonic())
        self._room.set_pools(self._store.list_pools())
        courses = [course for run in runs if (course := self._load(run)) is not None]
        for course in courses:
            self._at_hand.take_up(course)
        alive = self._crew.adopt([key for course in courses for key in course.active_tries()])
        self._sort(self._inbox.drain())
        for course in courses:
            told = {event.key for event in self._at_hand.turn(course).finished}
            self._at_hand.turn(course).events += find_lost(course, alive=(alive | told).__contains__)
            self._begin(course)

    def _load(self, run: Run) -> Course | None:
        try:
            return make_course(
                self._store, run, default_executor=self._default, room=self._room, can_defer=self._waiters.is_there
            )
        except AirdockError as error:
            if not self._is_serving:
                raise
            _log.error("run %s can't be taken up: %s", run.key.run_id, error)
            return None

    def _begin(self, course: Course) -> None:
        run, turn = course.run, self._at_hand.turn(course)
        if run.state in RUN_FINISHED:
            self._crew.acknowledge(turn.finished)
            self._let_go(course, run.state)
            return
        now = self._clock.now()
        course.begin(run.started or now)
        if run.state is RunState.QUEUED:
            turn.runs.append(RunTransition(key=run.key, source=run.state, target=RunState.RUNNING, at=now))
        self._needs.ask(course)
        self._waiters.take_up(course)
        self._crew.cancel(course.restarting_tries())

    def _fire(self, key: TryKey, event: Any, error: str) -> None:
        self.happen(key.task.run, TriggerFired(key=key.task, event=event, error=error))

    def _let_go(self, course: Course, state: RunState) -> None:
        key = course.run.key
        self._forget(course)
        self._ended[key] = state
        if state in RUN_FINISHED:
            self._hear_of_run(key, state)
        with passing(self._reached, "release"):
            self._store.release_run(key, owner=self._owner)
        self._duties.look()

    def _forget(self, course: Course) -> None:
        self._waiters.forget(course)
        self._at_hand.forget(course)
        self._needs.forget(course.run.key)

    def _lose(self, course: Course, error: ConflictError) -> None:
        """Somebody else has the run, or changed it: what is known of it here means nothing any more."""
        _log.warning("run %s is given up: %s", course.run.key.run_id, error)
        go_on = find_kept(self._store, course.run.key) if self._is_serving else frozenset()
        self._crew.cancel([key for key in course.active_tries() if key not in go_on])
        self._forget(course)
        self._lost[course.run.key] = error
        self._duties.look()

    # One turn

    def _take_turn(self) -> None:
        """Do all that follows from what happened."""
        now = self._clock.now()
        for turn in self._at_hand.turns.values():
            turn.actions = turn.course.absorb(turn.events, now)
        if not self._stopping.is_set():
            self._at_hand.admit(now)
        turns = self._at_hand.take_turns()
        for turn in turns:
            turn.conclude(now)
            turn.calls = list(find_calls(turn.course, turn.actions, turn.end)) if self._calling else []
        stored = self._commits.store(turns)
        for turn in stored:
            self._follow_up(turn, now)
        if self._calling is not None and any(turn.calls for turn in stored):
            self._calling.take()
        if any(turn.assets for turn in stored):
            self._duties.look()

    def _follow_up(self, turn: Turn, now: datetime) -> None:
        course = turn.course
        self._crew.submit(course, turn.claims)
        self._crew.acknowledge(turn.finished)
        self._waiters.follow(course, turn.actions)
        if any(isinstance(action, Transition) and action.target in FINISHED for action in turn.actions):
            self._at_hand.look_back(dag_id=course.run.key.dag_id)
        self._crew.cancel([stop.key for stop in turn.stops])
        tell_turn(self._report, turn, now)
        self._at_hand.followed(course)
        if turn.runs:
            self._at_hand.turn(course)
        if turn.end is not None:
            self._let_go(course, turn.end.target)

    # What happens meanwhile

    def _wait(self, until: Callable[[], bool]) -> None:
        """Block until something happened to a run, then take all that has."""
        self._leave_idle()
        while not self._at_hand.turns and not until():
            is_blocked = self._at_hand.is_blocked
            messages = self._inbox.drain() or self._inbox.sleep(self._pause_s(is_blocked=is_blocked))
            self._renew()
            self._sort(messages)
            self._at_hand.ring(self._clock.now())
            if not self._stopping.is_set():
                self._duties.do(self._clock.now(), self._clock.monotonic())
            self._leave_idle()
            if is_blocked:
                break

    def _leave_idle(self) -> None:
        """Where all is to stop, let go of the runs of which nothing runs any more."""
        if self._stopping.is_set():
            for course in [each for key, each in self._at_hand.courses.items() if key not in self._at_hand.turns]:
                if not course.ready.taken:
                    self._let_go(course, RunState.RUNNING)

    def _pause_s(self, *, is_blocked: bool) -> float | None:
        pauses = []
        if self._at_hand.courses:
            pauses.append(self.lease.due_s)
        if (due_s := self._at_hand.due_s(self._clock.now())) is not None:
            pauses.append(due_s)
        if is_blocked:
            pauses.append(_ROOM_RETRY_S)
        duty = None if self._stopping.is_set() else self._duties.pause_s(self._clock.monotonic())
        if duty is not None:
            pauses.append(duty)
        return max(min(pauses), 0.0) if pauses else None

    def _sort(self, messages: Iterable[Message]) -> None:
        for message in messages:
            match message:
                case Started(key=key, at=at) if course := self._at_hand.courses.get(key.task.run):
                    self._at_hand.turn(course).events.append(TryStarted(key=key, at=at))
                case Finished(key=key, outcome=outcome) if course := self._at_hand.courses.get(key.task.run):
                    self._at_hand.turn(course).finished.append(message)
                    self._at_hand.turn(course).events.append(TryEnded(key=key, outcome=course.complete(key, outcome)))
                case Waiting(key=key) if key.task.run in self._at_hand.courses:
                    tell_held(self._report, message, self._clock.now())
                case Prepared() | PrepareFailed():
                    self._take_reply(message)
                case Cancel():
                    self._stopping.set()
                    self._cancel_all()
                case Look(at_all=at_all):
                    if at_all:
                        self.lease.want()
                    self._duties.look()
                    self._at_hand.look_again()
                case Happened(run=run, event=event) if course := self._at_hand.courses.get(run):
                    self._at_hand.turn(course).events.append(event)
                case Finished() if is_stored(self._store, message):
                    self._crew.acknowledge([message])
                case _:
                    pass  # of another run: whoever resumes that run needs to be told

    def _take_reply(self, reply: Reply) -> None:
        for key in self._needs.pop(reply.environment):
            self._at_hand.turn(self._at_hand.courses[key]).take_reply(reply, self._clock.now())

    def _renew(self) -> None:
        if self.lease.due_s > 0 or not self._at_hand.courses:
            return
        at = self._clock.monotonic()
        kept = self._store.renew_runs(list(self._at_hand.courses), owner=self._owner, lease_s=self.lease.length_s)
        self.lease.renewed(at)
        for course in [each for key, each in self._at_hand.courses.items() if key not in kept]:
            error = ConflictError("the run was taken over by somebody else", where=course.run.key.run_id)
            self._lose(course, error)
        self._room.set_pools(self._store.list_pools())  # somebody may have changed them meanwhile

    def _cancel_all(self) -> None:
        self._crew.cancel([key for course in self._at_hand.courses.values() for key in course.active_tries()])
