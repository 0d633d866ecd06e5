"""The executors, as the loop uses them: all of them for most things, one by name for a try."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from airdock.executors.base import Executor
from airdock.model.events import Event, Finished
from airdock.model.keys import RunKey, TryKey
from airdock.model.mount import Mount
from airdock.scheduler.course import Course
from airdock.scheduler.describe import describe_instance, describe_run
from airdock.scheduler.points import Reached, passing
from airdock.scheduler.takeup import adopt
from airdock.scheduler.workloads import make_workload
from airdock.store.records import Transition

__all__ = ["Crew"]


class Crew:
    """`folders` gives, and makes, what the tasks of a run see of its files, `place` where their DAG file lies.

    A supervisor may go on with a try for `lease_s` seconds without a renewal.
    """

    def __init__(
        self,
        executors: Mapping[str, Executor],
        *,
        folders: Callable[[RunKey], Sequence[Mount]],
        place: Callable[[str], Sequence[Mount]],
        lease_s: float,
        reached: Reached,
    ) -> None:
        self._executors, self._folders, self._place = executors, folders, place
        self._lease_s, self._reached = lease_s, reached

    def subscribe(self, put: Callable[[Event], None]) -> None:
        for executor in self._executors.values():
            executor.subscribe(put)

    def slots(self) -> dict[str, int | None]:
        """How many tries each runs at a time, by name."""
        return {name: executor.capacity().slots for name, executor in self._executors.items()}

    def adopt(self, keys: Collection[TryKey]) -> frozenset[TryKey]:
        """Take these tries over from whoever began them; gives those that go on."""
        return adopt(self._executors, keys)

    def cancel(self, keys: Collection[TryKey]) -> None:
        """End those tries that run."""
        if keys:
            for executor in self._executors.values():
                executor.cancel(keys)

    def acknowledge(self, finished: Collection[Finished]) -> None:
        """What came of these is stored: nobody needs to be told again."""
        if not finished:
            return
        with passing(self._reached, "ack"):
            for event in finished:
                for executor in self._executors.values():
                    executor.ack(event)

    def submit(self, course: Course, queued: Sequence[Transition]) -> None:
        """Hand over the tries of one run that became queued, each to its executor."""
        if not queued:
            return
        with passing(self._reached, "submit"):
            folders, place = self._folders(course.run.key), self._place(course.dag.fileloc)
            for name, steps in _by_executor(queued):
                workloads = [
                    make_workload(
                        course.view.task(step.key.task_id),
                        step.key.attempt(step.to_try),
                        digest=step.digest,
                        folders=folders,
                        place=place,
                        lease_s=self._lease_s,
                        logical_date=course.run.logical_date,
                        instance=describe_instance(course.view.member(step.key)),
                    )
                    for step in steps
                ]
                self._executors[name].submit(workloads, run_info=describe_run(course.run))


def _by_executor(queued: Sequence[Transition]) -> Iterable[tuple[str, list[Transition]]]:
    found: dict[str, list[Transition]] = {}
    for step in queued:
        found.setdefault(step.executor, []).append(step)
    return found.items()
