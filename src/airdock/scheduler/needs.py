"""Which runs wait for which environments: each is asked for once, whatever number of runs needs it."""

from airdock.model.environment import Environment
from airdock.model.keys import RunKey
from airdock.scheduler.course import Course
from airdock.scheduler.inbox import Inbox
from airdock.scheduler.prepare import Prepare

__all__ = ["Needs"]


class Needs:
    """Answers come to the inbox."""

    def __init__(self, *, prepare: Prepare, inbox: Inbox) -> None:
        self._prepare, self._inbox = prepare, inbox
        self._needing: dict[Environment, set[RunKey]] = {}

    def ask(self, course: Course) -> None:
        """Ask for what this run needs, as far as nobody has asked yet."""
        for environment, task_id in course.needs().items():
            needing = self._needing.setdefault(environment, set())
            if not needing:
                self._prepare.request(environment, where=task_id, answer=self._inbox.answer)
            needing.add(course.run.key)

    def pop(self, environment: Environment) -> list[RunKey]:
        """An answer came: the runs that waited for it."""
        return sorted(self._needing.pop(environment, ()), key=lambda key: (key.dag_id, key.run_id))

    def forget(self, run: RunKey) -> None:
        """The run needs nothing any more."""
        for environment in [each for each, needing in self._needing.items() if run in needing]:
            self._needing[environment].discard(run)
            if not self._needing[environment]:
                del self._needing[environment]
