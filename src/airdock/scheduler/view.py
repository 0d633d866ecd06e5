"""One run as the scheduler sees it: what `decide` may look up, and the implementation that follows the changes."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from airdock.dag.serialized import SerializedDag, SerializedTask
from airdock.model.environment import Environment
from airdock.model.keys import NOT_MAPPED, RunKey, TaskKey
from airdock.model.outcome import Succeeded
from airdock.model.states import FINISHED, TaskState
from airdock.record import record
from airdock.scheduler.expand import find_sources
from airdock.scheduler.rules import Counts
from airdock.scheduler.scopes import find_scopes
from airdock.scheduler.tally import Tally
from airdock.store.records import Answer, Expansion, Instance, Transition

__all__ = ["Lengths", "Member", "Places", "RunView", "Standing", "View"]

Lengths = Callable[[str, str], Mapping[int, int | None]]
"""From task id and XCom name to the lengths that were pushed, by map index."""

Places = Sequence[tuple[str, int]]
"""Task ids and map indexes, -1 for all of a task's, as in `Succeeded.skip`."""

_FAILURES_SHOWN = 3


@dataclass(slots=True)
class Member:
    """A task instance in the view. `queued` is when its latest try was queued.

    `next` is how a deferred try goes on, `trigger` what it waits for. `first_started` is when the first of its tries
    began, `started` and `ended` say it of this one, `reschedules` how often it gave its place back.
    """

    state: TaskState = TaskState.NONE
    try_number: int = 0
    max_tries: int = 0
    until: datetime | None = None
    queued: datetime | None = None
    executor: str = ""
    next: Mapping[str, Any] | None = None
    trigger: Mapping[str, Any] | None = None
    first_started: datetime | None = None
    reschedules: int = 0
    started: datetime | None = None
    ended: datetime | None = None


@record
class Standing:
    """How a run stands: instances that aren't finished, those of them that wait for others, leaves that failed.

    `failures` names the first few instances that failed, but for teardowns. `waits_for_past` are those of `waiting`
    whose tasks depend on the run before. `doom` says why the run fails, whatever becomes of its instances.
    """

    unfinished: int
    waiting: int
    bad_leaves: int
    failures: tuple[str, ...]
    waits_for_past: int = 0
    doom: str = ""


def _is_ignored(task: SerializedTask) -> bool:
    """Whether the run's state doesn't depend on how the task ends."""
    return task.is_teardown and not task.on_failure_fail_dagrun


class View(Protocol):
    """What `decide` may ask. Each is one look-up, whatever the size of the run, but for `tasks` and `unfinished`."""

    run: RunKey
    logical_date: datetime | None
    fail_fast: bool
    can_defer: bool
    """Whether somebody runs triggers; where nobody does, a try that defers has failed."""

    def tasks(self) -> Iterable[str]:
        """Every task id. Only for the beginning of a run."""

    def unfinished(self) -> Iterable[TaskKey]:
        """Every instance that isn't finished. Only for stopping a run."""

    def task(self, task_id: str) -> SerializedTask: ...

    def is_outside(self, task_id: str) -> bool:
        """Whether the run's date is outside of the task's own first and last date."""

    def downstream(self, task_id: str) -> Sequence[str]:
        """The tasks that look at this one: direct downstream, those in whose scope it is, those mapped over it."""

    def member(self, key: TaskKey) -> Member | None:
        """The instance, if there is one. Not to be changed."""

    def waiting(self, task_id: str) -> Collection[TaskKey]:
        """The instances of a task that are in state `none`."""

    def is_settled(self, task_id: str) -> bool:
        """Whether every instance of a task is finished."""

    def size(self, task_id: str) -> int:
        """How many instances there are of a task."""

    def is_measured(self, task_id: str) -> bool:
        """Whether as many instances as there are of a mapped task is what its lengths ask for now."""

    def expansion(self, task: SerializedTask) -> Mapping[str, Mapping[str, Any]] | None:
        """What a task, or the mapped group that it is in, is expanded over: see `SerializedTask.expand`."""

    def upstream(self, key: TaskKey) -> Counts:
        """How the direct upstream instances stand; in a mapped group those of its own index. Not to be changed."""

    def scope(self, key: TaskKey) -> Counts | None:
        """How the instances in its scope stand (see `rules.judge`); None if it has none. Not to be changed."""

    def is_ruled_out(self, key: TaskKey) -> bool:
        """Whether another task, which succeeded, decided to skip it."""

    def past(self, task_id: str) -> bool:
        """Whether what the task demands of the run before this one is met."""

    def lengths(self, task_id: str, name: str) -> Mapping[int, int | None]:
        """The lengths of the XComs that a task's instances pushed under this name, by map index."""

    def answer(self, environment: Environment) -> Answer | None: ...

    def in_need(self, environment: Environment) -> Collection[TaskKey]:
        """The scheduled instances that wait for this environment."""

    def standing(self) -> Standing: ...


class RunView:
    """A `View` in memory, loaded once and then kept up with each change; a change costs its task's out-degree."""

    def __init__(
        self,
        *,
        run: RunKey,
        logical_date: datetime | None,
        dag: SerializedDag,
        instances: Iterable[Instance],
        answers: Iterable[Answer] = (),
        lengths: Lengths = lambda _task_id, _name: {},
        decided: Iterable[tuple[TaskKey, Places]] = (),
        past: Callable[[str], bool] = lambda _task_id: True,
        can_defer: bool = False,
        run_type: str = "",
    ) -> None:
        """`decided` are the skips that succeeded instances decided; `past` is asked anew each time."""
        self.run, self.logical_date, self.fail_fast = run, logical_date, dag.fail_fast
        self._tasks = {task.task_id: task for task in dag.tasks}
        self._downstream: dict[str, list[str]] = {task_id: [] for task_id in self._tasks}
        for task in dag.tasks:
            for upstream in task.upstream:
                self._downstream[upstream].append(task.task_id)
        self.can_defer = can_defer
        self._outside = {task.task_id for task in dag.tasks if _is_outside(task, dag, logical_date, run_type)}
        self._scopes = find_scopes(dag.tasks)
        self._enclosing: dict[str, list[str]] = {}
        for task_id, inside in self._scopes.items():
            for each in inside:
                self._enclosing.setdefault(each, []).append(task_id)
        self._scope = Tally(self._scopes)
        self._groups = {name: group.get("expand") for name, group in dag.groups.items()}
        self._looking: dict[str, list[str]] = {}
        for task in dag.tasks:
            for each in self._watched(task):
                self._looking.setdefault(each, []).append(task.task_id)
        self._past = past
        self._ruled_out: dict[tuple[str, int], set[TaskKey]] = {}
        self._leaves = {task_id for task_id in self._tasks if self._is_leaf(task_id)}
        self._lengths = lengths
        self._answers = {answer.environment: answer for answer in answers}
        self._needs: dict[Environment, dict[TaskKey, None]] = {}
        self._members: dict[TaskKey, Member] = {}
        self._waiting: dict[str, dict[TaskKey, None]] = {task_id: {} for task_id in self._tasks}
        self._open = dict.fromkeys(self._tasks, 0)
        self._size = dict.fromkeys(self._tasks, 0)
        self._measured: set[str] = set()
        self._upstream = Tally(self._tasks)
        self._unfinished = self._waits = self._bad_leaves = 0
        self._failures: list[str] = []
        self._waits_for_past, self._doom = 0, ""
        for row in instances:
            self._load(row)
        for key, places in decided:
            self._rule_out(key, places)

    def _watched(self, task: SerializedTask) -> set[str]:
        """What the task looks at though it isn't direct upstream: its scope, and what its group is mapped over."""
        parts = (self._groups[task.map_group] or {}).values() if task.map_group else ()
        sources = {each for part in parts for each in find_sources(part)}
        return (sources | self._scopes.get(task.task_id, frozenset())) - {*task.upstream}

    def _is_leaf(self, task_id: str) -> bool:
        """Whether the run's state depends on the task: a teardown's doesn't, and what only teardowns follow does."""
        task, below = self._tasks[task_id], (self._tasks[each] for each in self._downstream[task_id])
        return not _is_ignored(task) and all(_is_ignored(each) for each in below)

    def _load(self, row: Instance) -> None:
        member = Member(row.state, row.try_number, row.max_tries, row.until, None, row.executor, row.next, row.trigger)
        member.first_started, member.started, member.ended = row.first_started, row.started, row.ended
        member.reschedules = int(row.state is TaskState.UP_FOR_RESCHEDULE)
        self._add(row.key, member)
        if row.state is TaskState.SCHEDULED:
            self._note_need(row.key)
        if row.state in FINISHED:
            self._settle(row.key, row.state)

    def _add(self, key: TaskKey, member: Member) -> None:
        self._members[key] = member
        self._size[key.task_id] += 1
        self._unfinished += 1
        self._open[key.task_id] += 1
        if member.state is TaskState.NONE:
            self._waits += 1
            self._waiting[key.task_id][key] = None
            self._waits_for_past += self._tasks[key.task_id].depends_on_past
        is_setup = self._tasks[key.task_id].is_setup
        for counts in self._counts_of(key):
            counts.add(is_setup=is_setup)

    def _settle(self, key: TaskKey, state: TaskState) -> None:
        self._unfinished -= 1
        self._open[key.task_id] -= 1
        is_setup = self._tasks[key.task_id].is_setup
        for counts in self._counts_of(key):
            counts.settle(state, is_setup=is_setup)
        is_bad = state in (TaskState.FAILED, TaskState.UPSTREAM_FAILED)
        self._bad_leaves += is_bad and key.task_id in self._leaves
        is_work = not self._tasks[key.task_id].is_teardown
        if state is TaskState.FAILED and is_work and len(self._failures) < _FAILURES_SHOWN:
            self._failures.append(key.label)

    def _counts_of(self, key: TaskKey) -> Iterator[Counts]:
        """The counts that an instance is part of: inside of a mapped group those of its own index."""
        group = self._tasks[key.task_id].map_group
        for tally, others in (
            (self._upstream, self._downstream[key.task_id]),
            (self._scope, self._enclosing.get(key.task_id, ())),
        ):
            for other in others:
                is_beside = group and self._tasks[other].map_group == group
                yield tally.at(other, key.map_index) if is_beside else tally.all(other)

    def _rule_out(self, key: TaskKey, places: Places) -> None:
        for task_id, index in places:
            self._ruled_out.setdefault((task_id, index), set()).add(key)

    def _note_need(self, key: TaskKey) -> None:
        environment = self._tasks[key.task_id].environment
        if environment not in self._answers:
            self._needs.setdefault(environment, {})[key] = None

    # What decide asks

    def tasks(self) -> Iterator[str]:
        return iter(self._tasks)

    def unfinished(self) -> list[TaskKey]:
        return [key for key, member in self._members.items() if member.state not in FINISHED]

    def task(self, task_id: str) -> SerializedTask:
        return self._tasks[task_id]

    def is_outside(self, task_id: str) -> bool:
        return task_id in self._outside

    def downstream(self, task_id: str) -> Sequence[str]:
        looking = self._looking.get(task_id)
        return [*self._downstream[task_id], *looking] if looking else self._downstream[task_id]

    def member(self, key: TaskKey) -> Member | None:
        return self._members.get(key)

    def waiting(self, task_id: str) -> Collection[TaskKey]:
        return self._waiting.get(task_id, {})

    def is_settled(self, task_id: str) -> bool:
        return self._open[task_id] == 0

    def size(self, task_id: str) -> int:
        return self._size[task_id]

    def is_measured(self, task_id: str) -> bool:
        return task_id in self._measured

    def expansion(self, task: SerializedTask) -> Mapping[str, Mapping[str, Any]] | None:
        return self._groups[task.map_group] if task.map_group else task.expand

    def upstream(self, key: TaskKey) -> Counts:
        return self._upstream.total(key)

    def scope(self, key: TaskKey) -> Counts | None:
        return self._scope.total(key) if key.task_id in self._scopes else None

    def is_ruled_out(self, key: TaskKey) -> bool:
        if not self._ruled_out:
            return False
        return (key.task_id, NOT_MAPPED) in self._ruled_out or (key.task_id, key.map_index) in self._ruled_out

    def past(self, task_id: str) -> bool:
        return self._past(task_id)

    def lengths(self, task_id: str, name: str) -> Mapping[int, int | None]:
        return self._lengths(task_id, name)

    def answer(self, environment: Environment) -> Answer | None:
        return self._answers.get(environment)

    def in_need(self, environment: Environment) -> Collection[TaskKey]:
        return self._needs.get(environment, {})

    def standing(self) -> Standing:
        return Standing(
            unfinished=self._unfinished,
            waiting=self._waits,
            bad_leaves=self._bad_leaves,
            failures=tuple(self._failures),
            waits_for_past=self._waits_for_past,
            doom=self._doom,
        )

    # What the loop asks and tells

    def members(self, *states: TaskState) -> list[tuple[TaskKey, Member]]:
        """The instances in these states; looks at all of them."""
        return [(key, member) for key, member in self._members.items() if member.state in states]

    def put_answer(self, answer: Answer) -> list[TaskKey]:
        """An environment was answered; returns the scheduled instances that waited for it."""
        self._answers[answer.environment] = answer
        return list(self._needs.pop(answer.environment, {}))

    def expand(self, expansion: Expansion) -> None:
        """The unexpanded instance becomes `length` instances, or an expanded task gets some more."""
        whole = TaskKey(dag_id=self.run.dag_id, run_id=self.run.run_id, task_id=expansion.task_id)
        max_tries = expansion.max_tries if expansion.first else self._drop(whole)
        for index in range(expansion.first, expansion.length):
            key = TaskKey(dag_id=whole.dag_id, run_id=whole.run_id, task_id=whole.task_id, map_index=index)
            self._add(key, Member(max_tries=max_tries))
        self._measured.add(whole.task_id)

    def _drop(self, whole: TaskKey) -> int:
        """The unexpanded instance is no more; returns its `max_tries`."""
        max_tries = self._members.pop(whole).max_tries
        self._size[whole.task_id] -= 1
        del self._waiting[whole.task_id][whole]
        self._unfinished -= 1
        self._open[whole.task_id] -= 1
        self._waits -= 1
        self._waits_for_past -= self._tasks[whole.task_id].depends_on_past
        is_setup = self._tasks[whole.task_id].is_setup
        for counts in self._counts_of(whole):
            counts.add(is_setup=is_setup, by=-1)
        return max_tries

    def move(self, step: Transition) -> None:
        """A task instance goes from one state to another."""
        member = self._members[step.key]
        if step.source is TaskState.NONE:
            self._waits -= 1
            self._waits_for_past -= self._tasks[step.key.task_id].depends_on_past
            del self._waiting[step.key.task_id][step.key]
        if step.source is TaskState.SCHEDULED:
            self._needs.get(self._tasks[step.key.task_id].environment, {}).pop(step.key, None)
        if step.to_try != member.try_number:
            member.reschedules = 0
        member.state, member.try_number, member.until = step.target, step.to_try, step.until
        member.next, member.trigger = step.next, step.trigger
        if step.max_tries is not None:
            member.max_tries = step.max_tries
        if step.target is TaskState.SCHEDULED:
            self._note_need(step.key)
        elif step.target is TaskState.QUEUED:
            member.queued, member.executor = step.at, step.executor
        elif step.target is TaskState.RUNNING:
            member.first_started, member.started = member.first_started or step.at, step.at
        elif step.target is TaskState.UP_FOR_RESCHEDULE:
            member.reschedules += 1
        elif step.target is TaskState.NONE:
            member.first_started = None
            self._waits += 1
            self._waits_for_past += self._tasks[step.key.task_id].depends_on_past
            self._waiting[step.key.task_id][step.key] = None
        elif step.target in FINISHED:
            member.ended = step.at
            self._settle(step.key, step.target)
            if step.outcome is not None and isinstance(step.outcome.ending, Succeeded):
                self._rule_out(step.key, step.outcome.ending.skip)

    def doom(self, reason: str) -> None:
        """The run fails for this reason once nothing goes on."""
        self._doom = reason


def _is_outside(task: SerializedTask, dag: SerializedDag, date: datetime | None, run_type: str) -> bool:
    """Whether a run for this date is before the task's first one, or after its last; a DAG's dates bound its runs."""
    if date is None or run_type == "backfill":
        return False
    first = task.start_date if task.start_date != dag.start_date else ""
    last = task.end_date if task.end_date != dag.end_date else ""
    is_early = bool(first) and date < datetime.fromisoformat(first)
    return is_early or (bool(last) and datetime.fromisoformat(last) < date)
