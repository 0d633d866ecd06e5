"""Tasks that choose which of the tasks after them go on."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from airdock.dag.exceptions import AirflowException
from airdock.dag.operator import BaseOperator, Work
from airdock.operators.python import PythonOperator

if TYPE_CHECKING:
    from airdock.dag.dag import DAG
    from airdock.dag.mapping import MappedOperator
    from airdock.dag.node import Node

__all__ = [
    "DECISION_KEY",
    "BaseBranchOperator",
    "BranchMixIn",
    "BranchPythonOperator",
    "SkipMixin",
    "decided_elsewhere",
    "group_roots",
    "skip_unless",
]

DECISION_KEY: Final = "skipmixin_key"
"""The XCom in which a decision is kept, under Airflow's name."""


class SkipMixin:
    """What a task needs that skips others."""

    def skip(self, ti: Any, tasks: "Iterable[Node]") -> None:
        """Let the tasks be skipped when this one has succeeded, without asking their trigger rules."""
        ids = [task.task_id for task in tasks]
        if ids:
            ti.xcom_push(key=DECISION_KEY, value={"skipped": ids})
            ti.skip([(each, ti.map_index) for each in ids])

    def skip_all_except(self, ti: Any, branch_task_ids: str | Iterable[str] | None) -> None:
        """Let the direct downstream tasks be skipped that are neither named nor after a named one."""
        task = ti.task
        chosen = _ids(branch_task_ids)
        unknown = sorted(chosen - set(task.dag.task_dict))
        if unknown:
            raise AirflowException(f"expected ids of tasks of the DAG to follow, found {', '.join(unknown)}")
        unless = skip_unless(task)
        if unless:
            followed = [each for each, keepers in unless.items() if keepers & chosen]
            ti.xcom_push(key=DECISION_KEY, value={"followed": followed})
            ti.skip([(each, ti.map_index) for each in unless if each not in followed])


class BranchMixIn(SkipMixin):
    """What a task needs that chooses a branch."""

    def do_branch(self, context: Any, branches_to_execute: str | Iterable[str] | None) -> Any:
        """Follow the tasks and groups named, and skip what else is directly downstream; None follows nothing."""
        chosen = None if branches_to_execute is None else sorted(_ids(branches_to_execute))
        print(f"Branch into {chosen}")  # noqa: T201  a task's prints are its log
        ti = context["ti"]
        groups = group_roots(ti.task.dag)
        self.skip_all_except(ti, [each for name in chosen or () for each in groups.get(name, (name,))])
        return branches_to_execute if chosen is None or isinstance(branches_to_execute, str) else chosen


class BaseBranchOperator(BaseOperator, BranchMixIn):
    """Subclasses say in `choose_branch` which tasks or groups of those directly downstream go on."""

    def choose_branch(self, context: Any) -> str | Iterable[str] | None:
        """An id of a task or group, several, or None to skip all."""
        raise NotImplementedError(f"{type(self).__name__} has no choose_branch()")

    def execute(self, context: Any) -> Any:
        return self.do_branch(context, self.choose_branch(context))


class BranchPythonOperator(PythonOperator, BranchMixIn):
    """Calls a function, and follows the tasks or groups whose ids it returns."""

    def execute(self, context: Any) -> Any:
        return self.do_branch(context, super().execute(context))

    def work(self) -> Work:
        return decided_elsewhere(self, super().work())

    @classmethod
    def mapped_work(cls, mapped: "MappedOperator") -> Work:
        return decided_elsewhere(mapped, super().mapped_work(mapped))


def group_roots(dag: "DAG") -> dict[str, list[str]]:
    """For each task group the ids of its tasks that wait for none inside of it."""
    groups: Mapping[str, Any] = getattr(dag, "task_group_dict", {})
    return {name: [each.task_id for each in group.get_roots()] for name, group in groups.items() if name}


def skip_unless(task: "Node") -> dict[str, set[str]]:
    """For each task directly downstream the ids that keep it from being skipped: its own, and of all before it."""
    return {each.task_id: _and_before(each) for each in task.downstream_list}


def decided_elsewhere(task: "BaseOperator | MappedOperator", work: Work) -> Work:
    """The work with what the runner needs for the decision where it has no DAG to look at."""
    if work["mode"] != "bare":
        return work
    groups = group_roots(task.dag)
    unless = {
        task_id: sorted({*keepers, *(name for name, roots in groups.items() if keepers.intersection(roots))})
        for task_id, keepers in skip_unless(task).items()
    }
    known = sorted({*task.dag.task_dict, *groups})
    return {**work, "payload": {**work["payload"], "branch": {"skip_unless": unless, "known": known}}}


def _and_before(task: "Node") -> set[str]:
    found: set[str] = set()
    waiting = [task]
    while waiting:
        each = waiting.pop()
        if each.task_id not in found:
            found.add(each.task_id)
            waiting.extend(each.upstream_list)
    return found


def _ids(value: Any) -> set[str]:
    if value is None:
        return set()
    if isinstance(value, str):
        return {value}
    if not isinstance(value, Iterable):
        raise AirflowException(
            f"'branch_task_ids' must be either None, a task ID, or an Iterable of IDs, found a {type(value).__name__}"
        )
    found = list(value)
    for each in found:
        if not isinstance(each, str):
            raise AirflowException(f"expected the ids of tasks to follow, found {each!r} of {type(each).__name__}")
    return set(found)
