"""The named moments at which a scheduler may die without harm: before and after each thing that outlives it.

A commit may do several of these things at once; then all their moments before it are reached, and after it all those
after it. `Scheduler` calls `reached` with each name; a setting for tests of recovery kills the process there.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from airdock.model.states import RUN_FINISHED, RunState, TaskState
from airdock.store.records import Batch

__all__ = ["POINTS", "Reached", "kinds_of", "passing"]

Reached = Callable[[str], None]

_KINDS: Final = {
    "create": "a run is made",
    "lease": "the run is taken over",
    "begin": "the run becomes running",
    "answer": "an environment was made, or can't be",
    "queue": "task instances become queued, and take their slots",
    "submit": "an executor gets workloads",
    "start": "task instances become running",
    "end": "tries end with their outcomes",
    "ack": "an executor may forget outcomes",
    "finish": "the run ends",
    "release": "the run is let go",
}

POINTS: Final = tuple(f"{kind}.{side}" for kind in _KINDS for side in ("before", "after"))
"""Every name that `reached` is called with."""


def kinds_of(batch: Batch) -> list[str]:
    """What a batch does, in the words of `POINTS`."""
    targets = {step.target for step in batch.transitions}
    ends = {step.target for step in batch.runs}
    found = {
        "begin": RunState.RUNNING in ends,
        "answer": bool(batch.answers),
        "queue": TaskState.QUEUED in targets,
        "start": TaskState.RUNNING in targets,
        "end": any(step.outcome is not None for step in batch.transitions),
        "finish": bool(ends & RUN_FINISHED),
    }
    return [kind for kind, is_so in found.items() if is_so]


@contextmanager
def passing(reached: Reached, *kinds: str) -> Iterator[None]:
    """Reach the moments before these, and after the block those after them."""
    for kind in kinds:
        reached(f"{kind}.before")
    yield
    for kind in kinds:
        reached(f"{kind}.after")
