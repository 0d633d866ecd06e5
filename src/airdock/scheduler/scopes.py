"""Setups and teardowns: which tasks a task has to wait for though they aren't its direct upstream. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from airdock.dag.serialized import SerializedTask

__all__ = ["find_scopes", "reach", "turn"]


def find_scopes(tasks: Sequence[SerializedTask]) -> dict[str, frozenset[str]]:
    """For each task that has a scope, the tasks in it. Costs the size of the DAG for each setup and teardown.

    For a teardown: all tasks between its setups and itself. For another task: the setups above it whose teardown comes
    after it, or that have none. Direct upstream tasks are left out: trigger rules look at those.
    """
    if not any(task.is_setup for task in tasks):
        return {}
    by_id = {task.task_id: task for task in tasks}
    above = {task.task_id: frozenset(task.upstream) for task in tasks}
    below = turn(above)
    after = {task.task_id: reach([task.task_id], below) for task in tasks if task.is_setup}
    before = {task.task_id: reach([task.task_id], above) for task in tasks if task.is_teardown}
    found: dict[str, set[str]] = {}
    covered = dict.fromkeys(after, frozenset[str]())
    for teardown, inside in before.items():
        for setup in _setups_of(by_id[teardown], by_id) & after.keys():
            found.setdefault(teardown, set()).update(inside & after[setup])
            covered[setup] |= {teardown, *inside}
    for setup, tasks_after in after.items():
        for task_id in tasks_after & covered[setup] if covered[setup] else tasks_after:
            if not by_id[task_id].is_teardown:
                found.setdefault(task_id, set()).add(setup)
    scopes = {task_id: frozenset(inside - above[task_id]) for task_id, inside in found.items()}
    return {task_id: inside for task_id, inside in scopes.items() if inside}


def _setups_of(task: SerializedTask, by_id: Mapping[str, SerializedTask]) -> frozenset[str]:
    """The setups a teardown belongs to: those named, and those directly above it."""
    if not task.is_teardown:
        return frozenset()
    return frozenset({*task.setups, *(each for each in task.upstream if by_id[each].is_setup)})


def turn(edges: Mapping[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    """The same edges the other way round."""
    turned: dict[str, set[str]] = {task_id: set() for task_id in edges}
    for task_id, others in edges.items():
        for other in others:
            turned[other].add(task_id)
    return {task_id: frozenset(others) for task_id, others in turned.items()}


def reach(starts: Iterable[str], edges: Mapping[str, frozenset[str]]) -> set[str]:
    """All that can be reached from these along the edges."""
    found: set[str] = set()
    left = list(starts)
    while left:
        for each in edges[left.pop()] - found:
            found.add(each)
            left.append(each)
    return found
