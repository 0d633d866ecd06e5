"""A task as part of a DAG, mapped or not."""

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from airdock.dag.edges import Linked
from airdock.dag.scope import collect, stop_collecting
from airdock.dag.trigger_rule import TriggerRule
from airdock.errors import DagError

if TYPE_CHECKING:
    from airdock.dag.dag import DAG
    from airdock.dag.operator import BaseOperator
    from airdock.dag.task_group import TaskGroup

__all__ = ["Node", "SetupScope"]

TEARDOWN_RULE: Final = TriggerRule.ALL_DONE_SETUP_SUCCESS


class Node(Linked):
    """Has an id, a DAG and neighbours. `where` is the `file:line` where it was written."""

    task_id: str
    task_display_name: str
    where: str = ""
    is_mapped: bool = False
    _dag: "DAG | None" = None
    _upstream: dict[str, None]
    _downstream: dict[str, None]
    task_group: "TaskGroup | None" = None
    _collecting: "list[Node] | None" = None

    @property
    def nodes(self) -> "tuple[Node, ...]":
        return (self,)

    @property
    def settings(self) -> "BaseOperator":
        """Where the task's own arguments (retries, pool, …) are to be found."""
        raise NotImplementedError

    @property
    def dag(self) -> "DAG":
        """The DAG of the task; DagError while it has none."""
        if self._dag is None:
            raise DagError(f"task {self.task_id!r} belongs to no DAG", where=self.where, hint=_NO_DAG)
        return self._dag

    @dag.setter
    def dag(self, dag: "DAG") -> None:
        if self._dag is dag:
            return
        if self._dag is not None:
            raise DagError(f"task {self.task_id!r} already belongs to DAG {self._dag.dag_id!r}", where=self.where)
        dag.add_task(self)

    def has_dag(self) -> bool:
        return self._dag is not None

    @property
    def dag_id(self) -> str:
        return self._dag.dag_id if self._dag else ""

    @property
    def upstream_task_ids(self) -> set[str]:
        """The direct upstream tasks."""
        return set(self._upstream)

    @property
    def downstream_task_ids(self) -> set[str]:
        """The direct downstream tasks."""
        return set(self._downstream)

    @property
    def upstream_list(self) -> "list[Node]":
        return [self.dag.task_dict[task_id] for task_id in self._upstream]

    @property
    def downstream_list(self) -> "list[Node]":
        return [self.dag.task_dict[task_id] for task_id in self._downstream]

    @property
    def label(self) -> str:
        """What it is shown as: its display name, else its id without that of its group."""
        if self.task_display_name != self.task_id:
            return self.task_display_name
        group = self.task_group
        return self.task_id.removeprefix(f"{group.group_id}.") if group and group.prefix_group_id else self.task_id

    @property
    def map_group(self) -> str:
        """The id of the mapped group that it is in, "" for none."""
        group = self.task_group.mapped_above if self.task_group is not None else None
        return group.group_id if group is not None else ""

    def as_setup(self) -> Self:
        """Make this a setup: what is after it runs only if it succeeds, and its teardowns run whatever becomes of
        that."""
        self.settings.is_setup = True
        return self

    def as_teardown(self, *, setups: Any = None, on_failure_fail_dagrun: bool | None = None) -> Self:
        """Make this a teardown of these setups: it runs if one of them ran, and doesn't fail the run unless told to."""
        settings = self.settings
        settings.is_teardown = True
        settings.trigger_rule = TEARDOWN_RULE
        if on_failure_fail_dagrun is not None:
            settings.on_failure_fail_dagrun = on_failure_fail_dagrun
        given = setups if isinstance(setups, list | tuple | set) else [] if setups is None else [setups]
        for node in (node for each in given for node in each.nodes):
            node.as_setup()
            self.add_upstream(node)
        return self

    def __enter__(self) -> "SetupScope":
        if not (self.settings.is_setup or self.settings.is_teardown):
            raise DagError(f"only a setup or a teardown can stand in `with`, found task {self.task_id!r}",
                           where=self.where, hint="make it one: .as_setup(), .as_teardown(setups=…)")  # fmt: skip
        self._collecting = collect()
        return SetupScope(self._collecting)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        inside, self._collecting = self._collecting or [], None
        stop_collecting()
        if error is None:
            _wrap(self, inside)

    def inputs(self) -> Mapping[str, Any]:
        """The values in which other tasks' results may hide, by argument name."""
        raise NotImplementedError

    def add_upstream(self, other: "Node") -> None:
        """Let this task wait for `other`. A task without a DAG joins that of the other."""
        dag = other._dag or self._dag
        if dag is None:
            raise DagError(f"neither {other.task_id!r} nor {self.task_id!r} belongs to a DAG", hint=_NO_DAG)
        for node in (other, self):
            if node._dag is None:
                dag.add_task(node)
        if self._dag is not other._dag:
            raise DagError(
                f"{other.task_id!r} of DAG {other.dag_id!r} can't come before {self.task_id!r} of DAG {self.dag_id!r}",
                where=self.where,
                hint="tasks wait only for tasks of their own DAG",
            )
        self._upstream[other.task_id] = None
        other._downstream[self.task_id] = None

    def __repr__(self) -> str:
        return f"<Task({type(self).__name__}): {self.task_id}>"


class SetupScope:
    """What `with` a setup or teardown gives."""

    def __init__(self, inside: list[Node]) -> None:
        self._inside = inside

    def add_task(self, task: Any) -> None:
        """Let a task that was made before stand between setup and teardown."""
        self._inside.extend(task.nodes)


def _wrap(task: Node, inside: list[Node]) -> None:
    """Put the tasks after the setups, and before the teardowns."""
    setups = [task] if task.settings.is_setup else [each for each in task.upstream_list if each.settings.is_setup]
    below = (each for setup in setups for each in setup.downstream_list if each.settings.is_teardown)
    teardowns = dict.fromkeys([*([task] if task.settings.is_teardown else ()), *below])
    work = {each.task_id: each for each in inside if each not in setups and each not in teardowns}
    for each in work.values():
        if work.keys().isdisjoint(each.upstream_task_ids):
            for setup in setups:
                each.add_upstream(setup)
        if work.keys().isdisjoint(each.downstream_task_ids):
            for teardown in teardowns:
                teardown.add_upstream(each)


_NO_DAG = "make it inside `with DAG(…):`, or give it dag="
