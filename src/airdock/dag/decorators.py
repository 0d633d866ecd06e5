"""`@task`: a function whose call inside of a DAG makes a task."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final, Unpack, overload

from airdock.dag.arguments import TASK_DEFAULTS, TaskArguments
from airdock.dag.context import is_running
from airdock.dag.documented import first_doc
from airdock.dag.function import FunctionOperator, infers_multiple_outputs
from airdock.dag.mapping import OperatorPartial
from airdock.dag.names import calling_place, check_keywords, nearest
from airdock.dag.node import Node
from airdock.dag.operator import BaseOperator, accepted_arguments, merge_defaults
from airdock.dag.scope import current_dag, current_group
from airdock.dag.task_group import free_id
from airdock.dag.xcom_arg import XComArg
from airdock.errors import DagError

__all__ = [
    "DecoratedOperator",
    "DecoratorArguments",
    "PartialFunction",
    "TaskDecorator",
    "TaskFunction",
    "setup",
    "task",
    "teardown",
]


class DecoratedOperator(FunctionOperator):
    """The task that calling a `@task` function makes."""

    operator_kind = "@task"


_KINDS: Final = "airdock.operators.decorators"
"""The kinds of task behind `@task.branch` and its like. The layer above this folder, so it is plugged in by name."""


class TaskFunction:
    """A function under `@task`. Calling it gives a result that other tasks take; within a running task it just runs.

    `kind` is the operator that a call makes.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        arguments: Mapping[str, Any],
        where: str,
        kind: type[BaseOperator] = DecoratedOperator,
    ) -> None:
        if not callable(function) or isinstance(function, type):
            raise DagError(f"expected a function below @task, found {type(function).__name__}", where=where)
        self.function = function
        self.where = where
        self.kind = kind
        self.role = ""
        self.on_failure_fail_dagrun = False
        self.arguments = {"task_id": getattr(function, "__name__", "task"), **arguments}
        if self.arguments.get("multiple_outputs") is None:
            self.arguments["multiple_outputs"] = infers_multiple_outputs(function)
        for name in ("__name__", "__qualname__", "__module__", "__doc__", "__wrapped__"):
            setattr(self, name, getattr(function, name, function if name == "__wrapped__" else ""))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if is_running():
            return self.function(*args, **kwargs)
        return XComArg(self.mark(self._make({"op_args": args, "op_kwargs": kwargs})))

    def mark(self, task: Node) -> Any:
        """Make the task a setup or teardown, where this is a function for one."""
        if self.role == "setup":
            task.as_setup()
        if self.role == "teardown":
            task.as_teardown(on_failure_fail_dagrun=self.on_failure_fail_dagrun)
        return task

    def override(self, **arguments: Any) -> "TaskFunction":
        """The same function with other task arguments."""
        where = calling_place()
        _check(arguments, where, self.kind)
        made = TaskFunction(self.function, {**self.arguments, **arguments}, where, self.kind)
        made.role, made.on_failure_fail_dagrun = self.role, self.on_failure_fail_dagrun
        return made

    def partial(self, **kwargs: Any) -> "PartialFunction":
        """The arguments that all instances of the mapped task share."""
        return PartialFunction(self, kwargs)

    def expand(self, **kwargs: Any) -> XComArg:
        """One instance for each combination of the lists or dicts given; the last keyword varies fastest."""
        return self.partial().expand(**kwargs)

    def expand_kwargs(self, kwargs: Any) -> XComArg:
        """One instance for each dict of the list given."""
        return self.partial().expand_kwargs(kwargs)

    def _make(self, inputs: Mapping[str, Any]) -> BaseOperator:
        kind: Any = self.kind
        made: BaseOperator = kind(python_callable=self.function, **inputs, **self.task_arguments())
        return made

    def task_arguments(self) -> dict[str, Any]:
        """The task's own arguments; an id that is taken gets a number, as in Airflow."""
        dag = self.arguments.get("dag") or current_dag()
        if dag is None:
            raise DagError(
                f"@task function {self.function.__name__!r} was called outside of a DAG",
                where=calling_place(),
                hint="call it inside of `with DAG(…):` or of a @dag function",
            )
        group = self.arguments.get("task_group") or current_group(dag)
        given = {**merge_defaults(dag, self.arguments.get("default_args"), group), **self.arguments}
        docs = {} if first_doc(given) else {"doc_md": self.function.__doc__}
        return {**self.arguments, **docs, "task_id": free_id(self.arguments["task_id"], group, dag)}


class PartialFunction:
    """A `@task` function of which some arguments are given."""

    def __init__(self, function: TaskFunction, kwargs: Mapping[str, Any]) -> None:
        self.function = function
        self.kwargs = dict(kwargs)

    def expand(self, **kwargs: Any) -> XComArg:
        """One instance for each combination of the lists or dicts given; the last keyword varies fastest."""
        return XComArg(self.function.mark(self._partial().map_function(kwargs)))

    def expand_kwargs(self, kwargs: Any) -> XComArg:
        """One instance for each dict of the list given."""
        return XComArg(self.function.mark(self._partial().map_function_kwargs(kwargs)))

    def _partial(self) -> OperatorPartial:
        arguments = {**self.function.task_arguments(), "python_callable": self.function.function}
        return OperatorPartial(self.function.kind, {**arguments, "op_kwargs": self.kwargs}, calling_place())


class DecoratorArguments(TaskArguments, total=False):
    """What `@task` takes."""

    task_id: str
    dag: Any
    default_args: Mapping[str, Any]
    templates_dict: dict[str, Any] | None
    show_return_value_in_logs: bool


class TaskDecorator:
    """`@task`, `@task(…)`, `@task.python`, and `@task.branch` and its like, which make tasks of another kind."""

    def __init__(self, kind: type[BaseOperator] = DecoratedOperator) -> None:
        self._kind = kind

    @overload
    def __call__(self, function: Callable[..., Any], /) -> TaskFunction: ...
    @overload
    def __call__(self, **arguments: Unpack[DecoratorArguments]) -> Callable[[Callable[..., Any]], TaskFunction]: ...

    def __call__(self, *functions: Any, **arguments: Any) -> Any:
        function = functions[0] if functions else None
        where = calling_place()
        _check(arguments, where, self._kind)
        if function is None:
            return lambda each: TaskFunction(each, arguments, where, self._kind)
        return TaskFunction(function, arguments, where, self._kind)

    @property
    def python(self) -> "TaskDecorator":
        """The same under Airflow's longer name."""
        return self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        kinds = import_module(_KINDS)
        found = kinds.decorator(name)
        if found is None:
            raise AttributeError(f"Airdock has no @task.{name}. {nearest(name, kinds.NAMES)}".rstrip())
        return TaskDecorator(found) if isinstance(found, type) else found


def _check(arguments: Mapping[str, Any], where: str, kind: type[BaseOperator]) -> None:
    known = {*TASK_DEFAULTS, *DecoratorArguments.__annotations__, *accepted_arguments(kind)}
    check_keywords(arguments, known, kind.operator_kind or "@task", where)


task = TaskDecorator()


def setup(function: Callable[..., Any]) -> TaskFunction:
    """A function whose call makes a setup; also above `@task`."""
    made = function if isinstance(function, TaskFunction) else task(function)
    made.role = "setup"
    return made


def teardown(function: Callable[..., Any] | None = None, *, on_failure_fail_dagrun: bool = False) -> Any:
    """A function whose call makes a teardown; also above `@task`."""
    if function is None:
        return lambda each: teardown(each, on_failure_fail_dagrun=on_failure_fail_dagrun)
    made = function if isinstance(function, TaskFunction) else task(function)
    made.role, made.on_failure_fail_dagrun = "teardown", on_failure_fail_dagrun
    return made
