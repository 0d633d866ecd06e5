"""Where a run stands, folded from what was told: the one state that every view and the summary draw from."""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, assert_never

from airdock.model.keys import NOT_MAPPED, TaskKey
from airdock.model.outcome import Failed, Lost, Outcome, Skipped, Times
from airdock.model.progress import (
    BuildFinished,
    BuildOutput,
    BuildStarted,
    BuildStep,
    Note,
    Progress,
    RunChanged,
    TaskChanged,
)
from airdock.model.states import TaskState, is_finished
from airdock.model.usage import Usage

__all__ = ["Board", "Build", "Running", "Task", "counts", "overhead_s", "peak", "reason", "user_s"]


_LAST_LINES: Final = 3


@dataclass(kw_only=True, slots=True)
class Running:
    """A step of a build that is being done; `output` are its last lines."""

    step: BuildStep
    since: float
    output: deque[str] = field(default_factory=lambda: deque(maxlen=_LAST_LINES))


@dataclass(kw_only=True, slots=True)
class Build:
    """One image on its way. `since` is when it began, in seconds of the view's clock. `running` are steps by number,
    `step` the one that was told of last."""

    name: str
    label: str
    since: float
    step: BuildStep | None = None
    running: dict[int, Running] = field(default_factory=dict)
    ended: int = 0
    cached: int = 0
    output: str = ""
    finished: BuildFinished | None = None


@dataclass(kw_only=True, slots=True)
class Task:
    """One task instance. `since` is when it entered its state, in seconds of the view's clock."""

    key: TaskKey
    state: TaskState = TaskState.NONE
    since: float = 0.0
    try_number: int = 0
    waiting_for: str = ""
    outcome: Outcome | None = None


@dataclass(kw_only=True, slots=True)
class Board:
    """Everything that a view needs. Not shared between threads: whoever draws also folds."""

    run: RunChanged | None = None
    since: float = 0.0
    builds: dict[str, Build] = field(default_factory=dict)
    tasks: dict[TaskKey, Task] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    """What images are called, by digest."""
    environments: dict[str, str] = field(default_factory=dict)
    """What the tasks' environments are called, by task id, in the order in which tasks were told of."""

    def apply(self, event: Progress, now: float) -> None:
        """Take in one event; `now` is in seconds of the view's clock."""
        match event:
            case BuildStarted():
                self.builds[event.build] = Build(name=event.build, label=event.label, since=now)
            case BuildStep():
                self._step(event, now)
            case BuildOutput():
                build = self._build(event.build, now)
                build.output = event.line
                if event.step in build.running:
                    build.running[event.step].output.append(event.line)
            case BuildFinished():
                build = self._build(event.build, now)
                build.label = event.label or build.label
                build.finished = event
                if event.digest:
                    self.labels[event.digest] = build.label
            case TaskChanged():
                self._task(event, now)
            case RunChanged():
                self.run = event
            case Note():
                pass  # said once, and part of no state
            case _:
                assert_never(event)

    def image_of(self, task: Task) -> str:
        """What the task's image is called; empty while nobody said."""
        by_digest = self.labels.get(task.outcome.digest, "") if task.outcome else ""
        return self.environments[task.key.task_id] or by_digest

    def groups(self) -> list[list[Task]]:
        """The task instances by task, so that a hundred mapped ones can make one row."""
        grouped: dict[str, list[Task]] = {task_id: [] for task_id in self.environments}
        for task in self.tasks.values():
            grouped[task.key.task_id].append(task)
        return list(grouped.values())

    def _build(self, name: str, now: float) -> Build:
        return self.builds.setdefault(name, Build(name=name, label=name, since=now))

    def _step(self, event: BuildStep, now: float) -> None:
        build = self._build(event.build, now)
        build.step = event
        build.output = ""
        if event.seconds is None:
            build.running[event.number] = Running(step=event, since=now)
            return
        build.running.pop(event.number, None)
        build.ended += 1
        build.cached += event.cached

    def _task(self, event: TaskChanged, now: float) -> None:
        if event.key.map_index != NOT_MAPPED:
            # Before it was known how many there are, one instance stood for all.
            self.tasks.pop(replace(event.key, map_index=NOT_MAPPED), None)
        self.environments[event.key.task_id] = event.environment or self.environments.get(event.key.task_id, "")
        task = self.tasks.setdefault(event.key, Task(key=event.key, since=now))
        if task.state is not event.state:
            task.since = now
        task.state = event.state
        task.try_number = event.try_number or task.try_number
        task.waiting_for = event.waiting_for
        task.outcome = event.outcome or task.outcome


def counts(tasks: Iterable[Task]) -> dict[TaskState, int]:
    """How many tasks stand in which state, what is finished first."""
    counted = Counter(task.state for task in tasks)
    order = [state for state in TaskState if is_finished(state)] + [s for s in TaskState if not is_finished(s)]
    return {state: counted[state] for state in order if counted[state]}


def peak(tasks: Iterable[Task]) -> Usage | None:
    """The use of the task that took the most memory; None where none was measured."""
    measured = (task.outcome.usage for task in tasks if task.outcome and task.outcome.usage)
    return max(measured, key=lambda usage: usage.memory_peak_bytes, default=None)


def user_s(times: Times) -> float | None:
    """Seconds in the user's own code; None where it was never reached."""
    return _between(times.user_code, times.user_ended)


def overhead_s(times: Times) -> float | None:
    """Seconds of a try that weren't the user's code; None where the try didn't go so far."""
    whole, user = _between(times.queued, times.ended), user_s(times)
    return None if whole is None or user is None else max(whole - user, 0.0)


def reason(task: Task) -> str:
    """Why a task's last try ended as it did, in one line; empty where there is nothing to say."""
    ending = task.outcome.ending if task.outcome else None
    if isinstance(ending, Failed | Skipped | Lost):
        return ending.reason
    return task.waiting_for if is_finished(task.state) else ""


def _between(start: datetime | None, end: datetime | None) -> float | None:
    return (end - start).total_seconds() if start and end else None
