"""One task of a DAG as a DAG of its own, to try it."""

from dataclasses import replace

from airdock.dag.serialized import SerializedDag
from airdock.errors import DagError

__all__ = ["only"]


def only(dag: SerializedDag, task_id: str) -> SerializedDag:
    """The DAG with this task alone, which waits for nothing, isn't tried again and has no deadlines.

    DagError if there is no such task, or if another would say how many it is.
    """
    try:
        task = dag.task(task_id)
    except KeyError:
        names = ", ".join(each.task_id for each in dag.tasks)
        raise DagError(
            f"DAG {dag.dag_id!r} has no task {task_id!r}", where=dag.fileloc, hint=f"it has: {names}"
        ) from None
    if any("length" not in part for part in (task.expand or {}).values()):
        raise DagError(
            f"expected a task that can run alone, found {task_id!r}, which is mapped over what others push",
            where=dag.fileloc,
            hint="run the DAG: airdock dags test",
        )
    alone = replace(
        task, upstream=(), setups=(), retries=0, trigger_rule="all_done", depends_on_past=False, is_teardown=False
    )
    return replace(dag, tasks=(alone,), fail_fast=False, deadlines=())
