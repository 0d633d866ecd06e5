"""Random verbs, legal or not, leave every store the same: each answer, each refusal, and all that is kept."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airdock.clock import ManualClock
from airdock.errors import AirdockError
from airdock.model.keys import RunKey, TaskKey
from airdock.model.outcome import Failed, Outcome
from airdock.model.states import RunState, TaskState
from airdock.store.base import Store
from airdock.store.filters import InstanceFilter, RunFilter
from airdock.store.memory import MemoryStore
from airdock.store.records import Batch, Expansion, Instance, Limits, Pool, Run, RunTransition, Transition
from airdock.store.sql import SqlStore

from .postgres import empty

AT = datetime(2026, 1, 1, tzinfo=UTC)
RUNS = [RunKey(dag_id="d", run_id=name) for name in ("r0", "r1")]
TASKS = ("a", "b")
POOLS = ("wide", "tight", "counted")
OWNERS = ("me", "you")
S = TaskState

runs = st.sampled_from(RUNS)
keys = st.builds(
    lambda run, task, index: TaskKey(dag_id="d", run_id=run.run_id, task_id=task, map_index=index),
    runs,
    st.sampled_from(TASKS),
    st.sampled_from((-1, -1, 0, 1)),
)
limits = st.builds(
    Limits,
    pool=st.sampled_from(POOLS),
    pool_slots=st.integers(1, 2),
    run=st.sampled_from((None, 1, 2)),
    task=st.sampled_from((None, 1)),
    task_in_run=st.sampled_from((None, 1)),
)
PATHS = (
    (S.NONE, S.SCHEDULED, S.QUEUED),
    (S.SCHEDULED, S.QUEUED),
    (S.QUEUED, S.RUNNING),
    (S.RUNNING, S.SUCCESS),
    (S.RUNNING, S.DEFERRED),
    (S.DEFERRED, S.SCHEDULED, S.QUEUED),
    (S.RUNNING, S.UP_FOR_RETRY),
    (S.UP_FOR_RETRY, S.SCHEDULED, S.QUEUED),
    (S.QUEUED, S.SCHEDULED, S.QUEUED),
    (S.RESTARTING, S.NONE),
    (S.NONE, S.SKIPPED),
    (S.SUCCESS, S.RUNNING),
)
# Mostly one that the instance can go, so that random steps come far.
steps = st.tuples(keys, st.integers(0, len(PATHS) - 1), st.integers(0, 9), limits, st.booleans())
verbs = st.one_of(
    st.tuples(st.just("commit"), st.lists(steps, min_size=1, max_size=3), st.sampled_from((*OWNERS, "me", "me"))),
    st.tuples(st.just("expand"), runs, st.sampled_from(TASKS)),
    st.tuples(st.just("end"), runs, st.sampled_from(tuple(RunState))),
    st.tuples(st.just("clear"), st.lists(keys, max_size=3), runs),
    st.tuples(st.just("force"), st.lists(keys, max_size=2), runs),
    st.tuples(st.just("take"), st.lists(runs, max_size=2), st.sampled_from(OWNERS), st.sampled_from((None, 0, 1))),
    st.tuples(st.just("push"), keys, st.integers(1, 3)),
    st.tuples(st.just("later"), st.integers(1, 20)),
    st.tuples(st.just("delete"), runs),
    st.tuples(st.just("make"), runs),
)


class Hands:
    """Does verbs to one store, by what the store itself says of each instance's try."""

    def __init__(self, store: Store, clock: ManualClock) -> None:
        self.store, self.clock = store, clock
        sizes = {"wide": -1, "tight": 2, "counted": 2}
        store.save_pools([Pool(name=name, slots=sizes[name], include_deferred=name == "counted") for name in POOLS])
        for run in RUNS:
            self.make(run)
        store.take_runs(RUNS, owner="me", lease_s=600)

    def do(self, verb: str, *words: Any) -> Any:
        call: Callable[..., Any] = getattr(self, verb)
        try:
            return call(*words)
        except AirdockError:
            return "refused"  # for which of several reasons is each store's own matter

    def make(self, run: RunKey) -> None:
        made = Run(key=run, state=RunState.RUNNING, dag_digest="d", created=AT + timedelta(seconds=int(run.run_id[1:])))
        self.store.create_run(
            made, [Instance(key=TaskKey(dag_id="d", run_id=run.run_id, task_id=task)) for task in TASKS]
        )

    def commit(self, wanted: list[tuple[Any, ...]], owner: str) -> Any:
        batch = [step for each in wanted for step in self._steps(*each)]
        return sorted(key.label for key in self.store.commit(Batch(transitions=batch), owner=owner))

    def _steps(self, key: TaskKey, place: int, odd: int, bounds: Limits, is_told: bool) -> Iterator[Transition]:
        rows = self.store.find_instances(InstanceFilter(run_id=key.run_id, task_id=key.task_id))
        row = next((row for row in rows if row.key == key), Instance(key=key))
        ways = [path for path in PATHS if path[0] is row.state]
        path = PATHS[place] if odd == 0 or not ways else ways[place % len(ways)]
        number = row.try_number
        for source, target in pairwise(path):
            to_try = number + (target is S.SCHEDULED and source is not S.DEFERRED)
            ends = is_told and source in (S.RUNNING, S.QUEUED)
            yield Transition(
                key=key,
                source=source,
                target=target,
                try_number=number,
                to_try=to_try,
                at=self.clock.now(),
                limits=bounds if target is S.QUEUED else None,
                outcome=Outcome(ending=Failed(reason="no")) if ends else None,
                trigger={"classpath": "x"} if target is S.DEFERRED else None,
            )
            number = to_try

    def expand(self, run: RunKey, task_id: str) -> None:
        self.store.commit(Batch(expansions=[Expansion(run=run, task_id=task_id, length=2)]), owner="me")

    def end(self, run: RunKey, state: RunState) -> None:
        source = self.store.load_run(run).state
        step = RunTransition(key=run, source=source, target=state, at=self.clock.now())
        self.store.commit(Batch(runs=[step]), owner="me")

    def clear(self, wanted: list[TaskKey], run: RunKey) -> None:
        self.store.clear(run, {key: 1 for key in wanted if key.run_id == run.run_id}, at=self.clock.now())

    def force(self, wanted: list[TaskKey], run: RunKey) -> None:
        states = {key: S.FAILED for key in wanted if key.run_id == run.run_id}
        self.store.force(run, states, at=self.clock.now(), run_state=RunState.FAILED)

    def take(self, wanted: list[RunKey], owner: str, room: int | None) -> Any:
        found = self.store.take_runs(wanted, owner=owner, lease_s=10, room=None if room is None else {"d": room})
        return [run.key.run_id for run in found]

    def push(self, key: TaskKey, number: int) -> None:
        self.store.put_xcom(key.attempt(number), name="return_value", value=str(number), length=None)

    def later(self, seconds: int) -> None:
        self.clock.advance(timedelta(seconds=seconds))

    def delete(self, run: RunKey) -> Any:
        return self.store.delete_runs([run])

    def all(self) -> list[Any]:
        """What is kept."""
        found: list[Any] = [self.store.find_runs(RunFilter()), self.store.count_uses(), self.store.count_open_runs()]
        for run in self.store.list_runs():
            found += [self.store.list_instances(run.key), self.store.list_tries(run.key)]
            found += [self.store.list_xcoms(run.key, task_id=task, name="return_value") for task in TASKS]
        return found


def agree(other: Store, other_clock: ManualClock, done: list[tuple[Any, ...]]) -> None:
    clock = ManualClock(at=AT)
    model, tested = Hands(MemoryStore(clock=clock), clock), Hands(other, other_clock)
    for verb in done:
        assert tested.do(*verb) == model.do(*verb), verb
        assert tested.all() == model.all(), verb


@contextmanager
def sqlite() -> Iterator[tuple[Store, ManualClock]]:
    with TemporaryDirectory() as folder:
        clock = ManualClock(at=AT)
        store = SqlStore(path=Path(folder) / "a.db", clock=clock)
        yield store, clock
        store.close()


@settings(max_examples=30, deadline=None)
@given(st.lists(verbs, min_size=10, max_size=30))
def test_sqlite_does_as_memory_does(done: list[tuple[Any, ...]]) -> None:
    with sqlite() as (store, clock):
        agree(store, clock, done)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(done=st.lists(verbs, min_size=10, max_size=30))
def test_postgresql_does_as_memory_does(postgres: str, done: list[tuple[Any, ...]]) -> None:
    empty(postgres)
    clock = ManualClock(at=AT)
    store = SqlStore(url=postgres, clock=clock)
    try:
        agree(store, clock, done)
    finally:
        store.close()
