"""What the runner gets for a function that is called in an image without Airdock: its source, and JSON arguments."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from airdock.dag.mapping import ALL_KEYWORDS, MappedOperator
from airdock.dag.operator import BaseOperator
from airdock.dag.portable import extract
from airdock.dag.templates import refuse_templates
from airdock.dag.xcom_arg import DagParam, XComArg
from airdock.errors import DagError

if TYPE_CHECKING:
    from airdock.dag.function import FunctionOperator

__all__ = ["MARK", "make_mapped_payload", "make_payload"]

MARK: Final = "__airdock__"
"""The key that says that a dict in the arguments stands for a value known only when the task runs."""


def make_payload(task: "FunctionOperator", args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The payload of a task that isn't mapped. Raises NotPortableError, and DagError for arguments that aren't JSON."""
    where = f"{task.where} (task {task.task_id!r})"
    return {
        **_function(task.python_callable, task, where),
        **_arguments(args, kwargs, where),
    }


def make_mapped_payload(mapped: MappedOperator) -> dict[str, Any]:
    """The payload of all instances of a mapped task; the runner chooses from `expand` by the map index."""
    where = f"{mapped.where} (task {mapped.task_id!r})"
    arguments = mapped.arguments
    if "python_callable" not in arguments:
        raise DagError("python_callable has to be the same for all instances", where=where,
                       hint="give it to .partial()")  # fmt: skip
    return {
        **_function(arguments["python_callable"], mapped.settings, where),
        **_arguments(arguments.get("op_args") or (), arguments.get("op_kwargs") or {}, where),
        "expand": {name: _to_json(value, _shown(name), where) for name, value in mapped.expanded.items()},
        "expand_into": "function" if mapped.into_function else "operator",
    }


def _function(function: Any, task: BaseOperator, where: str) -> dict[str, Any]:
    taken = extract(
        function, task_id=task.task_id, where=where, only_packages=all(
            value is None for name, value in task.needs.items() if name in ("image", "dockerfile")
        ),
    )  # fmt: skip
    return {"source": taken.source, "function": taken.function, "file": taken.file}


def _arguments(args: Sequence[Any], kwargs: Mapping[str, Any], where: str) -> dict[str, Any]:
    return {
        "args": [_to_json(value, f"argument {index + 1}", where) for index, value in enumerate(args)],
        "kwargs": {name: _to_json(value, f"argument {name!r}", where) for name, value in kwargs.items()},
    }


def _shown(name: str) -> str:
    return "the list of .expand_kwargs()" if name == ALL_KEYWORDS else f"argument {name!r}"


def _to_json(value: Any, path: str, where: str) -> Any:
    """The argument as JSON, with markers for results and parameters; tuples become lists."""
    if isinstance(value, XComArg):
        index = None if value.operator.is_mapped else -1
        return {MARK: "xcom", "task_id": value.operator.task_id, "key": value.key, "map_index": index}
    if isinstance(value, DagParam):
        return {MARK: "param", "name": value.name}
    if isinstance(value, str):
        refuse_templates(value, path, where)
        return value
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and value - value == 0:
        return value
    if isinstance(value, list | tuple):
        return [_to_json(each, f"{path}[{index}]", where) for index, each in enumerate(value)]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _to_json(each, f"{path}[{key!r}]", where) for key, each in value.items()}
    found = repr(value) if isinstance(value, float) else f"a {type(value).__module__}.{type(value).__qualname__}"
    if isinstance(value, dict):
        found = "a dict whose keys aren't all strings"
    raise DagError(
        f"expected {path} to be JSON, because the task runs in an image of its own, found {found}",
        where=where,
        hint="give text, numbers, lists, dicts or the result of another task, and make the object in the function",
    )
