"""Whether what a task demands of the run before this one is met (depends_on_past and its kin)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from airdock.dag.serialized import SerializedDag, SerializedTask
from airdock.model.keys import RunKey
from airdock.model.states import TaskState
from airdock.scheduler.course import Course
from airdock.scheduler.events import Happening, PastSettled
from airdock.store.base import Store
from airdock.store.filters import RunFilter
from airdock.store.records import Run

__all__ = ["find_previous", "make_past", "past_met", "wake_past"]

_GOOD: Final = frozenset({TaskState.SUCCESS, TaskState.SKIPPED, TaskState.REMOVED})
"""A removed instance asks for nothing, so nothing has to come of it."""

_SCHEDULED: Final = ("scheduled", "backfill")

States = Mapping[str, Sequence[TaskState]]
"""The states of the instances of each task in a run."""


def past_met(
    task: SerializedTask, *, date: datetime, before: States | None, has_ever_run: bool, downstream: Sequence[str]
) -> bool:
    """Whether the task may run. `before` is the run before, None if there is none, and `date` the date of that run.

    `downstream` are the tasks directly below. A task that begins after that run asks for nothing; nor does one that
    never ran before, if it says so.
    """
    if not (task.depends_on_past or task.wait_for_downstream) or before is None:
        return True
    if task.start_date and date < datetime.fromisoformat(task.start_date):
        return True
    own = before.get(task.task_id, ())
    if not own:
        return task.ignore_first_depends_on_past and not has_ever_run
    if any(state not in _GOOD for state in own):
        return False
    after = [state for each in downstream for state in before.get(each, ())]
    return not task.wait_for_downstream or all(state in _GOOD for state in after)


def wake_past(courses: Iterable[Course]) -> dict[RunKey, list[Happening]]:
    """For the runs in which tasks wait for the run before: that they look again."""
    found: dict[RunKey, list[Happening]] = {}
    for course in courses:
        if course.view.standing().waits_for_past:
            asking = (task for task in course.dag.tasks if task.depends_on_past or task.wait_for_downstream)
            waiting = [task.task_id for task in asking if course.view.waiting(task.task_id)]
            found[course.run.key] = [PastSettled(task_id=task_id) for task_id in waiting]
    return found


def make_past(store: Store, run: Run, dag: SerializedDag) -> Callable[[str], bool]:
    """`past_met` for the tasks of a run, asked of the store each time: other runs go on meanwhile."""
    downstream: dict[str, list[str]] = {}
    for task in dag.tasks:
        for each in task.upstream:
            downstream.setdefault(each, []).append(task.task_id)

    def ask(task_id: str) -> bool:
        date = run.logical_date
        if date is None:
            return True
        may_be_first = dag.task(task_id).ignore_first_depends_on_past  # else nobody asks what costs a query a run
        previous = find_previous(store, run, only_scheduled=dag.catchup)
        if previous is None or previous.logical_date is None:
            return True
        after = downstream.get(task_id, [])
        states = {
            each: [row.state for row in store.list_instances(previous.key, task_id=each)] for each in (task_id, *after)
        }
        return past_met(
            dag.task(task_id),
            date=previous.logical_date,
            before=states,
            has_ever_run=not may_be_first or bool(states[task_id]) or _ever_ran(store, run.key, task_id, date),
            downstream=after,
        )

    return ask


def find_previous(store: Store, run: Run, *, only_scheduled: bool) -> Run | None:
    """The run with the date before this one's; of a backfill's runs the first has none.

    Where only scheduled ones count, so do those of backfills, which stand for them.
    """
    wanted = RunFilter(
        dag_id=run.key.dag_id,
        before=run.logical_date,
        types=_SCHEDULED if only_scheduled else None,
        by_date=True,
        limit=1,
    )
    if run.backfill is not None and not store.find_runs(replace(wanted, types=None, backfill=run.backfill)):
        return None
    return next(iter(store.find_runs(wanted)), None)


def _ever_ran(store: Store, key: RunKey, task_id: str, date: datetime) -> bool:
    wanted = RunFilter(dag_id=key.dag_id, before=date, by_date=True, limit=1000)
    return any(store.list_instances(run.key, task_id=task_id) for run in store.find_runs(wanted) if run.key != key)
