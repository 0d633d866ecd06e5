"""What a task will return, usable before it has run: as an argument, an edge, or inside a template."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from airdock.dag.edges import Linked
from airdock.dag.node import Node
from airdock.errors import DagError

__all__ = ["RETURN_KEY", "DagParam", "XComArg", "find_references", "resolve"]

RETURN_KEY = "return_value"


class XComArg(Linked):
    """The XCom `key` of a task, by default what it returns. `result["name"]` is the XCom of that key."""

    def __init__(self, operator: Node, key: str = RETURN_KEY) -> None:
        self.operator = operator
        self.key = key

    @property
    def nodes(self) -> tuple[Node, ...]:
        return (self.operator,)

    def __getitem__(self, item: str) -> "XComArg":
        if not isinstance(item, str):
            raise DagError(
                f"expected the key of a result to be a string, found {type(item).__name__} {item!r}",
                where=self.operator.where,
                hint="a list has no parts before its task has run; take it apart in a task, or .expand over it",
            )
        return XComArg(self.operator, item)

    def __iter__(self) -> Iterator[Any]:
        raise TypeError(f"the result of task {self.operator.task_id!r} can't be iterated over before it has run; "
                        "use .expand, or iterate in a task")  # fmt: skip

    def __eq__(self, other: object) -> bool:
        return isinstance(other, XComArg) and (self.operator, self.key) == (other.operator, other.key)

    def __hash__(self) -> int:
        return hash((id(self.operator), self.key))

    def __repr__(self) -> str:
        return f"XComArg({self.operator.task_id!r}, key={self.key!r})"

    def __str__(self) -> str:
        """A template that gives the value, so that it can stand in an f-string."""
        return f"{{{{ ti.xcom_pull(task_ids={self.operator.task_id!r}, key={self.key!r}) }}}}"

    def resolve(self, context: Mapping[str, Any]) -> Any:
        """The value, asked of the running task's context: all values, in order, where the task is mapped."""
        indexes = None if self.operator.is_mapped else -1
        return context["ti"].xcom_pull(task_ids=self.operator.task_id, key=self.key, map_indexes=indexes)


class DagParam:
    """A parameter of the DAG, known only when a run is there: an argument of the @dag function, or `dag.param(…)`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"DagParam({self.name!r})"

    def __str__(self) -> str:
        return f"{{{{ params[{self.name!r}] }}}}"

    def resolve(self, context: Mapping[str, Any]) -> Any:
        """The value in the run that is going on."""
        return context["params"][self.name]


def find_references(value: Any) -> Iterable[XComArg]:
    """The results of other tasks anywhere inside of an argument."""
    if isinstance(value, XComArg):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from find_references(each)
    elif isinstance(value, list | tuple | set | frozenset):
        for each in value:
            yield from find_references(each)


def resolve(value: Any, context: Mapping[str, Any]) -> Any:
    """The argument with every result and parameter in it replaced by its value."""
    if isinstance(value, XComArg | DagParam):
        return value.resolve(context)
    if type(value) is dict:
        return {key: resolve(each, context) for key, each in value.items()}
    if type(value) in (list, tuple, set, frozenset):
        return type(value)(resolve(each, context) for each in value)
    return value
