"""Tasks that belong together: `TaskGroup`, `@task_group`, and groups of which there are many instances."""

import re
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from airdock.dag.documented import read_doc
from airdock.dag.edges import Linked
from airdock.dag.names import calling_place, check_id, check_keywords
from airdock.dag.node import Node
from airdock.dag.scope import current_dag, current_group, enter_group, leave_group
from airdock.dag.xcom_arg import MappedArgument, expression_of, find_references
from airdock.errors import DagError

if TYPE_CHECKING:
    from airdock.dag.dag import DAG

__all__ = ["TaskGroup", "TaskGroupFunction", "TaskGroupPartial", "exits_of", "free_id", "prefixed", "task_group"]

ALL_KEYWORDS: Final = "**"
_NUMBER: Final = re.compile(r"__\d+$")


class TaskGroup(Linked):
    """Tasks made inside of `with TaskGroup("name"):` are in it, and their ids begin with its own.

    `expanded` is what a mapped group is expanded over: by keyword, or one list of dicts under `**`.
    """

    def __init__(
        self,
        group_id: str | None = None,
        prefix_group_id: bool = True,
        parent_group: "TaskGroup | None" = None,
        dag: "DAG | None" = None,
        default_args: Mapping[str, Any] | None = None,
        tooltip: str = "",
        doc_md: str | None = None,
        ui_color: str = "CornflowerBlue",
        ui_fgcolor: str = "#000",
        add_suffix_on_collision: bool = False,
        group_display_name: str = "",
        *,
        expanded: Mapping[str, Any] | None = None,
    ) -> None:
        self.where = calling_place()
        check_id(group_id, "group_id", self.where)
        found: DAG | None = dag or (parent_group.dag if parent_group is not None else current_dag())
        if found is None:
            raise DagError(f"task group {group_id!r} belongs to no DAG", where=self.where,
                           hint="make it inside `with DAG(…):`, or give it dag=")  # fmt: skip
        self.dag: DAG = found
        self.parent_group = parent_group if parent_group is not None else current_group(found)
        self.prefix_group_id = prefix_group_id
        self.tooltip, self.group_display_name = tooltip, group_display_name
        self.doc_md = read_doc(doc_md, found.fileloc)
        self.ui_color, self.ui_fgcolor = ui_color, ui_fgcolor
        self.expanded = expanded
        above = self.parent_group.default_args if self.parent_group is not None else {}
        self.default_args: dict[str, Any] = {**above, **(default_args or {})}
        self.children: dict[str, Node | TaskGroup] = {}
        self._name = str(group_id)
        if add_suffix_on_collision:
            self._name = free_id(self._name, self.parent_group, found)
        self.group_id = prefixed(self._name, self.parent_group)
        found.add_group(self)
        if self.parent_group is not None:
            self.parent_group.children[self.group_id] = self
        if expanded is not None and self.mapped_above is not self:
            raise DagError(f"mapped group {self.group_id!r} is in another mapped group", where=self.where,
                           hint="expand one of them over both lists")  # fmt: skip

    @property
    def label(self) -> str:
        """What it is shown as: its display name, else its id without that of its parent."""
        return self.group_display_name or self._name

    @property
    def mapped_above(self) -> "TaskGroup | None":
        """The outermost mapped group that this is, or is in."""
        outer = self.parent_group.mapped_above if self.parent_group is not None else None
        return outer or (self if self.expanded is not None else None)

    @property
    def tasks(self) -> tuple[Node, ...]:
        """All tasks in it and in the groups in it."""
        return tuple(self._walk())

    def _walk(self) -> Iterator[Node]:
        for child in self.children.values():
            if isinstance(child, TaskGroup):
                yield from child._walk()
            else:
                yield child

    def __iter__(self) -> Iterator[Node]:
        return self._walk()

    def child_id(self, label: str) -> str:
        """The whole id of a task or group of that name in it."""
        return prefixed(label, self)

    def get_child_by_label(self, label: str) -> "Node | TaskGroup":
        """The task or group of that name in it; KeyError for none."""
        return self.children[self.child_id(label)]

    @property
    def nodes(self) -> tuple[Node, ...]:
        return self.tasks

    @property
    def entries(self) -> tuple[Node, ...]:
        inside = {task.task_id for task in self.tasks}
        return tuple(task for task in self.tasks if inside.isdisjoint(task.upstream_task_ids))

    @property
    def exits(self) -> tuple[Node, ...]:
        return exits_of(self.tasks)

    def get_roots(self) -> Iterator[Node]:
        """The tasks in it that wait for none in it."""
        return iter(self.entries)

    def get_leaves(self) -> Iterator[Node]:
        """The tasks in it that none in it waits for; teardowns are no leaves."""
        return iter(self.exits)

    def expansion(self) -> dict[str, dict[str, Any]] | None:
        """How many there are of it: see `SerializedTask.expand`."""
        if self.expanded is None:
            return None
        return {name: expression_of(value) for name, value in self.expanded.items()}

    def add_task(self, task: Node) -> None:
        """Take in a task that has its id and DAG."""
        self.children[task.task_id] = task

    def __enter__(self) -> Self:
        enter_group(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        leave_group()
        if self.expanded is not None and error is None:
            for reference in find_references(dict(self.expanded)):
                self.set_upstream(reference.operator)

    def __repr__(self) -> str:
        return f"<TaskGroup: {self.group_id}>"


class TaskGroupFunction:
    """What `@task_group` makes of a function: called, it makes a group of the tasks that the function makes."""

    def __init__(self, function: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
        self.function = function
        self.arguments = {
            "group_id": function.__name__,
            "add_suffix_on_collision": True,
            **arguments,
        }
        self.__name__ = function.__name__
        self.__doc__ = function.__doc__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._make(args, kwargs, None)

    def override(self, **arguments: Any) -> "TaskGroupFunction":
        """The same function with other arguments of the group."""
        _check(arguments)
        return TaskGroupFunction(self.function, {**self.arguments, **arguments})

    def partial(self, **kwargs: Any) -> "TaskGroupPartial":
        """The arguments that all instances of the mapped group share."""
        return TaskGroupPartial(self, kwargs)

    def expand(self, **kwargs: Any) -> Any:
        """One instance for each combination of the lists or dicts given; the last keyword varies fastest."""
        return self.partial().expand(**kwargs)

    def expand_kwargs(self, kwargs: Any) -> Any:
        """One instance for each dict of the list given."""
        return self.partial().expand_kwargs(kwargs)

    def _make(self, args: Any, kwargs: Mapping[str, Any], expanded: Mapping[str, Any] | None) -> Any:
        with TaskGroup(**self.arguments, expanded=expanded) as group:
            group.tooltip = group.tooltip or self.function.__doc__ or ""
            group.doc_md = group.doc_md or self.function.__doc__
            made = self.function(*args, **kwargs)
        return group if made is None else made


class TaskGroupPartial:
    """A `@task_group` function of which some arguments are given."""

    def __init__(self, function: TaskGroupFunction, kwargs: Mapping[str, Any]) -> None:
        self.function = function
        self.kwargs = dict(kwargs)

    def expand(self, **values: Any) -> Any:
        """One instance for each combination of the lists or dicts given; the last keyword varies fastest."""
        where = f"{calling_place()} (task group {self.function.arguments['group_id']!r})"
        if not values:
            raise DagError(".expand() needs at least one keyword to expand over", where=where)
        for name in values:
            if name in self.kwargs:
                raise DagError(f"{name!r} is given both to .partial() and to .expand()", where=where)
        placeholders = {name: MappedArgument(values, name) for name in values}
        return self.function._make((), {**self.kwargs, **placeholders}, values)

    def expand_kwargs(self, kwargs: Any) -> Any:
        """One instance for each dict of the list given."""
        import inspect  # only a file that uses this needs it

        names = [name for name in inspect.signature(self.function.function).parameters if name not in self.kwargs]
        values = {ALL_KEYWORDS: kwargs}
        placeholders = {name: MappedArgument(values, name) for name in names}
        return self.function._make((), {**self.kwargs, **placeholders}, values)


def task_group(group_id: "str | Callable[..., Any] | None" = None, **arguments: Any) -> Any:
    """Make a function the body of a group, whose id is by default the function's name."""
    _check(arguments)
    if callable(group_id):
        return TaskGroupFunction(group_id, arguments)
    if group_id is not None:
        arguments["group_id"] = group_id
    return lambda function: TaskGroupFunction(function, arguments)


def prefixed(label: str, group: TaskGroup | None) -> str:
    """The id of a task or group of that name in a group."""
    return f"{group.group_id}.{label}" if group is not None and group.prefix_group_id else label


def free_id(label: str, group: TaskGroup | None, dag: "DAG") -> str:
    """The name, with a number behind it where its id is taken, as in Airflow."""
    base, number, name = _NUMBER.sub("", label), 0, label
    while dag.has_id(prefixed(name, group)):
        number += 1
        name = f"{base}__{number}"
    return name


def exits_of(tasks: tuple[Node, ...]) -> tuple[Node, ...]:
    """Of these tasks those that what comes after them waits for.

    Nothing waits for a teardown, so what is before one counts as an end; its setup doesn't, unless nothing else is.
    """
    inside = {task.task_id: task for task in tasks}
    ends = []
    for task in tasks:
        after = [inside[each] for each in task.downstream_task_ids if each in inside]
        if task.settings.is_teardown or any(not each.settings.is_teardown for each in after):
            continue
        if not (after and task.settings.is_setup):
            ends.append(task)
    return tuple(ends)


def _check(arguments: Mapping[str, Any]) -> None:
    names = TaskGroup.__init__.__code__.co_varnames[1 : TaskGroup.__init__.__code__.co_argcount]
    check_keywords(arguments, names, "@task_group", calling_place())
