"""Stores what turns decided: of all runs at once, or each for itself where somebody else changed one of them."""

from collections.abc import Callable, Collection, Sequence

from airdock.errors import ConflictError
from airdock.model.keys import TaskKey
from airdock.scheduler.course import Course
from airdock.scheduler.points import Reached, kinds_of, passing
from airdock.scheduler.turn import Turn, join_batches
from airdock.store.base import Store

__all__ = ["Commits"]


class Commits:
    """`lost` is told of a run that this owner has no longer, or that was changed under it."""

    def __init__(
        self, *, store: Store, owner: str, reached: Reached, lost: Callable[[Course, ConflictError], None]
    ) -> None:
        self._store, self._owner, self._reached, self._lost = store, owner, reached, lost

    def store(self, turns: Sequence[Turn]) -> list[Turn]:
        """Returns those that were stored, without what had no room."""
        batch = join_batches(turn.batch for turn in turns)
        if not batch:
            return list(turns)
        try:
            with passing(self._reached, *kinds_of(batch)):
                refused = self._store.commit(batch, owner=self._owner)
        except ConflictError as error:
            if len(turns) == 1:
                self._lost(turns[0].course, error)
                return []
            return [done for turn in turns for done in self.store([turn])]
        if refused:
            for turn in turns:
                _undo(turn, refused)
        return list(turns)


def _undo(turn: Turn, refused: Collection[TaskKey]) -> None:
    undone = [step for step in turn.claims if step.key in refused]
    if undone:
        turn.course.undo(undone)
        turn.claims = [step for step in turn.claims if step.key not in refused]
