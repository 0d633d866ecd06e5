"""The context of a running task, whose channel remembers what it was asked."""

from collections.abc import Callable
from typing import Any

import pytest

from airdock.dag.context import set_current_context
from airdock.runner.inside.context import Context


class Asked:
    """The supervisor's side: answers from `answers`, keeps what was asked."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, Any] = {}

    def ask(self, op: str, **fields: Any) -> Any:
        self.requests.append((op, fields))
        return self.answers.get(op)


Running = Callable[..., Any]


@pytest.fixture
def running() -> Running:
    """Call it with a task: gives the context that the runner would give it."""

    def make(task: Any, *, logical_date: str = "2026-01-02T03:04:05+00:00", map_index: int = -1, **run: Any) -> Any:
        key = {"dag_id": task.dag_id, "task_id": task.task_id, "run_id": "r", "map_index": map_index, "try_number": 1}
        start = {"key": key, "payload": {"params": {}}, "run": {"run_id": "r", "logical_date": logical_date, **run}}
        context = Context(start, Asked())
        context["ti"].task = task
        context.update(task=task, dag=task.dag)
        return context

    set_current_context(None)
    return make
