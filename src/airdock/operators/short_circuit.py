"""A task that lets what comes after it go on or be skipped."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airdock.dag.operator import Work
from airdock.operators.branch import SkipMixin
from airdock.operators.python import PythonOperator

if TYPE_CHECKING:
    from airdock.dag.mapping import MappedOperator
    from airdock.dag.node import Node

__all__ = ["ShortCircuitOperator"]


class ShortCircuitOperator(PythonOperator, SkipMixin):
    """Calls a function; where it returns something false, all tasks after it are skipped but teardowns.

    With `ignore_downstream_trigger_rules=False` only those directly after it are, and the rest go by their rules.
    """

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        ignore_downstream_trigger_rules: bool = True,
        task_id: str,
        **arguments: Any,
    ) -> None:
        super().__init__(python_callable=python_callable, task_id=task_id, **arguments)
        self.ignore_downstream_trigger_rules = ignore_downstream_trigger_rules

    def execute(self, context: Any) -> Any:
        condition = super().execute(context)
        print(f"Condition result is {condition}")  # noqa: T201  a task's prints are its log
        if not condition:
            self.skip(context["ti"], self.skipped_tasks())
        return condition

    def skipped_tasks(self) -> "list[Node]":
        """The tasks that a false condition skips."""
        return _skipped_after(self, self.ignore_downstream_trigger_rules)

    def work(self) -> Work:
        return _decided_elsewhere(super().work(), self.skipped_tasks())

    @classmethod
    def mapped_work(cls, mapped: "MappedOperator") -> Work:
        every = mapped.arguments.get("ignore_downstream_trigger_rules", True)
        return _decided_elsewhere(super().mapped_work(mapped), _skipped_after(mapped, every))


def _decided_elsewhere(work: Work, skipped: "list[Node]") -> Work:
    if work["mode"] != "bare":
        return work
    return {**work, "payload": {**work["payload"], "short_circuit": [each.task_id for each in skipped]}}


def _skipped_after(task: "Node", every: bool) -> "list[Node]":
    found = _all_after(task) if every else task.downstream_list
    return [each for each in found if not each.settings.is_teardown]


def _all_after(task: "Node") -> "list[Node]":
    found: dict[str, Node] = {}
    waiting = list(task.downstream_list)
    while waiting:
        each = waiting.pop(0)
        if each.task_id not in found:
            found[each.task_id] = each
            waiting.extend(each.downstream_list)
    return list(found.values())
