"""A task as part of a DAG, mapped or not."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airdock.dag.edges import Linked
from airdock.errors import DagError

if TYPE_CHECKING:
    from airdock.dag.dag import DAG
    from airdock.dag.operator import BaseOperator

__all__ = ["Node"]


class Node(Linked):
    """Has an id, a DAG and neighbours. `where` is the `file:line` where it was written."""

    task_id: str
    where: str = ""
    is_mapped: bool = False
    _dag: "DAG | None" = None
    _upstream: dict[str, None]
    _downstream: dict[str, None]

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


_NO_DAG = "make it inside `with DAG(…):`, or give it dag="
