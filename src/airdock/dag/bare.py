"""What the runner gets for a function that is called in an image without Airdock: its source, and JSON arguments."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from airdock.dag.mapping import ALL_KEYWORDS, MappedOperator
from airdock.dag.node import Node
from airdock.dag.operator import BaseOperator
from airdock.dag.portable import extract
from airdock.dag.templates import Literal
from airdock.dag.xcom_arg import Concatenated, DagParam, Lazy, Mapped, MappedArgument, XComArg, Zipped
from airdock.errors import DagError, NotPortableError

if TYPE_CHECKING:
    from airdock.dag.function import FunctionOperator

__all__ = ["MARK", "make_mapped_payload", "make_payload"]

MARK: Final = "__airdock__"
"""The key that says that a dict in the arguments stands for a value known only when the task runs."""
_EXPANDABLE: Final = frozenset({"op_args", "op_kwargs", ALL_KEYWORDS})


def make_payload(task: "FunctionOperator", args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The payload of a task that isn't mapped. Raises NotPortableError, and DagError for arguments that aren't JSON."""
    where = f"{task.where} (task {task.task_id!r})"
    taker = _Taker(task, where)
    made = {**_function(task.python_callable, task, where), **_arguments(args, kwargs, taker), **_after(task, where)}
    if task.templates_dict is not None:
        made["templates_dict"] = taker.to_json(task.templates_dict, "templates_dict")
    return made


def make_mapped_payload(mapped: MappedOperator) -> dict[str, Any]:
    """The payload of all instances of a mapped task; the runner chooses from `expand` by the map index."""
    where = f"{mapped.where} (task {mapped.task_id!r})"
    arguments, taker = mapped.arguments, _Taker(mapped, where)
    if "python_callable" not in arguments:
        raise DagError("python_callable has to be the same for all instances", where=where,
                       hint="give it to .partial()")  # fmt: skip
    unknown = [] if mapped.into_function else sorted(set(mapped.expanded) - _EXPANDABLE)
    if unknown:
        raise DagError(f"expected a task in an image of its own to be mapped over op_args or op_kwargs, "
                       f"found {', '.join(unknown)}", where=where, hint="give it to .partial()")  # fmt: skip
    return {
        **_function(arguments["python_callable"], mapped.settings, where),
        **_arguments(arguments.get("op_args") or (), arguments.get("op_kwargs") or {}, taker),
        **_after(mapped.settings, where),
        "expand": {name: taker.to_json(value, _shown(name)) for name, value in mapped.expanded.items()},
        "expand_into": "function" if mapped.into_function else "operator",
    }


def _function(function: Any, task: BaseOperator, where: str) -> dict[str, Any]:
    taken = extract(
        function, task_id=task.task_id, where=where, only_packages=all(
            value is None for name, value in task.needs.items() if name in ("image", "dockerfile")
        ),
    )  # fmt: skip
    return {"source": taken.source, "function": taken.function, "file": taken.file}


def _after(task: BaseOperator, where: str) -> dict[str, Any]:
    """The task's `post_execute`, where it is a function that can travel too; whoever loads the file tells else."""
    function = vars(task).get("post_execute")
    try:
        return {} if function is None else {"post_execute": _function(function, task, where)}
    except NotPortableError:
        return {}


def _arguments(args: Sequence[Any], kwargs: Mapping[str, Any], taker: "_Taker") -> dict[str, Any]:
    return {
        "args": [taker.to_json(value, f"argument {index + 1}") for index, value in enumerate(args)],
        "kwargs": {name: taker.to_json(value, f"argument {name!r}") for name, value in kwargs.items()},
    }


def _shown(name: str) -> str:
    return "the list of .expand_kwargs()" if name == ALL_KEYWORDS else f"argument {name!r}"


class _Taker:
    """Writes the arguments of one task as JSON, with markers for what is known only when it runs."""

    def __init__(self, task: Node, where: str) -> None:
        self._task, self._where = task, where

    def to_json(self, value: Any, path: str) -> Any:
        """The argument; tuples become lists. `path` is what it is called in an error."""
        if isinstance(value, Lazy):
            return self._marker(value, path)
        if isinstance(value, Literal):
            return self.to_json(value.value, path)
        if value is None or isinstance(value, bool | int | str):
            return value
        if isinstance(value, float) and value - value == 0:
            return value
        if isinstance(value, list | tuple):
            return [self.to_json(each, f"{path}[{index}]") for index, each in enumerate(value)]
        if isinstance(value, dict) and all(isinstance(key, str) for key in value):
            return {key: self.to_json(each, f"{path}[{key!r}]") for key, each in value.items()}
        found = repr(value) if isinstance(value, float) else f"a {type(value).__module__}.{type(value).__qualname__}"
        if isinstance(value, dict):
            found = "a dict whose keys aren't all strings"
        raise DagError(
            f"expected {path} to be JSON, because the task runs in an image of its own, found {found}",
            where=self._where,
            hint="give text, numbers, lists, dicts or the result of another task, and make the object in the function",
        )

    def _marker(self, value: Lazy, path: str) -> dict[str, Any]:
        match value:
            case XComArg(operator=operator, key=key):
                index: int | str | None = None if operator.is_mapped else -1
                if operator.map_group:
                    index = "own" if operator.map_group == self._task.map_group else None
                return {MARK: "xcom", "task_id": operator.task_id, "key": key, "map_index": index}
            case DagParam(name=name):
                return {MARK: "param", "name": name}
            case MappedArgument(expanded=expanded, name=name):
                given = {each: self.to_json(part, _shown(each)) for each, part in expanded.items()}
                return {MARK: "choice", "expand": given, "name": name}
            case Zipped(sources=sources):
                fill = self.to_json(value.fillvalue, "fillvalue") if value.is_longest else None
                of = [self.to_json(each, path) for each in sources]
                return {MARK: "zip", "of": of, "longest": value.is_longest, "fill": fill}
            case Concatenated(sources=sources):
                return {MARK: "concat", "of": [self.to_json(each, path) for each in sources]}
            case Mapped(source=source, function=function):
                taken = _function(function, self._task.settings, self._where)
                return {MARK: "map", "of": self.to_json(source, path), **taken}
        raise DagError(f"expected {path} to be known here, found {value!r}", where=self._where)
