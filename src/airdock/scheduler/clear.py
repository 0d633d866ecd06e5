"""Clear task instances: which ones, and what becomes of each (Airflow 3.3's rules). Pure."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime

from airdock.dag.serialized import SerializedTask
from airdock.model.states import FINISHED, TaskState
from airdock.scheduler.scopes import reach, turn
from airdock.store.base import ACTIVE
from airdock.store.records import Instance, Transition

__all__ = ["clear_instances", "pick_tasks"]

_BAD = frozenset({TaskState.FAILED, TaskState.UPSTREAM_FAILED})


def pick_tasks(
    tasks: Sequence[SerializedTask], chosen: Collection[str], *, upstream: bool = False, downstream: bool = False
) -> frozenset[str]:
    """The tasks to clear: the chosen ones, all above or below them where asked, and their setups and teardowns."""
    above = {task.task_id: frozenset(task.upstream) for task in tasks}
    below = turn(above)
    picked = set(chosen)
    if upstream:
        picked |= reach(chosen, above)
    if downstream:
        picked |= reach(chosen, below)
    return frozenset(picked | _setups_and_teardowns(tasks, picked, above, below))


def clear_instances(
    instances: Iterable[Instance],
    tasks: Sequence[SerializedTask],
    picked: Collection[str],
    now: datetime,
    *,
    only_failed: bool = False,
) -> Iterator[Transition]:
    """What becomes of the instances of the picked tasks: finished ones begin anew, running ones once they are stopped.

    Each may try as often again as its task says.
    """
    retries = {task.task_id: task.retries for task in tasks}
    for row in instances:
        is_wanted = row.key.task_id in picked and (not only_failed or row.state in _BAD)
        if not is_wanted or not (row.state in FINISHED or row.state in ACTIVE):
            continue
        yield Transition(
            key=row.key,
            source=row.state,
            target=TaskState.RESTARTING if row.state in ACTIVE else TaskState.NONE,
            try_number=row.try_number,
            to_try=row.try_number,
            max_tries=row.try_number + retries.get(row.key.task_id, 0),
            at=now,
        )


def _setups_and_teardowns(
    tasks: Sequence[SerializedTask],
    picked: Collection[str],
    above: dict[str, frozenset[str]],
    below: dict[str, frozenset[str]],
) -> set[str]:
    """The setups above a picked task whose teardown comes after it, or that have none, with their teardowns."""
    teardowns: dict[str, set[str]] = {task.task_id: set() for task in tasks if task.is_setup}
    for task in tasks if teardowns else ():
        for setup in {*task.setups, *task.upstream} & teardowns.keys() if task.is_teardown else ():
            teardowns[setup].add(task.task_id)
    found: set[str] = set()
    for task_id in picked if teardowns else ():
        after = reach([task_id], below)
        for setup in (reach([task_id], above) | {task_id}) & teardowns.keys():
            if not teardowns[setup] or teardowns[setup] & after:
                found |= {setup, *teardowns[setup]}
    return found
