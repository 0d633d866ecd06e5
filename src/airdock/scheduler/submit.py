"""Hand what was queued to executors."""

from collections.abc import Mapping, Sequence

from airdock.executors.base import Executor
from airdock.model.mount import Mount
from airdock.scheduler.course import Course
from airdock.scheduler.describe import describe_instance, describe_run
from airdock.scheduler.workloads import make_workload
from airdock.store.records import Transition

__all__ = ["submit"]


def submit(
    executors: Mapping[str, Executor],
    course: Course,
    queued: Sequence[Transition],
    *,
    folders: Sequence[Mount],
    place: Sequence[Mount],
    lease_s: float,
) -> None:
    """Submit the tries of one run that became queued, each to its executor."""
    by_executor: dict[str, list[Transition]] = {}
    for step in queued:
        by_executor.setdefault(step.executor, []).append(step)
    for name, steps in by_executor.items():
        workloads = [
            make_workload(
                course.view.task(step.key.task_id),
                step.key.attempt(step.to_try),
                digest=step.digest,
                folders=folders,
                place=place,
                lease_s=lease_s,
                instance=describe_instance(course.view.member(step.key)),
            )
            for step in steps
        ]
        executors[name].submit(workloads, run_info=describe_run(course.run))
