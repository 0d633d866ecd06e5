"""A run driven by hand, for tests of what follows from what."""

from datetime import UTC, datetime
from typing import Any

from airdock.model.environment import Environment
from airdock.model.keys import RunKey, TaskKey
from airdock.model.outcome import Ending, Failed, Outcome, Succeeded
from airdock.model.states import TaskState
from airdock.scheduler.advance import advance
from airdock.scheduler.events import Happening, RunBegan, TryEnded
from airdock.scheduler.view import RunView
from airdock.store.records import Answer, Instance, Transition

__all__ = ["FAILED", "NOW", "RUN", "Drive", "key"]

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RUN = RunKey(dag_id="d", run_id="r")
FAILED = Failed(reason="no", retryable=False)
S = TaskState


def key(task_id: str, index: int = -1) -> TaskKey:
    return TaskKey(dag_id="d", run_id="r", task_id=task_id, map_index=index)


class Drive:
    """A run whose tries are queued at once and end as they are told to."""

    def __init__(
        self,
        dag: Any,
        *,
        lengths: dict[str, dict[int, int | None]] | None = None,
        rows: list[Instance] | None = None,
        **more: Any,
    ) -> None:
        """`rows` is what an earlier go of the run left; `lengths` may be changed while it goes on."""
        rows = rows or [Instance(key=key(task.task_id), max_tries=task.retries) for task in dag.tasks]
        answers = [Answer(run=RUN, environment=Environment(), at=NOW, digest="sha256:0")]
        found = {} if lengths is None else lengths
        given = {
            "logical_date": None,
            "lengths": lambda task_id, _name: found.get(task_id, {}),
            "can_defer": True,
            **more,
        }
        self.view = RunView(run=RUN, dag=dag, instances=rows, answers=answers, **given)
        self.happen(RunBegan())

    def happen(self, event: Happening, now: datetime = NOW) -> list[Any]:
        actions: list[Any] = list(advance(self.view, [event], now))
        for step in actions:
            if isinstance(step, Transition) and step.target is S.SCHEDULED:
                number = step.to_try
                self.view.move(
                    Transition(
                        key=step.key,
                        source=S.SCHEDULED,
                        target=S.QUEUED,
                        try_number=number,
                        to_try=number,
                        at=now,
                        next=step.next,
                    )
                )
        return actions

    def end(self, task_id: str, ending: Ending | None = None, index: int = -1) -> list[Any]:
        member = self.view.member(key(task_id, index))
        assert member is not None
        outcome = Outcome(ending=ending or Succeeded())
        return self.happen(TryEnded(key=key(task_id, index).attempt(member.try_number), outcome=outcome))

    def rows(self) -> list[Instance]:
        """What is stored of the run as it stands."""
        found = self.view.members(*TaskState)
        return [Instance(key=k, state=m.state, try_number=m.try_number, max_tries=m.max_tries) for k, m in found]

    def states(self) -> dict[str, str]:
        return {key.label: member.state.value for key, member in self.view.members(*TaskState)}
