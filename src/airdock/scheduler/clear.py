"""Clear task instances: of which tasks (Airflow 3.3's rules). Pure."""

from collections.abc import Collection, Sequence

from airdock.dag.serialized import SerializedTask
from airdock.scheduler.scopes import reach, turn

__all__ = ["find_below", "pick_tasks"]


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


def find_below(tasks: Sequence[SerializedTask], chosen: Collection[str]) -> frozenset[str]:
    """All tasks below the chosen ones, without these."""
    below = turn({task.task_id: frozenset(task.upstream) for task in tasks})
    return frozenset(reach(chosen, below)) - frozenset(chosen)


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
