"""Take runs up: from what the store has of them to courses, and what became of tries that an earlier owner began."""

from collections.abc import Callable, Collection, Mapping

from airdock.dag.serialized import SerializedDag
from airdock.errors import UnknownRunError
from airdock.executors.base import Executor
from airdock.model.events import Finished
from airdock.model.keys import RunKey, TryKey
from airdock.model.outcome import Lost, Outcome
from airdock.model.states import RUN_FINISHED, RunState
from airdock.scheduler.course import Course
from airdock.scheduler.events import TryEnded
from airdock.scheduler.past import make_past
from airdock.scheduler.ready import Ready
from airdock.scheduler.room import Room
from airdock.scheduler.view import RunView
from airdock.store.base import ACTIVE, Store
from airdock.store.records import Run

__all__ = ["LOST", "adopt", "find_kept", "find_lost", "is_stored", "make_course"]

LOST = "the process that ran it died"


def make_course(store: Store, run: Run, *, default_executor: str, room: Room, can_defer: bool = False) -> Course:
    """The run as the store has it now. StoreError if its DAG isn't there."""
    dag = SerializedDag.from_dict(store.load_dag(run.dag_digest))
    view = RunView(
        run=run.key,
        logical_date=run.logical_date,
        dag=dag,
        instances=store.list_instances(run.key),
        answers=[answer for answer in store.list_answers(run.key) if answer.error is None],
        decided=[(each.key.task, each.skip) for each in store.list_decisions(run.key)],
        lengths=lambda task_id, name: store.list_lengths(run.key, task_id=task_id, name=name),
        can_defer=can_defer,
        run_type=run.run_type,
        past=make_past(store, run, dag),
    )
    if run.state is RunState.RUNNING and run.reason:  # a person ended it, and it finishes what has to be finished
        view.doom(run.reason)
    ready = Ready(dag=dag, default_executor=default_executor, room=room)
    return Course(run=run, dag=dag, view=view, ready=ready)


def adopt(executors: Mapping[str, Executor], keys: Collection[TryKey]) -> frozenset[TryKey]:
    """Take over what earlier owners of these tries left; returns those that go on or whose ending was told."""
    return frozenset(key for executor in executors.values() for key in executor.adopt(keys))


def find_lost(course: Course, *, alive: Callable[[TryKey], bool]) -> list[TryEnded]:
    """The tries that nobody ended and nobody runs any more."""
    lost = Outcome(ending=Lost(reason=LOST))
    return [
        TryEnded(key=key, outcome=course.complete(key, lost))
        for key in sorted(course.active_tries(), key=lambda key: (key.task_id, key.map_index))
        if not alive(key)
    ]


def find_kept(store: Store, key: RunKey) -> frozenset[TryKey]:
    """The tries that go on though the run was taken away: a person changed it, and it is to be taken up anew."""
    try:
        run = store.load_run(key)
    except UnknownRunError:
        return frozenset()
    if run.owner or run.state in RUN_FINISHED:
        return frozenset()
    return frozenset(row.key.attempt(row.try_number) for row in store.list_instances(key) if row.state in ACTIVE)


def is_stored(store: Store, event: Finished) -> bool:
    """Whether this ending of another run's try was committed, but its process died before it acknowledged it."""
    task = event.key.task
    try:
        rows = store.list_instances(task.run, task_id=task.task_id)
    except UnknownRunError:
        return True
    current = (row.key.attempt(row.try_number) for row in rows if row.state in ACTIVE)
    return event.key not in current
