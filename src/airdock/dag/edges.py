"""Who runs after whom: `>>`, `<<`, `set_upstream`, `set_downstream`, `Label`, `chain`, `cross_downstream`."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from airdock.errors import DagError

if TYPE_CHECKING:
    from airdock.dag.node import Node

__all__ = ["EdgeModifier", "Label", "Linked", "chain", "chain_linear", "cross_downstream"]


class Linked:
    """What can stand on either side of `>>`: tasks, results of tasks, groups of tasks, and labels between them."""

    @property
    def nodes(self) -> "tuple[Node, ...]":
        """The tasks that are meant."""
        raise NotImplementedError

    @property
    def entries(self) -> "tuple[Node, ...]":
        """The tasks that wait for what comes before."""
        return self.nodes

    @property
    def exits(self) -> "tuple[Node, ...]":
        """The tasks that what comes after waits for."""
        return self.nodes

    def set_downstream(self, others: Any, edge_modifier: "EdgeModifier | None" = None) -> None:
        """Make the others run after this."""
        for other in _flat(others):
            _join(self, other, edge_modifier.label if edge_modifier else "")

    def set_upstream(self, others: Any, edge_modifier: "EdgeModifier | None" = None) -> None:
        """Make the others run before this."""
        for other in _flat(others):
            _join(other, self, edge_modifier.label if edge_modifier else "")

    def __rshift__(self, other: Any) -> Any:
        self.set_downstream(other)
        return other

    def __lshift__(self, other: Any) -> Any:
        self.set_upstream(other)
        return other

    def __rrshift__(self, other: Any) -> "Linked":
        self.set_upstream(other)
        return self

    def __rlshift__(self, other: Any) -> "Linked":
        self.set_downstream(other)
        return self


class EdgeModifier(Linked):
    """Stands between tasks, `a >> Label("when empty") >> b`, and is written at their edge in pictures of the DAG."""

    def __init__(self, label: str | None = None) -> None:
        self.label = label or ""
        self._before: list[Linked] = []
        self._after: list[Linked] = []

    def precede(self, other: Linked) -> None:
        """Let the other come after all that comes before this."""
        self._after.append(other)
        for each in self._before:
            _join(each, other, self.label)

    def follow(self, other: Linked) -> None:
        """Let the other come before all that comes after this."""
        self._before.append(other)
        for each in self._after:
            _join(other, each, self.label)

    def __repr__(self) -> str:
        return f"Label({self.label!r})"


def Label(label: str) -> EdgeModifier:  # noqa: N802 (Airflow's name)
    """A text for the edges that it stands in."""
    return EdgeModifier(label)


def chain(*tasks: Linked | Sequence[Linked]) -> None:
    """Run the arguments one after the other; neighbouring lists of the same length are joined pair by pair."""
    for before, after in pairwise(tasks):
        if isinstance(before, Linked):
            before.set_downstream(after)
        elif isinstance(after, Linked):
            after.set_upstream(before)
        else:
            _chain_pairs(before, after)


def chain_linear(*tasks: Linked | Sequence[Linked]) -> None:
    """Run the arguments one after the other; everything in a list waits for everything in the list before it.

    DagError where that joins nothing, and for labels, which stand between tasks only in `chain` and `>>`.
    """
    if any(isinstance(each, EdgeModifier) for each in tasks):
        raise DagError("expected tasks and lists of them in chain_linear(), found a Label", hint="use chain() or '>>'")
    if len(tasks) < 2:
        raise DagError(f"expected at least 2 arguments of chain_linear(), found {len(tasks)}", hint=_SPREAD)
    pairs = [(one, after) for before, after in pairwise(tasks) for one in _flat(before)]
    if not pairs:
        raise DagError("chain_linear() joined nothing: each list but the last is empty")
    for one, after in pairs:
        one.set_downstream(after)


def cross_downstream(from_tasks: Sequence[Linked], to_tasks: Any) -> None:
    """Make all of `to_tasks` run after all of `from_tasks`."""
    for task in from_tasks:
        task.set_downstream(to_tasks)


_SPREAD = "write `*` before a list whose parts run one after the other: chain_linear(*steps)"


def _chain_pairs(before: Sequence[Linked], after: Sequence[Linked]) -> None:
    if len(before) != len(after):
        raise DagError(
            f"expected lists of the same length next to each other in chain(), found {len(before)} and {len(after)}",
            hint="use chain_linear(), or cross_downstream() for every pair",
        )
    for one, other in zip(before, after, strict=True):
        one.set_downstream(other)


def _flat(value: Any) -> Iterable[Linked]:
    if isinstance(value, Linked):
        yield value
    elif isinstance(value, list | tuple | set | frozenset):
        for each in value:
            yield from _flat(each)
    else:
        raise DagError(
            f"expected a task, the result of one, or a list of them around '>>', found {type(value).__name__}",
            hint="call the @task function: `a() >> b()`" if callable(value) else "",
        )


def _join(before: Linked, after: Linked, label: str) -> None:
    if isinstance(before, EdgeModifier):
        before.precede(after)
    elif isinstance(after, EdgeModifier):
        after.follow(before)
    else:
        for one in before.exits:
            for other in after.entries:
                other.add_upstream(one)
                if label:
                    other.dag.edge_labels[one.task_id, other.task_id] = label
