"""What a task will return, usable before it has run: as an argument, an edge, or inside a template."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from airdock.dag.edges import Linked
from airdock.dag.node import Node
from airdock.errors import DagError

__all__ = [
    "RETURN_KEY",
    "Concatenated",
    "DagParam",
    "Lazy",
    "Mapped",
    "MappedArgument",
    "XComArg",
    "Zipped",
    "expression_of",
    "find_references",
    "holds_lazy",
    "nested_fields",
    "rebuild",
    "resolve",
]

RETURN_KEY = "return_value"
_NOTHING: Final = object()


class Lazy:
    """A value that is known only when the task runs."""

    def references(self) -> "Iterator[XComArg]":
        """The results of other tasks that it is made of."""
        return iter(())

    def resolve(self, context: Mapping[str, Any]) -> Any:
        """The value in the run that is going on."""
        raise NotImplementedError


class _Items(Lazy, Linked):
    """What can be expanded over, and turned into something else to expand over."""

    @property
    def nodes(self) -> tuple[Node, ...]:
        return tuple(dict.fromkeys(reference.operator for reference in self.references()))

    def expression(self) -> dict[str, Any]:
        """What the scheduler can take the length of: see `SerializedTask.expand`."""
        raise NotImplementedError

    def map(self, function: Callable[[Any], Any]) -> "Mapped":
        """Each item as the function makes it, which runs in the task that takes it; it may raise a skip."""
        return Mapped(self, function)

    def zip(self, *others: "_Items", fillvalue: Any = _NOTHING) -> "Zipped":
        """Tuples of items at the same place: as many as the shortest has, or with `fillvalue` as the longest has."""
        return Zipped((self, *others), fillvalue)

    def concat(self, *others: "_Items") -> "Concatenated":
        """All items of this, then those of the others."""
        return Concatenated((self, *others))

    def __iter__(self) -> Iterator[Any]:
        raise TypeError(f"{self!r} can't be iterated over before it has run; use .expand, or iterate in a task")


class XComArg(_Items):
    """The XCom `key` of a task, by default what it returns. `result["name"]` is the XCom of that key."""

    def __init__(self, operator: Node, key: str = RETURN_KEY) -> None:
        self.operator = operator
        self.key = key

    @property
    def nodes(self) -> tuple[Node, ...]:
        return (self.operator,)

    def references(self) -> "Iterator[XComArg]":
        yield self

    def expression(self) -> dict[str, Any]:
        return {"xcom": self.operator.task_id, "key": self.key}

    def __getitem__(self, item: str) -> "XComArg":
        if not isinstance(item, str):
            raise DagError(
                f"expected the key of a result to be a string, found {type(item).__name__} {item!r}",
                where=self.operator.where,
                hint="a list has no parts before its task has run; take it apart in a task, or .expand over it",
            )
        return XComArg(self.operator, item)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, XComArg) and (self.operator, self.key) == (other.operator, other.key)

    def __hash__(self) -> int:
        return hash((id(self.operator), self.key))

    def __repr__(self) -> str:
        return f"XComArg({self.operator.task_id!r}, key={self.key!r})"

    def __str__(self) -> str:
        """A template that gives the value, so that it can stand in an f-string."""
        return f"{{{{ ti.xcom_pull(task_ids={self.operator.task_id!r}, key={self.key!r}) }}}}"

    def as_setup(self) -> "XComArg":
        """Make its task a setup."""
        self.operator.as_setup()
        return self

    def as_teardown(self, *, setups: Any = None, on_failure_fail_dagrun: bool | None = None) -> "XComArg":
        """Make its task a teardown, of these setups."""
        self.operator.as_teardown(setups=setups, on_failure_fail_dagrun=on_failure_fail_dagrun)
        return self

    def __enter__(self) -> Any:
        return self.operator.__enter__()

    def __exit__(self, *details: Any) -> None:
        self.operator.__exit__(*details)

    def resolve(self, context: Mapping[str, Any]) -> Any:
        """The value, asked of the running task's context: all values, in order, where there are many instances.

        Between tasks of one mapped group it is the value of the same instance.
        """
        ti = context["ti"]
        index: int | None = -1
        group = self.operator.map_group
        if self.operator.is_mapped:
            index = None
        elif group:
            task = context.get("task")
            index = ti.map_index if task is not None and task.map_group == group else None
        nothing: list[Any] | None = [] if index is None else None
        return ti.xcom_pull(task_ids=self.operator.task_id, key=self.key, map_indexes=index, default=nothing)


class Mapped(_Items):
    """The items of another result, each as a function makes it."""

    def __init__(self, source: _Items, function: Callable[[Any], Any]) -> None:
        if not callable(function) or hasattr(function, "task_arguments"):
            raise DagError(f"expected .map() to get a plain function, found {type(function).__name__}",
                           hint="a @task function makes a task: use .expand for that")  # fmt: skip
        _check_whole(source)
        self.source, self.function = source, function

    def references(self) -> Iterator[XComArg]:
        return self.source.references()

    def expression(self) -> dict[str, Any]:
        return {"map": self.source.expression()}

    def resolve(self, context: Mapping[str, Any]) -> Any:
        items = _items(self.source.resolve(context))
        return _Made(len(items), lambda index: self.function(items[index]))

    def __repr__(self) -> str:
        return f"{self.source!r}.map({getattr(self.function, '__name__', self.function)!s})"


class Zipped(_Items):
    """Tuples of the items of several results."""

    def __init__(self, sources: Sequence[_Items], fillvalue: Any) -> None:
        for source in sources:
            _check_whole(source)
        self.sources, self.fillvalue = tuple(sources), fillvalue

    @property
    def is_longest(self) -> bool:
        return self.fillvalue is not _NOTHING

    def references(self) -> Iterator[XComArg]:
        return (each for source in self.sources for each in source.references())

    def expression(self) -> dict[str, Any]:
        return {"zip": [each.expression() for each in self.sources], "longest": self.is_longest}

    def resolve(self, context: Mapping[str, Any]) -> Any:
        parts = [_items(each.resolve(context)) for each in self.sources]
        lengths = [len(each) for each in parts]
        count = max(lengths) if self.is_longest else min(lengths)
        fill = self.fillvalue
        return _Made(count, lambda index: tuple(part[index] if index < len(part) else fill for part in parts))

    def __repr__(self) -> str:
        return f"{self.sources[0]!r}.zip({', '.join(map(repr, self.sources[1:]))})"


class Concatenated(_Items):
    """The items of several results, one after the other."""

    def __init__(self, sources: Sequence[_Items]) -> None:
        for source in sources:
            _check_whole(source)
        self.sources = tuple(sources)

    def references(self) -> Iterator[XComArg]:
        return (each for source in self.sources for each in source.references())

    def expression(self) -> dict[str, Any]:
        return {"concat": [each.expression() for each in self.sources]}

    def resolve(self, context: Mapping[str, Any]) -> Any:
        parts = [_items(source.resolve(context)) for source in self.sources]
        places = [(part, index) for part in parts for index in range(len(part))]
        return _Made(len(places), lambda index: places[index][0][places[index][1]])

    def __repr__(self) -> str:
        return f"{self.sources[0]!r}.concat({', '.join(map(repr, self.sources[1:]))})"


class MappedArgument(Lazy):
    """What an instance of a mapped group gets for one of the keywords that the group is expanded over."""

    def __init__(self, expanded: Mapping[str, Any], name: str) -> None:
        self.expanded = expanded
        self.name = name

    def references(self) -> Iterator[XComArg]:
        return iter(find_references(dict(self.expanded)))

    def resolve(self, context: Mapping[str, Any]) -> Any:
        chosen = context["ti"].choose({name: resolve(value, context) for name, value in self.expanded.items()})
        return chosen[self.name] if self.name in chosen else chosen["**"][self.name]

    def __repr__(self) -> str:
        return f"MappedArgument({self.name!r})"


class DagParam(Lazy):
    """A parameter of the DAG, known only when a run is there: an argument of the @dag function, or `dag.param(…)`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"DagParam({self.name!r})"

    def __str__(self) -> str:
        return f"{{{{ params[{self.name!r}] }}}}"

    def resolve(self, context: Mapping[str, Any]) -> Any:
        return context["params"][self.name]


class _Made(Sequence[Any]):
    """Items that are made when they are looked at: an instance needs only its own."""

    def __init__(self, count: int, make: Callable[[int], Any]) -> None:
        self._count, self._make = count, make

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(self._count))]
        if not -self._count <= index < self._count:
            raise IndexError(f"expected an index below {self._count}, found {index}")
        return self._make(index % self._count)


def find_references(value: Any, seen: frozenset[int] = frozenset()) -> Iterable[XComArg]:
    """The results of other tasks anywhere inside of an argument. `seen` are ids of objects that it was found in."""
    if isinstance(value, Lazy):
        yield from value.references()
    elif isinstance(value, dict):
        for each in value.values():
            yield from find_references(each, seen)
    elif isinstance(value, list | tuple | set | frozenset):
        for each in value:
            yield from find_references(each, seen)
    elif id(value) not in seen:
        for name in nested_fields(value):
            yield from find_references(getattr(value, name, None), seen | {id(value)})


def nested_fields(value: Any) -> Iterable[str]:
    """The attributes of an object that it says are templates; whatever else it answers means none."""
    names = getattr(value, "template_fields", ())
    return names if isinstance(names, tuple | list | set | frozenset) else ()


def holds_lazy(value: Any) -> bool:
    """Whether something in the argument is known only when the task runs."""
    if isinstance(value, Mapping):
        return any(holds_lazy(each) for each in value.values())
    if isinstance(value, list | tuple | set | frozenset):
        return any(holds_lazy(each) for each in value)
    return isinstance(value, Lazy)


def resolve(value: Any, context: Mapping[str, Any]) -> Any:
    """The argument with every result and parameter in it replaced by its value."""
    if isinstance(value, Lazy):
        return value.resolve(context)
    rebuilt = rebuild(value, lambda each: resolve(each, context))
    return value if rebuilt is None else rebuilt


def rebuild(value: Any, change: Callable[[Any], Any]) -> Any:
    """The container with each part changed; None where the value is none.

    Named tuples stay what they are; of other subclasses what they add is lost, as in Airflow.
    """
    if isinstance(value, tuple):
        parts = [change(each) for each in value]
        return tuple(parts) if type(value) is tuple else type(value)(*parts)
    if isinstance(value, list):
        return [change(each) for each in value]
    if isinstance(value, dict):
        return {key: change(each) for key, each in value.items()}
    if isinstance(value, set):
        return {change(each) for each in value}
    return frozenset(change(each) for each in value) if isinstance(value, frozenset) else None


def expression_of(value: Any) -> dict[str, Any]:
    """What the scheduler takes the length of, for something that is expanded over: see `SerializedTask.expand`."""
    return value.expression() if isinstance(value, _Items) else {"length": len(value)}


def _check_whole(source: Any) -> None:
    if not isinstance(source, _Items):
        raise DagError(f"expected the result of a task, found {type(source).__name__} {source!r}")
    if isinstance(source, XComArg) and source.key != RETURN_KEY:
        raise DagError(f"expected what a task returns, found its key {source.key!r}", where=source.operator.where,
                       hint="return the list from a task of its own")  # fmt: skip


def _items(value: Any) -> Sequence[Any]:
    """What a task returned as the items that there are to expand over."""
    if isinstance(value, Mapping):
        return list(value.items())
    if isinstance(value, str | bytes) or not (hasattr(value, "__len__") and hasattr(value, "__getitem__")):
        raise TypeError(f"expected a list or a dict to expand over, found {type(value).__name__}")
    items: Sequence[Any] = value
    return items
