"""One run under way: its view, who waits, who runs, and what is due when. Nothing here touches store or executors."""

import heapq
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from airdock.dag.serialized import SerializedDag
from airdock.model.environment import Environment
from airdock.model.keys import TaskKey, TryKey
from airdock.model.outcome import Outcome
from airdock.model.states import TaskState
from airdock.scheduler.admit import Lane
from airdock.scheduler.advance import advance
from airdock.scheduler.decide import conclude
from airdock.scheduler.events import Action, Answered, Due, Happening, RunTimedOut, Wake
from airdock.scheduler.ready import Ready
from airdock.scheduler.view import RunView
from airdock.store.base import ACTIVE
from airdock.store.records import Run, RunTransition, Transition

__all__ = ["Course"]

_HOLDING = ACTIVE | {TaskState.RESTARTING}
"""States in which a try takes slots: one that has to end does until it has."""
_SLEEPING = (TaskState.UP_FOR_RETRY, TaskState.UP_FOR_RESCHEDULE)


class Course:
    """Keeps view, lanes and timers in step."""

    def __init__(self, *, run: Run, dag: SerializedDag, view: RunView, ready: Ready) -> None:
        self.run, self.dag, self.view, self.ready = run, dag, view, ready
        self._timers: list[tuple[datetime, int, TaskKey]] = []
        self._order = itertools.count()
        self._released: list[TaskKey] = []
        self._deadline: datetime | None = None
        for key, member in view.members(TaskState.SCHEDULED):
            if view.answer(view.task(key.task_id).environment) is not None:
                ready.push(key, member.try_number)
        for key, _ in view.members(*_HOLDING):
            ready.hold(key)
        for key, member in view.members(*_SLEEPING):
            self._set_timer(key, member.until or run.created)
        for key, member in view.members(TaskState.DEFERRED):
            if member.until is not None:
                self._set_timer(key, member.until)

    def _set_timer(self, key: TaskKey, at: datetime) -> None:
        heapq.heappush(self._timers, (at, next(self._order), key))

    def active_tries(self) -> list[TryKey]:
        """The tries that were queued and haven't ended."""
        members = ((key, self.view.member(key)) for key in self.ready.taken)
        return [key.attempt(member.try_number) for key, member in members if member]

    def restarting_tries(self) -> list[TryKey]:
        """The tries that have to end so that their instances can begin anew."""
        return [key.attempt(member.try_number) for key, member in self.view.members(TaskState.RESTARTING)]

    def deferred(self) -> list[tuple[TryKey, Mapping[str, Any]]]:
        """The tries that wait for triggers, and these."""
        found = self.view.members(TaskState.DEFERRED)
        return [(key.attempt(member.try_number), member.trigger) for key, member in found if member.trigger]

    def needs(self) -> dict[Environment, str]:
        """The environments that unfinished tasks need and that weren't answered, each with the first such task."""
        found: dict[Environment, str] = {}
        for task in self.dag.tasks:
            is_open = task.mode != "none" and not self.view.is_settled(task.task_id)
            if is_open and self.view.answer(task.environment) is None:
                found.setdefault(task.environment, task.task_id)
        return found

    def begin(self, at: datetime) -> None:
        """The run began then, from which its time counts."""
        self.run = replace(self.run, started=at)
        if self.dag.dagrun_timeout_s is not None:
            self._deadline = at + timedelta(seconds=self.dag.dagrun_timeout_s)

    def next_due(self) -> datetime | None:
        timers = [self._timers[0][0]] if self._timers else []
        return min([*timers, *([self._deadline] if self._deadline else [])], default=None)

    def pop_due(self, now: datetime) -> list[Due | RunTimedOut]:
        """What has come due by now."""
        if self._deadline is not None and self._deadline <= now:
            self._deadline = None
            return [RunTimedOut()]
        due: list[Due | RunTimedOut] = []
        while self._timers and self._timers[0][0] <= now:
            due.append(Due(key=heapq.heappop(self._timers)[2]))
        return due

    def absorb(self, events: Iterable[Happening], now: datetime) -> list[Action]:
        """Let these happen, with all that follows."""
        actions: list[Action] = []
        for event in events:
            found = advance(self.view, [event], now)
            for action in found:
                self._follow(action)
            if isinstance(event, Answered):
                for key in self.view.put_answer(event.answer):
                    self._push(key)
                    self._released.append(key)
            actions += found
        return actions

    def _follow(self, action: Action) -> None:
        match action:
            case Wake(key=key, at=at):
                self._set_timer(key, at)
            case Transition(key=key, source=source, target=target):
                if source in _HOLDING and target not in _HOLDING:
                    self.ready.free(key)
                if target is TaskState.SCHEDULED:
                    answer = self.view.answer(self.view.task(key.task_id).environment)
                    if answer is not None and answer.error is None:
                        self._push(key)

    def _push(self, key: TaskKey) -> None:
        member = self.view.member(key)
        self.ready.push(key, member.try_number if member else 1)

    def pop_released(self) -> list[TaskKey]:
        """The instances whose image became ready since this was last asked."""
        released, self._released = self._released, []
        return released

    @property
    def rank(self) -> tuple[datetime, datetime, str, str]:
        """Which run goes first where priorities are equal: the one for the earlier date."""
        run = self.run
        return run.logical_date or run.created, run.created, run.key.dag_id, run.key.run_id

    def admit(self, lane: Lane, now: datetime) -> list[Transition]:
        """Queue those of the lane that have room now."""
        return [step for key in self.ready.take(lane) if (step := self._queue(key, now))]

    def _queue(self, key: TaskKey, now: datetime) -> Transition | None:
        task, member = self.view.task(key.task_id), self.view.member(key)
        answer = self.view.answer(task.environment)
        if member is None or answer is None or member.state is not TaskState.SCHEDULED:
            return None  # skipped or failed while it waited
        step = Transition(
            key=key,
            source=TaskState.SCHEDULED,
            target=TaskState.QUEUED,
            try_number=member.try_number,
            to_try=member.try_number,
            at=now,
            digest=answer.digest,
            executor=self.ready.lane(key.task_id).executor,
            limits=self.ready.limits(key.task_id),
            next=member.next,
        )
        self.view.move(step)
        self.ready.hold(key)
        return step

    def undo(self, steps: Sequence[Transition]) -> None:
        """The store had no room for these."""
        for step in steps:
            self.view.move(replace(step, source=TaskState.QUEUED, target=TaskState.SCHEDULED))
        self.ready.put_back([step.key.attempt(step.to_try) for step in steps])

    def conclude(self, now: datetime) -> RunTransition | None:
        return conclude(self.view, now)

    def complete(self, key: TryKey, outcome: Outcome) -> Outcome:
        """The outcome with what only the scheduler knows: when the try was queued, and its image was ready."""
        member = self.view.member(key.task)
        answer = self.view.answer(self.view.task(key.task_id).environment) if member else None
        times = replace(
            outcome.times,
            queued=member.queued if member and member.queued else outcome.times.queued,
            image_ready=outcome.times.image_ready or (answer.at if answer else None),
        )
        return replace(outcome, times=times, digest=outcome.digest or (answer.digest if answer else ""))
