"""`decide` against a slow and obvious model of Airflow's rules, over random DAGs, rules, mappings, endings, orders."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import product
from math import prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airdock.dag.serialized import SerializedDag, SerializedTask
from airdock.model.environment import Environment
from airdock.model.keys import RunKey, TaskKey
from airdock.model.outcome import Ending, Failed, Lost, Outcome, Skipped, Succeeded
from airdock.model.states import RunState, TaskState
from airdock.scheduler.advance import advance
from airdock.scheduler.decide import conclude
from airdock.scheduler.events import Answered, Due, Happening, RunBegan, TryEnded, Wake
from airdock.scheduler.rules import RULES, Counts, Verdict, evaluate
from airdock.scheduler.view import RunView
from airdock.store.records import Answer, Instance, Transition

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RUN = RunKey(dag_id="d", run_id="r")
S = TaskState
BAD = {S.FAILED, S.UPSTREAM_FAILED}
DONE = {S.SUCCESS, S.SKIPPED, *BAD}

Place = tuple[str, int]


@dataclass
class Case:
    """A DAG, and what happens when its tasks run."""

    tasks: list[SerializedTask]
    endings: dict[tuple[str, int], list[str]]  # of a task and map index, one a try; the last goes on for ever
    lengths: dict[str, int | None]  # of the return values of tasks
    choices: list[int] = field(default_factory=list)  # which of the running tries ends next

    def ending(self, place: Place, number: int) -> str:
        listed = self.endings.get(place) or ["succeeded"]
        return listed[number - 1] if number <= len(listed) else "succeeded"


@st.composite
def cases(draw: st.DrawFn) -> Case:
    count = draw(st.integers(1, 7))
    names = [f"t{number}" for number in range(count)]
    lengths = {name: draw(st.sampled_from([None, 0, 1, 2, 3])) for name in names}
    tasks = []
    for number, name in enumerate(names):
        upstream = tuple(draw(st.lists(st.sampled_from(names[:number]), unique=True))) if number else ()
        tasks.append(
            SerializedTask(
                task_id=name,
                operator="python",
                upstream=upstream,
                trigger_rule=draw(st.sampled_from(sorted(RULES)) | st.just("all_success")),
                retries=draw(st.integers(0, 2)),
                mode=draw(st.sampled_from(["sdk", "sdk", "sdk", "none"])),
                expand=draw(expansions(upstream)),
                is_setup=draw(st.booleans()),
            )
        )
    kinds = st.lists(st.sampled_from(["succeeded", "failed", "hopeless", "skipped", "lost"]), max_size=3)
    endings = {(name, index): draw(kinds) for name in names for index in range(-1, 4)}
    return Case(tasks, endings, lengths, draw(st.lists(st.integers(0, 10), max_size=30)))


@st.composite
def expansions(draw: st.DrawFn, upstream: tuple[str, ...]) -> dict[str, dict[str, object]] | None:
    kind = draw(st.sampled_from(["no", "no", "literal", "xcom", "both"]))
    parts: dict[str, dict[str, object]] = {}
    if kind in ("literal", "both"):
        parts["a"] = {"length": draw(st.integers(0, 2))}
    if kind in ("xcom", "both") and upstream:
        parts["b"] = {"xcom": draw(st.sampled_from(upstream)), "key": "return_value"}
    return parts or None


def says(rule: str, up: list[TaskState], setup_up: list[TaskState]) -> TaskState | None:
    """What a trigger rule makes of a task with this upstream; RUNNING for running it, None for waiting."""
    if not up:
        return S.RUNNING
    done = all(state in DONE for state in up)
    bad = any(state in BAD for state in up)
    skipped = S.SKIPPED in up
    success = S.SUCCESS in up
    run, skip, fail, wait = S.RUNNING, S.SKIPPED, S.UPSTREAM_FAILED, None
    match rule:
        case "all_success":
            return fail if bad else skip if skipped else run if done else wait
        case "all_failed":
            return skip if success or skipped else run if done else wait
        case "all_done":
            return run if done else wait
        case "all_skipped":
            return skip if success or bad else run if done else wait
        case "one_success":
            only_skips = set(up) == {S.SKIPPED}
            return run if success else wait if not done else skip if only_skips else fail
        case "one_failed":
            return run if bad else skip if done else wait
        case "one_done":
            return run if success or S.FAILED in up else skip if done else wait
        case "none_failed":
            return fail if bad else run if done else wait
        case "none_failed_min_one_success":
            return fail if bad else wait if not done else run if success else skip
        case "none_skipped":
            return skip if skipped else run if done else wait
        case "always":
            return run
        case "all_done_setup_success":
            if not done:
                return wait
            if not setup_up or S.SUCCESS in setup_up:
                return run
            return skip if set(setup_up) == {S.SKIPPED} else fail
        case "all_done_min_one_success":
            return skip if skipped else wait if not done else run if success else fail
    raise AssertionError(rule)


class Model:
    """States of all instances, worked out anew in passes over everything until nothing changes."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.states: dict[Place, TaskState] = {(task.task_id, -1): S.NONE for task in case.tasks}
        self.tries: Counter[Place] = Counter()
        self.fails: Counter[Place] = Counter()
        self.pushed: set[Place] = set()
        self.settle()

    def settle(self) -> None:
        while changes := self.one_pass():
            for place, state in changes.items():
                if state is None:
                    del self.states[place]
                else:
                    self.states[place] = state
                    self.tries[place] += state is S.RUNNING

    def one_pass(self) -> dict[Place, TaskState | None]:
        changes: dict[Place, TaskState | None] = {}
        for task in self.case.tasks:
            verdict = self.verdict(task)
            for place in [place for place in self.states if place[0] == task.task_id and self.states[place] is S.NONE]:
                if verdict is S.RUNNING and task.expand is not None and place[1] == -1:
                    changes |= self.expanded(task)
                elif verdict is S.RUNNING and task.mode == "none":
                    changes[place] = S.SUCCESS
                elif verdict is not None:
                    changes[place] = verdict
        return changes

    def expanded(self, task: SerializedTask) -> dict[Place, TaskState | None]:
        whole = (task.task_id, -1)
        sources = [part["xcom"] for part in (task.expand or {}).values() if "xcom" in part]
        if not all(state in DONE for source in sources for state in self.states_of(source)):
            return {}
        whole_states = {self.states[source, -1] for source in sources if (source, -1) in self.states}
        if whole_states & BAD:
            return {whole: S.UPSTREAM_FAILED}
        if S.SKIPPED in whole_states:
            return {whole: S.SKIPPED}
        lengths = [part["length"] for part in (task.expand or {}).values() if "length" in part]
        for source in sources:
            if (source, -1) in self.states:
                lengths.append(self.case.lengths[source] if (source, -1) in self.pushed else None)
            else:
                lengths.append(sum(place[0] == source for place in self.pushed))
        if None in lengths:
            return {whole: S.UPSTREAM_FAILED}
        number = prod(lengths)
        if number == 0:
            return {whole: S.SKIPPED}
        state = S.SUCCESS if task.mode == "none" else S.RUNNING
        return {whole: None, **{(task.task_id, index): state for index in range(number)}}

    def states_of(self, task_id: str) -> list[TaskState]:
        return [state for (name, _), state in self.states.items() if name == task_id]

    def verdict(self, task: SerializedTask) -> TaskState | None:
        setups = {each.task_id for each in self.case.tasks if each.is_setup}
        up = [state for name in task.upstream for state in self.states_of(name)]
        setup_up = [state for name in task.upstream if name in setups for state in self.states_of(name)]
        found = says(task.trigger_rule, up, setup_up)
        indirect = (self.above(task.task_id) & setups) - set(task.upstream)
        if task.trigger_rule == "always" or not indirect:
            return found
        states = [state for name in indirect for state in self.states_of(name)]
        if any(state in BAD for state in states):
            return S.UPSTREAM_FAILED
        if S.SKIPPED in states:
            return S.SKIPPED
        return None if found is S.RUNNING and set(states) != {S.SUCCESS} else found

    def above(self, task_id: str) -> set[str]:
        task = next(task for task in self.case.tasks if task.task_id == task_id)
        return set(task.upstream).union(*(self.above(name) for name in task.upstream))

    def running(self) -> list[Place]:
        return sorted(place for place, state in self.states.items() if state is S.RUNNING)

    def end(self, place: Place) -> None:
        """The running try ends; a retry follows at once."""
        task = next(task for task in self.case.tasks if task.task_id == place[0])
        kind = self.case.ending(place, self.tries[place])
        self.fails[place] += kind == "failed"
        if kind == "lost" or (kind == "failed" and self.fails[place] <= task.retries):
            self.tries[place] += 1
            return
        if kind == "succeeded":
            self.pushed.add(place)
        self.states[place] = {"succeeded": S.SUCCESS, "skipped": S.SKIPPED}.get(kind, S.FAILED)
        self.settle()

    def run_state(self) -> RunState:
        """Once nothing runs."""
        assert set(self.states.values()) <= DONE, "with these rules nothing waits for ever"
        inner = {name for task in self.case.tasks for name in task.upstream}
        leaves = [state for (name, _), state in self.states.items() if name not in inner]
        return RunState.FAILED if any(state in BAD for state in leaves) else RunState.SUCCESS


class Real:
    """`advance` over a view, with an executor that has room for everything."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.pushed: set[Place] = set()
        self.view = RunView(
            run=RUN,
            logical_date=NOW,
            dag=SerializedDag(dag_id="d", fileloc="/d.py", tasks=tuple(case.tasks)),
            instances=[Instance(key=self.key((task.task_id, -1)), max_tries=task.retries) for task in case.tasks],
            lengths=lambda name, _key: {place[1]: case.lengths[name] for place in self.pushed if place[0] == name},
        )
        self.happen(Answered(answer=Answer(run=RUN, environment=Environment(), at=NOW, digest="sha256:0")))
        self.happen(RunBegan())

    def key(self, place: Place) -> TaskKey:
        return TaskKey(dag_id="d", run_id="r", task_id=place[0], map_index=place[1])

    def happen(self, event: Happening) -> None:
        for action in advance(self.view, [event], NOW):
            if isinstance(action, Wake):
                self.happen(Due(key=action.key))
            elif isinstance(action, Transition) and action.target is S.SCHEDULED:
                number = action.to_try
                queued = Transition(
                    key=action.key, source=S.SCHEDULED, target=S.QUEUED, try_number=number, to_try=number, at=NOW
                )
                self.view.move(queued)

    def end(self, place: Place) -> None:
        member = self.view.member(self.key(place))
        assert member is not None
        kind = self.case.ending(place, member.try_number)
        endings: dict[str, Ending] = {
            "succeeded": Succeeded(),
            "failed": Failed(reason="no"),
            "hopeless": Failed(reason="never", retryable=False),
            "skipped": Skipped(),
            "lost": Lost(reason="power"),
        }
        if kind == "succeeded":
            self.pushed.add(place)
        ended = TryEnded(key=self.key(place).attempt(member.try_number), outcome=Outcome(ending=endings[kind]))
        self.happen(ended)
        self.happen(ended)  # told at least once, maybe twice

    def states(self) -> dict[Place, TaskState]:
        found = self.view.members(*TaskState)
        return {
            (key.task_id, key.map_index): S.RUNNING if member.state is S.QUEUED else member.state
            for key, member in found
        }

    def tries(self) -> dict[Place, int]:
        found = self.view.members(*TaskState)
        return {(key.task_id, key.map_index): member.try_number for key, member in found if member.try_number}


VERDICTS = {S.RUNNING: Verdict.RUN, S.SKIPPED: Verdict.SKIP, S.UPSTREAM_FAILED: Verdict.UPSTREAM_FAILED}


@pytest.mark.parametrize("rule", sorted(RULES))
def test_each_rule_says_what_the_table_says(rule: str) -> None:
    states = [S.NONE, S.SUCCESS, S.FAILED, S.UPSTREAM_FAILED, S.SKIPPED]
    upstream = list(product(states, [False, True]))
    for up in (each for count in range(4) for each in product(upstream, repeat=count)):
        counts = Counts()
        for state, is_setup in up:
            counts.add(is_setup=is_setup)
            if state in DONE:
                counts.settle(state, is_setup=is_setup)
        expected = says(rule, [state for state, _ in up], [state for state, is_setup in up if is_setup])
        found = evaluate(rule, counts)
        assert found is (VERDICTS[expected] if expected else Verdict.WAIT), (rule, up)


@pytest.mark.parametrize("rule", sorted(RULES))
def test_removed_instances_are_excused(rule: str) -> None:
    for states in product([S.SUCCESS, S.FAILED, S.SKIPPED], repeat=2):
        with_removed, without = Counts(), Counts()
        for state in states:
            without.add(is_setup=False)
            without.settle(state, is_setup=False)
        for state in (*states, S.REMOVED):
            with_removed.add(is_setup=False)
            with_removed.settle(state, is_setup=False)
        assert evaluate(rule, with_removed) is evaluate(rule, without)


@settings(max_examples=300, deadline=None)
@given(cases())
def test_every_order_of_endings_gives_what_the_rules_say(case: Case) -> None:
    model, real = Model(case), Real(case)
    choices = iter(case.choices)
    while True:
        assert real.states() == model.states
        assert real.tries() == {place: count for place, count in model.tries.items() if count}
        running = model.running()
        if not running:
            break
        assert conclude(real.view, NOW) is None
        chosen = running[next(choices, 0) % len(running)]
        model.end(chosen)
        real.end(chosen)
    end = conclude(real.view, NOW)
    assert end is not None
    assert end.target is model.run_state()
