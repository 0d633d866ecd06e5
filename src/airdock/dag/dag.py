"""The DAG as it is written, and `@dag`."""

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypedDict, Unpack

from airdock.dag.documented import read_doc
from airdock.dag.names import calling_place, check_id, check_keywords
from airdock.dag.node import Node
from airdock.dag.param import Param, schemas_of, values_of
from airdock.dag.scope import collected, enter_dag, leave_dag
from airdock.dag.xcom_arg import DagParam
from airdock.errors import DagError, DuplicateTaskError

if TYPE_CHECKING:
    from airdock.dag.task_group import TaskGroup

__all__ = ["DAG", "DAG_DEFAULTS", "DagArguments", "DagFunction", "dag"]


class DagArguments(TypedDict, total=False):
    """Airflow's keywords of a DAG."""

    description: str | None
    schedule: Any
    start_date: Any
    end_date: Any
    default_args: Mapping[str, Any] | None
    params: Mapping[str, Any] | None
    max_active_tasks: int
    max_active_runs: int
    max_consecutive_failed_dag_runs: int
    dagrun_timeout: Any
    deadline: Any
    sla_miss_callback: Any
    catchup: bool
    on_success_callback: Any
    on_failure_callback: Any
    doc_md: str | None
    access_control: Any
    is_paused_upon_creation: bool | None
    template_searchpath: Any
    template_undefined: Any
    user_defined_macros: Mapping[str, Any] | None
    user_defined_filters: Mapping[str, Any] | None
    jinja_environment_kwargs: Mapping[str, Any] | None
    render_template_as_native_obj: bool
    tags: Any
    owner_links: Mapping[str, str] | None
    auto_register: bool
    fail_fast: bool
    dag_display_name: str | None
    task_group: Any
    disable_bundle_versioning: bool
    rerun_with_latest_version: bool | None
    allowed_run_types: Any


_GIVEN: Final[dict[str, Any]] = {
    "max_active_tasks": 16,
    "max_active_runs": 16,
    "max_consecutive_failed_dag_runs": 0,
    "catchup": False,
    "render_template_as_native_obj": False,
    "auto_register": True,
    "fail_fast": False,
    "disable_bundle_versioning": False,
}

DAG_DEFAULTS: Final[Mapping[str, Any]] = {name: _GIVEN.get(name) for name in DagArguments.__annotations__}
"""Every keyword with the value it has where a DAG says nothing."""


class DAG:
    """Tasks and their order. Tasks made inside of `with DAG(…):` are its tasks."""

    schedule: Any
    start_date: Any
    end_date: Any
    catchup: bool
    max_active_tasks: int
    max_active_runs: int
    max_consecutive_failed_dag_runs: int
    dagrun_timeout: Any
    deadline: Any
    is_paused_upon_creation: bool | None
    dag_display_name: str
    fail_fast: bool
    auto_register: bool
    description: str | None
    template_searchpath: Any
    template_undefined: Any
    user_defined_macros: Mapping[str, Any] | None
    user_defined_filters: Mapping[str, Any] | None
    jinja_environment_kwargs: Mapping[str, Any] | None
    render_template_as_native_obj: bool
    tags: Any

    def __init__(self, dag_id: str, **arguments: Unpack[DagArguments]) -> None:
        self.where = calling_place()
        check_id(dag_id, "dag_id", self.where)
        check_keywords(arguments, DAG_DEFAULTS, "DAG", f"{self.where} (DAG {dag_id!r})")
        self.dag_id = dag_id
        self.fileloc = self.where.rpartition(":")[0]
        self.task_dict: dict[str, Node] = {}
        self.groups: dict[str, TaskGroup] = {}
        self.edge_labels: dict[tuple[str, str], str] = {}
        for name, value in {**DAG_DEFAULTS, **arguments}.items():
            setattr(self, name, _GIVEN[name] if value is None and name in _GIVEN else value)
        self.dag_display_name = self.dag_display_name or dag_id
        self.default_args: dict[str, Any] = dict(arguments.get("default_args") or {})
        params = {**(self.default_args.pop("params", None) or {}), **(arguments.get("params") or {})}
        self.params: dict[str, Any] = values_of(params)
        self.param_schemas = schemas_of(params)

    @property
    def doc_md(self) -> str | None:
        """What it says of itself; where a file is named that ends in .md, what that holds."""
        return self._doc_md

    @doc_md.setter
    def doc_md(self, text: str | None) -> None:
        self._doc_md = read_doc(text, self.fileloc)

    def add_task(self, task: Node) -> None:
        """Take the task in; DuplicateTaskError if its id is taken."""
        known = self.task_dict.get(task.task_id)
        if known is not None and known is not task:
            raise DuplicateTaskError(
                f"task id {task.task_id!r} is used twice in DAG {self.dag_id!r}",
                where=task.where,
                hint=f"the first is at {known.where}; give one of them another task_id",
            )
        self._refuse_group(task.task_id, task.where)
        self.task_dict[task.task_id] = task
        if task._dag is None:
            task._dag = self
            if task.task_group is not None:
                task.task_group.add_task(task)
            collected(task)

    def add_group(self, group: "TaskGroup") -> None:
        """Take the group in; DuplicateTaskError if its id is that of another group or task."""
        self._refuse_group(group.group_id, group.where)
        if group.group_id in self.task_dict:
            raise DuplicateTaskError(
                f"group id {group.group_id!r} is the id of a task in DAG {self.dag_id!r}",
                where=group.where,
                hint=f"the task is at {self.task_dict[group.group_id].where}; give one of them another id",
            )
        self.groups[group.group_id] = group

    def _refuse_group(self, name: str, where: str) -> None:
        if name in self.groups:
            raise DuplicateTaskError(
                f"id {name!r} is used twice in DAG {self.dag_id!r}",
                where=where,
                hint=f"the group of that id is at {self.groups[name].where}; give one of them another id",
            )

    def has_id(self, name: str) -> bool:
        """Whether a task or a group has this id."""
        return name in self.task_dict or name in self.groups

    @property
    def task_group_dict(self) -> "dict[str, TaskGroup]":
        """The groups by their ids."""
        return dict(self.groups)

    @property
    def tasks(self) -> list[Node]:
        """The tasks in the order in which they were written."""
        return list(self.task_dict.values())

    @property
    def task_ids(self) -> list[str]:
        return list(self.task_dict)

    @property
    def roots(self) -> list[Node]:
        """The tasks that wait for none."""
        return [task for task in self.tasks if not task.upstream_task_ids]

    @property
    def leaves(self) -> list[Node]:
        """The tasks that none waits for."""
        return [task for task in self.tasks if not task.downstream_task_ids]

    def get_task(self, task_id: str) -> Node:
        """The task with this id; DagError if there is none."""
        if task_id not in self.task_dict:
            raise DagError(f"DAG {self.dag_id!r} has no task {task_id!r}", where=self.where)
        return self.task_dict[task_id]

    def has_task(self, task_id: str) -> bool:
        return task_id in self.task_dict

    def param(self, name: str, default: Any = None) -> DagParam:
        """The parameter as an argument of tasks; its value is known when a run is there."""
        if isinstance(default, Param):
            self.param_schemas.update(schemas_of({name: default}))
            default = default.value
        self.params.setdefault(name, default)
        return DagParam(name)

    def __enter__(self) -> Self:
        enter_dag(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        leave_dag()

    def __repr__(self) -> str:
        return f"<DAG: {self.dag_id}>"


class DagFunction:
    """What `@dag` makes of a function: called, it gives the DAG whose tasks the function makes."""

    def __init__(self, function: Callable[..., Any], dag_id: str, arguments: DagArguments) -> None:
        self.function = function
        self.dag_id = dag_id
        self.arguments = arguments
        self.where = calling_place()
        self.called = False
        self.__name__ = function.__name__
        self.__doc__ = function.__doc__

    def __call__(self, *args: Any, **kwargs: Any) -> DAG:
        import inspect  # costs more than the rest of the module; a file without @dag needn't pay

        self.called = True
        bound = inspect.signature(self.function).bind_partial(*args, **kwargs)
        made = DAG(self.dag_id, **_documented(self.function, self.arguments))
        made.where, made.fileloc = self.where, self.where.rpartition(":")[0]
        parameters = inspect.signature(self.function).parameters
        with made:
            defaults = {
                name: Param() if each.default is each.empty else each.default for name, each in parameters.items()
            }
            self.function(**{name: made.param(name, each) for name, each in {**defaults, **bound.arguments}.items()})
        return made


def dag(dag_id: str | Callable[..., Any] = "", **arguments: Unpack[DagArguments]) -> Any:
    """Make a function the body of a DAG, whose id is by default the function's name. Its arguments are parameters."""
    if callable(dag_id):
        return DagFunction(dag_id, dag_id.__name__, arguments)
    return lambda function: DagFunction(function, dag_id or function.__name__, arguments)


def _documented(function: Callable[..., Any], arguments: DagArguments) -> DagArguments:
    made = arguments.copy()
    made["doc_md"] = arguments.get("doc_md") or function.__doc__
    return made
