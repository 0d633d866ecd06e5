"""Priority weights by an author's own rule."""

from importlib import import_module
from typing import Any, Final

from airdock.errors import DagError

__all__ = ["RULES", "PriorityWeightStrategy", "find_strategy", "weights_by_try"]

RULES: Final = ("downstream", "upstream", "absolute")
_MOST: Final = 2**31 - 1
"""Weights are whole numbers of 32 bits."""
_TRIES: Final = 10
"""For how many tries a rule is asked, at least: a cleared task may have more of them than its retries."""


class PriorityWeightStrategy:
    """Subclasses say in `get_weight` how urgent a task instance is."""

    def get_weight(self, ti: Any) -> int:
        """The weight; of `ti` there are `task`, `task_id`, `dag_id`, `try_number` and `priority_weight`."""
        raise NotImplementedError(f"{type(self).__name__} has no get_weight()")

    def serialize(self) -> dict[str, Any]:
        return {}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> "PriorityWeightStrategy":
        return cls(**data)


class _Beginning:
    """A task instance that is to be tried, as a strategy sees it; `try_number` counts the tries before."""

    map_index = -1

    def __init__(self, task: Any, try_number: int) -> None:
        self.task = task
        self.try_number = try_number
        self.task_id = task.task_id
        self.dag_id = task.dag_id
        self.priority_weight = task.priority_weight


def find_strategy(rule: Any, where: str) -> PriorityWeightStrategy | None:
    """The author's strategy, given as an object, a class or a class path; None for a rule of Airflow's own."""
    if isinstance(rule, str) and rule in RULES:
        return None
    found = rule
    if isinstance(rule, str) and "." in rule:
        module, _, name = rule.rpartition(".")
        try:
            found = getattr(import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise DagError(f"expected weight_rule {rule!r} to be a class: {error}", where=where) from error
    if isinstance(found, type) and issubclass(found, PriorityWeightStrategy):
        found = found()
    if isinstance(found, PriorityWeightStrategy):
        return found
    raise DagError(
        f"expected weight_rule to be one of {', '.join(RULES)} or a PriorityWeightStrategy, found {rule!r}", where=where
    )


def weights_by_try(strategy: PriorityWeightStrategy, task: Any) -> tuple[int, ...]:
    """The weight of a task by an author's strategy, for the first try and each later one; the last goes on.

    DagError for what the strategy raises.
    """
    weights = [_weigh(strategy, task, try_number) for try_number in range(max(task.retries + 1, _TRIES))]
    while len(weights) > 1 and weights[-1] == weights[-2]:
        weights.pop()
    return tuple(weights)


def _weigh(strategy: PriorityWeightStrategy, task: Any, try_number: int) -> int:
    try:
        return max(-_MOST - 1, min(_MOST, int(strategy.get_weight(_Beginning(task, try_number)))))
    except Exception as error:  # the strategy is the author's
        kind = type(strategy).__name__
        raise DagError(f"weight_rule {kind} failed: {type(error).__name__}: {error}",
                       where=f"{task.where} (task {task.task_id!r})") from error  # fmt: skip
