"""Setups and teardowns: which tasks a task has to wait for though they aren't its direct upstream. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from airdock.dag.serialized import SerializedTask

__all__ = ["find_scopes"]


def find_scopes(tasks: Sequence[SerializedTask]) -> dict[str, frozenset[str]]:
    """For each task that has a scope, the tasks in it; `tasks` are in topological order.

    For a teardown: all tasks between its setups and itself. For another task: the setups above it whose teardown comes
    after it, or that have none. Direct upstream tasks are left out: trigger rules look at those.
    """
    if not any(task.is_setup for task in tasks):
        return {}
    by_id = {task.task_id: task for task in tasks}
    above = _ancestors(tasks)
    teardowns: dict[str, set[str]] = {task.task_id: set() for task in tasks if task.is_setup}
    for task in tasks:
        for setup in _setups_of(task, by_id):
            teardowns.setdefault(setup, set()).add(task.task_id)
    scopes = {}
    for task in tasks:
        if task.is_teardown:
            setups = _setups_of(task, by_id)
            inside = {each for each in above[task.task_id] if above[each] & setups}
        else:
            inside = {
                each
                for each in above[task.task_id]
                if by_id[each].is_setup and _covers(teardowns[each], task.task_id, above)
            }
        if inside := inside - set(task.upstream):
            scopes[task.task_id] = frozenset(inside)
    return scopes


def _setups_of(task: SerializedTask, by_id: Mapping[str, SerializedTask]) -> frozenset[str]:
    """The setups a teardown belongs to: those named, and those directly above it."""
    if not task.is_teardown:
        return frozenset()
    return frozenset({*task.setups, *(each for each in task.upstream if by_id[each].is_setup)})


def _covers(teardowns: Iterable[str], task_id: str, above: Mapping[str, frozenset[str]]) -> bool:
    """Whether a setup with these teardowns is for this task."""
    return not teardowns or any(task_id in above[teardown] for teardown in teardowns)


def _ancestors(tasks: Sequence[SerializedTask]) -> dict[str, frozenset[str]]:
    above: dict[str, frozenset[str]] = {}
    for task in tasks:
        above[task.task_id] = frozenset(task.upstream).union(*(above[each] for each in task.upstream))
    return above
