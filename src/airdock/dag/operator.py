"""The base of every kind of task."""

from abc import ABCMeta
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypedDict, Unpack

from airdock.dag.arguments import TASK_DEFAULTS, TaskArguments, check_task_arguments
from airdock.dag.logged import LoggingMixin
from airdock.dag.names import calling_place, check_id, check_keywords
from airdock.dag.node import Node
from airdock.dag.scope import current_dag, current_group
from airdock.dag.xcom_arg import XComArg, find_references
from airdock.errors import DagError

if TYPE_CHECKING:
    from airdock.dag.dag import DAG
    from airdock.dag.mapping import MappedOperator, OperatorPartial
    from airdock.dag.task_group import TaskGroup

__all__ = [
    "NEEDS",
    "BaseOperator",
    "OperatorMeta",
    "Work",
    "accepted_arguments",
    "link_inputs",
    "merge_defaults",
    "named_arguments",
]

NEEDS = ("image", "dockerfile", "requirements", "python", "memory", "cpus")
"""The keywords that say what a task needs. They are kept apart from the attributes, whose names are the subclass's."""

_OF_CLASSES = ("pre_execute", "post_execute", "start_from_trigger", "start_trigger_args")
"""What a class says where a task doesn't."""


class Work(TypedDict, total=False):
    """What there is to run for a task: see `SerializedTask`."""

    mode: str
    argv: tuple[str, ...]
    env: dict[str, str]
    payload: dict[str, Any]


class OperatorMeta(ABCMeta):
    """Fills in `default_args` before a task is made, and finds the tasks whose results it takes afterwards."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        where = calling_place()
        if args:
            raise DagError(f"{cls.__name__} takes keyword arguments only, found {args[0]!r}", where=where)
        group = kwargs.get("task_group")
        if kwargs.get("dag") is None:
            kwargs["dag"] = group.dag if group is not None else current_dag()
        group = kwargs["task_group"] = group if group is not None else current_group(kwargs["dag"])
        defaults = merge_defaults(kwargs["dag"], kwargs.pop("default_args", None), group)
        accepted = accepted_arguments(cls)
        kwargs.update({name: value for name, value in defaults.items() if name in accepted and name not in kwargs})
        task: BaseOperator = super().__call__(**kwargs)
        task.init_arguments = kwargs
        link_inputs(task)
        return task


class BaseOperator(LoggingMixin, Node, metaclass=OperatorMeta):
    """A task. Subclasses say in `execute` what it does, and in `template_fields` which attributes are templates."""

    template_fields: Sequence[str] = ()
    template_ext: Sequence[str] = ()
    template_fields_renderers: ClassVar[dict[str, str]] = {}
    ui_color: str = "#fff"
    ui_fgcolor: str = "#000"
    operator_kind: str = ""
    """What the task is shown as, where that isn't the name of its class."""
    more_arguments: ClassVar[frozenset[str]] = frozenset()
    """Keywords that the constructor takes without naming them."""

    owner: str
    retries: int
    retry_delay: timedelta
    retry_exponential_backoff: float
    max_retry_delay: timedelta | None
    execution_timeout: timedelta | None
    trigger_rule: str
    priority_weight: int
    weight_rule: str
    pool: str
    pool_slots: int
    queue: str
    executor: str | None
    params: Mapping[str, Any]
    do_xcom_push: bool
    inlets: Any
    outlets: Any
    depends_on_past: bool
    wait_for_downstream: bool
    ignore_first_depends_on_past: bool
    wait_for_past_depends_before_skipping: bool
    start_date: Any
    end_date: Any
    multiple_outputs: bool
    max_active_tis_per_dag: int | None
    max_active_tis_per_dagrun: int | None
    doc: str | None
    doc_md: str | None
    is_setup: bool = False
    is_teardown: bool = False
    on_failure_fail_dagrun: bool = False
    start_from_trigger: bool = False
    start_trigger_args: Any = None
    init_arguments: Mapping[str, Any]
    results: Sequence[Any] = ()
    """Of an instance of a mapped task, what it is given of others' results."""

    def __init__(self, *, task_id: str, dag: "DAG | None" = None, **arguments: Unpack[TaskArguments]) -> None:
        self.where = calling_place()
        check_id(task_id, "task_id", self.where)
        check_keywords(arguments, TASK_DEFAULTS, type(self).__name__, f"{self.where} (task {task_id!r})")
        group = arguments.get("task_group")
        self.task_id = task_id if group is None else group.child_id(task_id)
        self._upstream = {}
        self._downstream = {}
        values: dict[str, Any] = {**TASK_DEFAULTS, **arguments}
        check_task_arguments(values, f"{self.where} (task {task_id!r})")
        self.needs = {name: values.pop(name) for name in NEEDS}
        values["params"] = dict(values["params"] or {})
        for name, value in values.items():
            if name not in _OF_CLASSES or value:
                setattr(self, name, value)
        self.task_display_name = self.task_display_name or self.task_id
        if dag is not None:
            dag.add_task(self)

    @property
    def settings(self) -> "BaseOperator":
        return self

    @property
    def output(self) -> XComArg:
        """What the task will return."""
        return XComArg(self)

    @property
    def task_type(self) -> str:
        return type(self).__name__

    @property
    def runs_on_host(self) -> bool:
        """Whether the task names no image, Dockerfile, requirements or Python of its own."""
        return all(self.needs[name] is None for name in ("image", "dockerfile", "requirements", "python"))

    @classmethod
    def partial(cls, *, task_id: str, **arguments: Any) -> "OperatorPartial":
        """The arguments that all instances of a mapped task share; `.expand` gives those that differ."""
        from airdock.dag.mapping import OperatorPartial  # mapping is over operators, so it can't come first

        return OperatorPartial(cls, {"task_id": task_id, **arguments}, calling_place())

    def inputs(self) -> Mapping[str, Any]:
        return {name: getattr(self, name, None) for name in self.template_fields}

    def pre_execute(self, context: Any) -> None:
        """Called right before `execute`."""

    def post_execute(self, context: Any, result: Any = None) -> None:
        """Called right after `execute`, with what it returned."""

    def execute(self, context: Any) -> Any:
        """Do the task's work; what it returns is its XCom."""
        raise NotImplementedError(f"{type(self).__name__} has no execute()")

    def defer(
        self,
        *,
        trigger: Any,
        method_name: str,
        kwargs: Mapping[str, Any] | None = None,
        timeout: timedelta | float | None = None,
    ) -> NoReturn:
        """Wait for the trigger without a container; then `method_name(context, event=…, **kwargs)` is called."""
        from airdock.dag.exceptions import TaskDeferred

        raise TaskDeferred(trigger=trigger, method_name=method_name, kwargs=kwargs, timeout=timeout)

    def on_kill(self) -> None:
        """Clean up what the process won't take with it when the task is stopped from outside."""

    def render_template_fields(self, context: Mapping[str, Any], jinja_env: Any = None) -> None:
        """Replace results of other tasks, parameters and templates in `template_fields` by their values."""
        from airdock.dag.templates import Templates  # only a task that runs needs it

        for name in self.template_fields:
            if not hasattr(self, name):
                raise AttributeError(
                    f"{name!r} is among the template_fields of {self.task_type}, which has no such attribute"
                )
        Templates.of(self, context, jinja_env).render_fields(self, self.template_fields)

    def render_template(self, content: Any, context: Mapping[str, Any], jinja_env: Any = None) -> Any:
        """The value with results of other tasks and templates in it replaced, as in this task's own fields."""
        from airdock.dag.templates import Templates  # only a task that runs needs it

        return Templates.of(self, context, jinja_env).render(content)

    def work(self) -> Work:
        """What there is to run. Where a task isn't a plain function, it runs on the host image, beside Airdock."""
        if not self.runs_on_host:
            self.refuse_needs()
        return Work(mode="sdk", payload={})

    @property
    def is_plain(self) -> bool:
        """Whether `execute` is Airdock's own, so that the task can also run where Airdock isn't."""
        return type(self).execute.__module__.partition(".")[0] == "airdock"

    def refuse_needs(self) -> NoReturn:
        """DagError: this kind of task has to run beside Airdock."""
        raise DagError(
            f"task {self.task_id!r}: a {self.task_type} runs beside Airdock on the host image, "
            "and can't have an image, Dockerfile, requirements or Python of its own",
            where=self.where,
            hint="@task, PythonOperator, BashOperator and ContainerOperator can",
        )

    @classmethod
    def mapped_needs(cls, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """What the class's own arguments mean as `NEEDS`."""
        return {}

    @classmethod
    def without_effect(cls, arguments: Mapping[str, Any]) -> list[str]:
        """Those of the class's own arguments that nothing acts on."""
        return []

    @classmethod
    def mapped_work(cls, mapped: "MappedOperator") -> Work:
        """What there is to run for the instances of a mapped task of this class."""
        if not mapped.settings.runs_on_host:
            raise DagError(
                f"task {mapped.task_id!r}: a mapped {cls.__name__} can't have an image, Dockerfile, requirements "
                "or Python of its own yet",
                where=mapped.where,
                hint="map a @task function, which can",
            )
        return Work(mode="sdk", payload={})


def merge_defaults(
    dag: "DAG | None", own: Mapping[str, Any] | None, group: "TaskGroup | None" = None
) -> dict[str, Any]:
    """The `default_args` that hold for a task: the DAG's, under its group's, under its own."""
    above = group.default_args if group is not None else {}
    return {**(dag.default_args if dag is not None else {}), **above, **(own or {})}


def accepted_arguments(kind: type) -> set[str]:
    """Every keyword that the constructors of this class and its bases take."""
    more: frozenset[str] = getattr(kind, "more_arguments", frozenset())
    return {*TASK_DEFAULTS, *more, *(name for base in kind.__mro__ for name in named_arguments(base))}


def link_inputs(task: Node) -> None:
    """Let the task wait for the tasks whose results are among its arguments."""
    for value in task.inputs().values():
        for reference in find_references(value):
            if reference.operator is task:
                raise DagError(f"task {task.task_id!r} takes its own result as an argument", where=task.where)
            if task.has_dag() or reference.operator.has_dag():
                task.add_upstream(reference.operator)


def named_arguments(kind: type) -> set[str]:
    """The keywords that the constructor of this class itself names."""
    code = getattr(kind.__dict__.get("__init__"), "__code__", None)
    return set(code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]) if code else set()
