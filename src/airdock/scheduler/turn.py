"""One turn of the loop, for one run: what it takes in, and what came of it."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from airdock.model.events import Finished
from airdock.scheduler.course import Course
from airdock.scheduler.effects import find_events
from airdock.scheduler.events import Action, Answered, Happening, Stop
from airdock.scheduler.prepare import Prepared, PrepareFailed, Reply
from airdock.store.records import Answer, AssetEvent, Batch, CallbackRow, Expansion, RunTransition, Transition

__all__ = ["Turn", "join_batches"]


@dataclass(kw_only=True, slots=True)
class Turn:
    """`events`, `answers`, `finished` and `runs` are taken in; `actions`, `claims`, `end` and `calls` are decided."""

    course: Course
    events: list[Happening] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    finished: list[Finished] = field(default_factory=list)
    runs: list[RunTransition] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    claims: list[Transition] = field(default_factory=list)
    end: RunTransition | None = None
    calls: list[CallbackRow] = field(default_factory=list)
    assets: list[AssetEvent] = field(default_factory=list)

    def conclude(self, now: datetime) -> None:
        """Whether the run ends with this turn, and what became of assets in it."""
        ends = [action for action in self.actions if isinstance(action, RunTransition)]
        # A run that begins ends in the next turn.
        self.end = ends[0] if ends else None if self.runs else self.course.conclude(now)
        self.assets = find_events(self.course, self.actions)

    @property
    def batch(self) -> Batch:
        """What is to be committed."""
        return Batch(
            answers=self.answers,
            expansions=[action for action in self.actions if isinstance(action, Expansion)],
            transitions=[*(action for action in self.actions if isinstance(action, Transition)), *self.claims],
            runs=[*self.runs, *([self.end] if self.end else [])],
            events=self.assets,
            callbacks=self.calls,
        )

    @property
    def stops(self) -> list[Stop]:
        """The tries that are to be cancelled."""
        return [action for action in self.actions if isinstance(action, Stop)]

    def take_reply(self, reply: Reply, now: datetime) -> None:
        """An environment was made, or can't be; only the first word counts."""
        if self.course.view.answer(reply.environment) is not None:
            return
        answer = Answer(run=self.course.run.key, environment=reply.environment, at=now)
        match reply:
            case Prepared(digest=digest, reused=reused):
                answer = replace(answer, digest=digest, reused=reused)
            case PrepareFailed(error=error):
                answer = replace(answer, error=error)
        self.answers.append(answer)
        self.events.append(Answered(answer=answer))


def join_batches(batches: Iterable[Batch]) -> Batch:
    """The batches of several runs as one."""
    parts = list(batches)
    return Batch(
        answers=[each for part in parts for each in part.answers],
        expansions=[each for part in parts for each in part.expansions],
        transitions=[each for part in parts for each in part.transitions],
        runs=[each for part in parts for each in part.runs],
        events=[each for part in parts for each in part.events],
        callbacks=[each for part in parts for each in part.callbacks],
    )
