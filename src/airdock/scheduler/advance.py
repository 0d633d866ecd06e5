"""Let events happen to a run one after the other, each with all that follows from it."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from airdock.model.keys import TaskKey
from airdock.model.states import FINISHED, RunState, TaskState
from airdock.scheduler.decide import decide
from airdock.scheduler.events import Action, Due, Happening, Settled, Stop
from airdock.scheduler.view import RunView
from airdock.store.records import Expansion, RunTransition, Transition

__all__ = ["advance"]


def advance(view: RunView, events: Iterable[Happening], now: datetime) -> list[Action]:
    """Change the view as the events and what follows from them demand; returns all actions in order.

    What follows comes in generations: all instances that settled in one are followed before the next, so that the
    result doesn't depend on their order, as in one pass of Airflow's scheduler.
    """
    actions: list[Action] = []
    for event in events:
        generation: list[Happening] = [event]
        while generation:
            decided = list(_decide_all(view, generation, now))
            for action in decided:
                _apply(view, action)
            actions += decided
            generation = [happening for action in decided for happening in _lead(action)]
    return actions


def _lead(action: Action) -> Iterator[Happening]:
    """What has happened once the action is done."""
    if isinstance(action, Transition) and action.target in FINISHED:
        yield Settled(key=action.key)
    if isinstance(action, Transition) and action.target is TaskState.NONE:
        yield Due(key=action.key)


def _decide_all(view: RunView, events: Iterable[Happening], now: datetime) -> Iterator[Action]:
    """The actions of one generation; an instance that two events lead to is acted on once."""
    taken: set[TaskKey] = set()
    for event in events:
        chosen = [action for action in decide(view, event, now) if _subject(view, action) not in taken]
        taken.update(_subject(view, action) for action in chosen)
        yield from chosen


def _subject(view: RunView, action: Action) -> TaskKey:
    match action:
        case Expansion(task_id=task_id):
            return TaskKey(dag_id=view.run.dag_id, run_id=view.run.run_id, task_id=task_id)
        case RunTransition():
            return TaskKey(dag_id=view.run.dag_id, run_id=view.run.run_id, task_id="")
        case Stop(key=key):
            return key.task
        case _:
            return action.key


def _apply(view: RunView, action: Action) -> None:
    match action:
        case Transition():
            view.move(action)
        case Expansion():
            view.expand(action)
        case RunTransition(target=RunState.FAILED, reason=reason):
            view.doom(reason)
