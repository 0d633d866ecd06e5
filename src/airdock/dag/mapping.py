"""One task written, many run: `.partial(…)` gives what the instances share, `.expand(…)` what differs."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from airdock.dag.arguments import TASK_DEFAULTS
from airdock.dag.names import check_id, check_keywords
from airdock.dag.node import Node
from airdock.dag.operator import (
    NEEDS,
    BaseOperator,
    Work,
    accepted_arguments,
    link_inputs,
    merge_defaults,
    named_arguments,
)
from airdock.dag.scope import current_dag, current_group
from airdock.dag.xcom_arg import RETURN_KEY, Concatenated, Lazy, Mapped, XComArg, Zipped, expression_of, resolve
from airdock.errors import DagError

if TYPE_CHECKING:
    from airdock.dag.task_group import TaskGroup

__all__ = ["ALL_KEYWORDS", "MappedOperator", "OperatorPartial", "own_arguments"]

ALL_KEYWORDS: Final = "**"
"""Stands for the keyword in `expand_kwargs`, whose dicts name the keywords themselves."""


class OperatorPartial:
    """What the instances of a mapped task share, until `.expand` says what differs."""

    def __init__(self, kind: type[BaseOperator], arguments: dict[str, Any], where: str) -> None:
        self.kind = kind
        self.where = where
        task_id = arguments.get("task_id")
        check_id(task_id, "task_id", where)
        self.label = f"{where} (task {task_id!r})"
        accepted = {*accepted_arguments(kind), "default_args", "task_id", "dag"}
        check_keywords(arguments, accepted, f"{kind.__name__}.partial()", self.label)
        self.arguments = arguments

    def expand(self, **values: Any) -> "MappedOperator":
        """One instance for each combination of the lists or dicts given; the last keyword varies fastest."""
        if not values:
            raise DagError(".expand() needs at least one keyword to expand over", where=self.label)
        check_keywords(values, accepted_arguments(self.kind), f"{self.kind.__name__}.expand()", self.label)
        for name in values:
            if name in self.arguments:
                raise DagError(f"{name!r} is given both to .partial() and to .expand()", where=self.label)
            if name in NEEDS or (name in TASK_DEFAULTS and name not in own_arguments(self.kind)):
                raise DagError(f"{name!r} is the same for all instances of a task", where=self.label,
                               hint="give it to .partial()")  # fmt: skip
        return self._map(values, into_function=False)

    def expand_kwargs(self, kwargs: Any) -> "MappedOperator":
        """One instance for each dict of the list given."""
        return self._map({ALL_KEYWORDS: kwargs}, into_function=False)

    def map_function(self, values: Mapping[str, Any]) -> "MappedOperator":
        """As `expand`, over the arguments of a task that is a function."""
        if not values:
            raise DagError(".expand() needs at least one keyword to expand over", where=self.label)
        for name in values:
            if name in self.arguments["op_kwargs"]:
                raise DagError(f"{name!r} is given both to .partial() and to .expand()", where=self.label)
        return self._map(values, into_function=True)

    def map_function_kwargs(self, kwargs: Any) -> "MappedOperator":
        """As `expand_kwargs`, over the arguments of a task that is a function."""
        return self._map({ALL_KEYWORDS: kwargs}, into_function=True)

    def _map(self, values: Mapping[str, Any], *, into_function: bool) -> "MappedOperator":
        for name, value in values.items():
            _check_expandable(name, value, self.label)
        return MappedOperator(self, values, into_function=into_function)


class MappedOperator(Node):
    """A task of which there are as many instances as combinations of `expanded`."""

    is_mapped = True

    def __init__(self, partial: OperatorPartial, expanded: Mapping[str, Any], *, into_function: bool) -> None:
        self.kind = partial.kind
        self.expanded = dict(expanded)
        self.into_function = into_function
        self.where = partial.where
        self._upstream, self._downstream = {}, {}
        group: TaskGroup | None = partial.arguments.get("task_group")
        dag = partial.arguments.get("dag") or (group.dag if group is not None else current_dag())
        group = self.task_group = group if group is not None else current_group(dag)
        own = ("dag", "default_args", "task_group")
        given = {name: value for name, value in partial.arguments.items() if name not in own}
        accepted = accepted_arguments(self.kind)
        defaults = merge_defaults(dag, partial.arguments.get("default_args"), group)
        taken = {name: value for name, value in defaults.items() if name in accepted and name not in expanded}
        self.arguments: dict[str, Any] = {**taken, **given}
        if group is not None:
            self.arguments["task_id"] = group.child_id(self.arguments["task_id"])
        self.task_id = self.arguments["task_id"]
        if self.map_group:
            raise DagError(f"task {self.task_id!r} is mapped, and in a mapped group", where=self.where,
                           hint="give the group a list for each of its instances, and loop in the task")  # fmt: skip
        self._settings = self._make_settings()
        self.task_display_name = self._settings.task_display_name
        if dag is not None:
            dag.add_task(self)
        link_inputs(self)

    @property
    def settings(self) -> BaseOperator:
        return self._settings

    @property
    def output(self) -> XComArg:
        """What the instances will return, as a list."""
        return XComArg(self)

    def inputs(self) -> Mapping[str, Any]:
        return {**self.arguments, "expanded": self.expanded}

    def expansion(self) -> dict[str, dict[str, Any]]:
        """For each keyword how many values it has, or whose result says so: see `SerializedTask.expand`."""
        return {name: expression_of(value) for name, value in self.expanded.items()}

    def work(self) -> Work:
        """What there is to run for each instance; the runner picks the values by the map index."""
        return self.kind.mapped_work(self)

    def expanded_values(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """The values to choose from, in the run that is going on."""
        return {name: resolve(value, context) for name, value in self.expanded.items()}

    def unmap(self, chosen: Mapping[str, Any]) -> BaseOperator:
        """The task of one instance, given the values chosen for it."""
        values = dict(chosen)
        values.update(values.pop(ALL_KEYWORDS, {}))
        arguments = dict(self.arguments)
        if self.into_function:
            arguments["op_kwargs"] = {**arguments.get("op_kwargs", {}), **values}
        else:
            arguments.update(values)
        task: BaseOperator = type.__call__(self.kind, **arguments)  # its inputs are linked already, in this node
        task.init_arguments = arguments
        task.results = self._results(chosen)
        task._dag, task._upstream, task._downstream = self._dag, self._upstream, self._downstream
        task.task_group = self.task_group
        for name in ("is_setup", "is_teardown", "on_failure_fail_dagrun"):
            setattr(task, name, getattr(self.settings, name))
        return task

    def _results(self, chosen: Mapping[str, Any]) -> list[Any]:
        """Those of the values chosen that other tasks made, which aren't templates."""
        found = [value for name, value in chosen.items() if name != ALL_KEYWORDS and _is_lazy(self.expanded, name)]
        whole = chosen.get(ALL_KEYWORDS, {}) if _is_lazy(self.expanded, ALL_KEYWORDS) else {}
        return [*found, *whole.values()]

    def _make_settings(self) -> BaseOperator:
        names = {name for name in TASK_DEFAULTS if name not in own_arguments(self.kind)} | {"task_id"}
        arguments = {name: value for name, value in self.arguments.items() if name in names}
        arguments.update(self.kind.mapped_needs(self.arguments))
        settings: BaseOperator = type.__call__(BaseOperator, **arguments)  # not a task of the DAG by itself
        settings.where = self.where
        return settings


def own_arguments(kind: type[BaseOperator]) -> set[str]:
    """The keywords that the class itself names, which then don't mean what they mean to every task."""
    return {
        name
        for base in kind.__mro__
        if issubclass(base, BaseOperator) and base is not BaseOperator
        for name in named_arguments(base)
    }


def _is_lazy(expanded: Mapping[str, Any], name: str) -> bool:
    return isinstance(expanded.get(name), Lazy)


def _check_expandable(name: str, value: Any, where: str) -> None:
    if isinstance(value, XComArg):
        if value.key != RETURN_KEY:
            raise DagError(f"expected {name!r} to expand over what a task returns, found its key {value.key!r}",
                           where=where, hint="expand over the result of a task that returns the list")  # fmt: skip
        return
    if not isinstance(value, list | tuple | dict | Mapped | Zipped | Concatenated):
        raise DagError(
            f"expected {name!r} to be a list, a dict or the result of a task to expand over, "
            f"found {type(value).__name__}",
            where=where,
            hint="what is the same for all instances goes to .partial()",
        )
