"""Reference §4.2, 4.3, 4.5 and 4.6 as a slow, obvious model, against `decide` on random DAGs, endings and orders.

`AIRDOCK_MODEL_CASES` says how many cases, `AIRDOCK_MODEL_SEED` which is the first.
"""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import prod
from random import Random
from typing import Any

import pytest

from airdock.dag.serialized import SerializedDag, SerializedTask
from airdock.model.environment import Environment
from airdock.model.keys import RunKey, TaskKey
from airdock.model.outcome import Deferred, Ending, Failed, Lost, Outcome, Rescheduled, Skipped, Succeeded
from airdock.model.states import RunState, TaskState
from airdock.scheduler.advance import advance
from airdock.scheduler.decide import conclude
from airdock.scheduler.events import Answered, Due, Happening, PastSettled, RunBegan, TriggerFired, TryEnded, Wake
from airdock.scheduler.past import past_met
from airdock.scheduler.rules import RULES
from airdock.scheduler.view import RunView
from airdock.store.changes import begin_anew
from airdock.store.records import Answer, Instance, Transition

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CASES, FIRST = int(os.environ.get("AIRDOCK_MODEL_CASES", "500")), int(os.environ.get("AIRDOCK_MODEL_SEED", "0"))
S = TaskState
RUN, SKIP, FAIL = S.RUNNING, S.SKIPPED, S.UPSTREAM_FAILED
BAD, GOOD = {S.FAILED, S.UPSTREAM_FAILED}, {S.SUCCESS, S.SKIPPED, S.REMOVED}
DONE = BAD | GOOD
KINDS = ["succeeded"] * 6 + ["failed", "failed", "hopeless", "skipped", "lost", "deferred", "rescheduled"]

Place = tuple[str, int]


@dataclass
class Case:
    """A DAG, and what happens in each of a few runs."""

    dag: SerializedDag
    runs: int
    random: Random
    lengths: dict[str, int | None]
    skips: dict[str, tuple[Place, ...]]  # what a task that succeeds decides to skip
    endings: dict[tuple[int, Place], list[str]] = field(default_factory=dict)

    def ending(self, run: int, place: Place, number: int) -> str:
        """How the stretch with this number ends: of a try, or of what is left of one that had waited."""
        random = self.random
        listed = self.endings.setdefault((run, place), [random.choice(KINDS) for _ in range(random.randrange(4))])
        return listed[number] if number < len(listed) else "succeeded"


# Random DAGs


def make_case(seed: int) -> Case:
    random = Random(seed)
    count = random.choice([1, 3, 5, 8, 8, 12, 12, 20, 40])
    names = [f"t{number}" for number in range(count)]
    groups: dict[str, dict[str, Any]] = {}
    tasks: list[SerializedTask] = []
    while len(tasks) < count:
        if tasks and random.random() < 0.12:
            _add_group(random, names, tasks, groups)
        else:
            tasks.append(_make_task(random, names[len(tasks)], names[: len(tasks)]))
    _add_teardown(random, tasks)
    dag = SerializedDag(dag_id="d", fileloc="/d.py", tasks=tuple(tasks), groups=groups)
    lengths = {name: random.choice([None, 0, 1, 2, 3, 4]) for name in names}
    below = {name: [task.task_id for task in tasks if name in task.upstream] for name in names}
    skips: dict[str, tuple[Place, ...]] = {}
    for name in names:
        if below[name] and random.random() < 0.15:
            chosen = random.sample(below[name], random.randint(1, len(below[name])))
            skips[name] = tuple((each, random.choice([-1, -1, -1, 0])) for each in chosen)
    return Case(dag, random.choice([1, 1, 1, 3]), random, lengths, skips)


def _make_task(random: Random, name: str, before: list[str], **more: Any) -> SerializedTask:
    upstream = tuple(random.sample(before, min(len(before), random.choice([0, 1, 1, 2, 2, 3]))))
    rule = random.choice(sorted(RULES)) if random.random() < 0.5 else "all_success"
    past = random.random() < 0.15
    fields: dict[str, Any] = {
        "upstream": upstream,
        "trigger_rule": rule,
        "retries": random.choice([0, 0, 1, 2]),
        "mode": random.choice(["sdk", "sdk", "sdk", "none"]),
        "expand": _make_expand(random, upstream),
        "is_setup": random.random() < 0.12,
        "depends_on_past": past,
        "wait_for_downstream": past and random.random() < 0.4,
        "wait_for_past_depends_before_skipping": past and random.random() < 0.4,
    }
    return SerializedTask(task_id=name, operator="python", **(fields | more))


def _make_expand(random: Random, upstream: tuple[str, ...]) -> dict[str, dict[str, Any]] | None:
    if random.random() < 0.7:
        return None
    parts = {"a": _make_part(random, upstream), "b": _make_part(random, upstream)}
    return parts if random.random() < 0.3 else {"a": parts["a"]}


def _make_part(random: Random, upstream: tuple[str, ...]) -> dict[str, Any]:
    def leaf() -> dict[str, Any]:
        is_pushed = upstream and random.random() < 0.6
        return {"xcom": random.choice(upstream)} if is_pushed else {"length": random.randrange(4)}

    kind = random.choice(["leaf", "leaf", "leaf", "zip", "concat", "map"])
    if kind == "zip":
        return {"zip": [leaf(), leaf()], "longest": random.random() < 0.5}
    return {"concat": [leaf(), leaf()]} if kind == "concat" else {"map": leaf()} if kind == "map" else leaf()


def _add_group(
    random: Random, names: list[str], tasks: list[SerializedTask], groups: dict[str, dict[str, Any]]
) -> None:
    """A mapped group: what it is expanded over is upstream of its roots."""
    name = f"g{len(groups)}"
    outside = names[: len(tasks)]
    source = random.choice(outside)
    groups[name] = {"parent": "", "expand": {"x": random.choice([{"xcom": source}, {"length": random.randrange(4)}])}}
    inside: list[str] = []
    for task_id in names[len(tasks) : len(tasks) + random.randint(1, 4)]:
        siblings = tuple(random.sample(inside, min(len(inside), random.choice([0, 1, 1, 2]))))
        others = tuple(random.sample(outside, random.choice([0, 0, 1]))) if outside else ()
        if not siblings and "xcom" in groups[name]["expand"]["x"]:
            others = tuple(dict.fromkeys((source, *others)))
        tasks.append(_make_task(random, task_id, [], upstream=siblings + others, map_group=name, expand=None))
        inside.append(task_id)


def _add_teardown(random: Random, tasks: list[SerializedTask]) -> None:
    """The last task may end what a setup began."""
    setups = [task.task_id for task in tasks[:-1] if task.is_setup and not task.map_group]
    last = tasks[-1]
    if setups and not last.map_group:
        upstream = tuple(dict.fromkeys((*last.upstream, random.choice(setups))))
        fields = {each: getattr(last, each) for each in last.__dataclass_fields__}
        fields |= {"upstream": upstream, "setups": tuple(each for each in upstream if each in setups)}
        fields |= {"is_setup": False, "is_teardown": True, "trigger_rule": "all_done_setup_success", "expand": None}
        fields |= {"on_failure_fail_dagrun": random.random() < 0.3}
        tasks[-1] = SerializedTask(**fields)


# The model


def says(rule: str, up: list[TaskState], setups: list[TaskState]) -> TaskState | None:
    """§4.3, row by row; None is waiting. Removed instances are excused."""
    if not up:
        return RUN
    up = [each for each in up if each is not S.REMOVED]
    only_skipped = all(each is SKIP for each in up)
    done, bad = all(each in DONE for each in up), any(each in BAD for each in up)
    skipped, success = SKIP in up, S.SUCCESS in up
    match rule:
        case "always":
            return RUN
        case "all_success":
            return FAIL if bad else SKIP if skipped else RUN if done else None
        case "all_failed":
            return SKIP if success or skipped else RUN if done else None
        case "all_done":
            return RUN if done else None
        case "all_skipped":
            return SKIP if success or bad else RUN if done else None
        case "one_success" if success:
            return RUN
        case "one_success":
            return None if not done else SKIP if only_skipped else FAIL
        case "one_failed":
            return RUN if bad else SKIP if done else None
        case "one_done":
            return RUN if success or S.FAILED in up else SKIP if done else None
        case "none_failed":
            return FAIL if bad else RUN if done else None
        case "none_failed_min_one_success":
            return FAIL if bad else None if not done else RUN if success else SKIP
        case "none_skipped":
            return SKIP if skipped else RUN if done else None
        case "all_done_setup_success" if not done:
            return None
        case "all_done_setup_success":
            return RUN if not setups or S.SUCCESS in setups else SKIP if set(setups) == {SKIP} else FAIL
        case "all_done_min_one_success":
            return SKIP if skipped else None if not done else RUN if success else FAIL
    raise AssertionError(rule)


class Model:
    """One run: the states of all its instances, worked out in passes over everything until nothing changes."""

    def __init__(self, case: Case, number: int, before: "Model | None") -> None:
        self.case, self.number, self.before = case, number, before
        self.tasks = {task.task_id: task for task in case.dag.tasks}
        self.states: dict[str, dict[int, TaskState]] = {name: {-1: S.NONE} for name in self.tasks}
        self.tries: Counter[Place] = Counter()
        self.ends: Counter[Place] = Counter()
        self.fails: Counter[Place] = Counter()
        self.pushed: set[Place] = set()
        self.decided: dict[Place, tuple[Place, ...]] = {}
        self.again: set[str] = set()  # expanded in an earlier go, and not looked at since
        self.settle()

    def settle(self) -> None:
        while changes := self.one_pass():
            for (name, index), state in changes.items():
                if state is None:
                    del self.states[name][index]
                else:
                    self.states[name][index] = state
                    self.tries[name, index] += state is RUN

    def one_pass(self) -> dict[Place, TaskState | None]:
        changes: dict[Place, TaskState | None] = {}
        for name, task in self.tasks.items():
            for index, state in self.states[name].items():
                if state is S.NONE and (name, index) not in changes:
                    changes |= self.look((name, index), task)
        return changes

    @property
    def out(self) -> set[Place]:
        return {place for places in self.decided.values() for place in places}

    def look(self, place: Place, task: SerializedTask) -> dict[Place, TaskState | None]:
        verdict = self.verdict(place, task)
        if place[0] in self.again and task.map_group:
            return self.revise(task)
        is_whole = place[1] == -1 and self.case.dag.expansion(task) is not None
        if verdict is SKIP:
            return {} if task.wait_for_past_depends_before_skipping and not self.is_past_met(task) else {place: SKIP}
        if verdict is FAIL:
            return {place: FAIL}
        if is_whole and task.map_group:
            return self.expand_in_group(place, task, verdict)
        if verdict is None or (task.depends_on_past and not self.is_past_met(task)):
            return {}
        if place[0] in self.again:
            return self.revise(task)
        return self.expand(place, task) if is_whole else {place: self.begin(place, task)}

    def revise(self, task: SerializedTask) -> dict[Place, TaskState | None]:
        """§4.6, a re-run: those that there are too many of are removed, those that are missing are made."""
        found = self.length(task)
        states = self.states[task.task_id]
        waiting = [(task.task_id, index) for index, state in states.items() if state is S.NONE]
        if found is None:
            return {}
        self.again.discard(task.task_id)
        if isinstance(found, TaskState) and not self.is_none(task):
            return dict.fromkeys(waiting, found)
        length = 0 if isinstance(found, TaskState) else found
        here = [place for place in waiting if place[1] < length]
        here += [(task.task_id, index) for index in range(len(states), length)]
        gone: dict[Place, TaskState | None] = {place: S.REMOVED for place in waiting if place[1] >= length}
        if not task.map_group:
            return gone | {place: self.begin(place, task) for place in here}
        judged = [self.look(place, task) for place in here]
        return {**dict.fromkeys(here, S.NONE), **gone, **{at: to for one in judged for at, to in one.items()}}

    def is_none(self, task: SerializedTask) -> bool:
        """Whether the length is known, and 0."""
        parts = list((self.case.dag.expansion(task) or {}).values())
        whole = {self.states[name].get(-1) for part in parts for name in named(part)}
        lengths = [self.length_of(part) for part in parts]
        return not whole & (BAD | {SKIP}) and None not in lengths

    def begin(self, place: Place, task: SerializedTask) -> TaskState:
        is_out = place in self.out or (place[0], -1) in self.out
        return SKIP if is_out else S.SUCCESS if task.mode == "none" else RUN

    def expand(self, place: Place, task: SerializedTask) -> dict[Place, TaskState | None]:
        if place in self.out:
            return {place: SKIP}
        found = self.length(task)
        if found is SKIP and task.wait_for_past_depends_before_skipping and not self.is_past_met(task):
            return {}
        if not isinstance(found, int):
            return {place: found} if found else {}
        begun = {(place[0], index): self.begin((place[0], index), task) for index in range(found)}
        return {place: None, **begun}

    def expand_in_group(
        self, place: Place, task: SerializedTask, verdict: TaskState | None
    ) -> dict[Place, TaskState | None]:
        """As soon as the length is known; then each index is looked at for itself."""
        found = self.length(task)
        if found is None or (not isinstance(found, int) and verdict is None):
            return {}
        if not isinstance(found, int):
            waits = found is SKIP and task.wait_for_past_depends_before_skipping and not self.is_past_met(task)
            return {} if waits else {place: found}
        if place in self.out:
            return {place: SKIP}
        each = [(place[0], index) for index in range(found)]
        judged = [self.look(one, task) for one in each]
        return {place: None, **dict.fromkeys(each, S.NONE), **{at: to for one in judged for at, to in one.items()}}

    def length(self, task: SerializedTask) -> int | TaskState | None:
        parts = list((self.case.dag.expansion(task) or {}).values())
        sources = [name for part in parts for name in named(part)]
        if not all(state in DONE for name in sources for state in self.states[name].values()):
            unmet = [self.states[name].get(-1) for name in sources if self.states[name].get(-1) in DONE]
            return FAIL if BAD & set(unmet) else SKIP if SKIP in unmet else None
        whole = {self.states[name].get(-1) for name in sources}
        if whole & BAD:
            return FAIL
        if SKIP in whole:
            return SKIP
        lengths = [self.length_of(part) for part in parts]
        return FAIL if None in lengths else prod(each for each in lengths if each is not None) or SKIP

    def length_of(self, part: dict[str, Any]) -> int | None:
        if "length" in part:
            return int(part["length"])
        if "xcom" in part:
            name = part["xcom"]
            if -1 in self.states[name]:
                return self.case.lengths[name] if (name, -1) in self.pushed else None
            return sum(place[0] == name for place in self.pushed)
        inner = [self.length_of(each) for each in part.get("zip", part.get("concat", [part.get("map")]))]
        if None in inner:
            return None
        lengths = [each for each in inner if each is not None]
        return (max(lengths) if part["longest"] else min(lengths)) if "zip" in part else sum(lengths)

    def verdict(self, place: Place, task: SerializedTask) -> TaskState | None:
        up = [state for name in task.upstream for state in self.seen(place, task, name)]
        setups = [name for name in task.upstream if self.tasks[name].is_setup]
        found = says(task.trigger_rule, up, [state for name in setups for state in self.seen(place, task, name)])
        if task.trigger_rule == "always":
            return found
        inside = [state for name in self.scope(task) for state in self.seen(place, task, name)]
        if task.is_teardown:
            return None if found is RUN and not all(state in DONE for state in inside) else found
        if any(state in BAD for state in inside):
            return FAIL
        if SKIP in inside:
            return SKIP
        return None if found is RUN and set(inside) - {S.SUCCESS, S.REMOVED} else found

    def seen(self, place: Place, task: SerializedTask, name: str) -> list[TaskState]:
        """The instances of another task that one looks at: in the same mapped group those of its own index."""
        states = self.states[name]
        if not task.map_group or self.tasks[name].map_group != task.map_group:
            return list(states.values())
        return [state for index, state in states.items() if index in (-1, place[1])]

    def scope(self, task: SerializedTask) -> set[str]:
        above = self.above(task.task_id)
        if task.is_teardown:
            own = {*task.setups, *(name for name in task.upstream if self.tasks[name].is_setup)}
            return {name for name in above if self.above(name) & own} - set(task.upstream)
        setups = {name for name in above if self.tasks[name].is_setup and self.is_open(name, task.task_id)}
        return setups - set(task.upstream)

    def is_open(self, setup: str, task_id: str) -> bool:
        """Whether a teardown of the setup comes after the task; what has none is open for all."""
        ends = [each for each in self.tasks.values() if each.is_teardown and setup in (*each.setups, *each.upstream)]
        return not ends or any(task_id in self.above(each.task_id) for each in ends)

    def above(self, task_id: str) -> set[str]:
        found, left = set[str](), [task_id]
        while left:
            new = set(self.tasks[left.pop()].upstream) - found
            found |= new
            left += new
        return found

    def is_past_met(self, task: SerializedTask) -> bool:
        """§4.5: the run before, in its own instances and where asked in those directly below."""
        if self.before is None or not task.depends_on_past:
            return True
        below = [each.task_id for each in self.tasks.values() if task.task_id in each.upstream]
        looked_at = [task.task_id, *(below if task.wait_for_downstream else ())]
        return all(state in GOOD for name in looked_at for state in self.before.states[name].values())

    def going(self) -> list[Place]:
        return sorted(
            (name, index)
            for name, states in self.states.items()
            for index, state in states.items()
            if state in (RUN, S.DEFERRED)
        )

    def happen(self, place: Place) -> None:
        """The next thing happens to what goes on; retries and looks follow at once."""
        name, index = place
        if self.states[name][index] is S.DEFERRED:
            self.states[name][index] = RUN
            return
        kind = self.case.ending(self.number, place, self.ends[place])
        self.ends[place] += 1
        self.fails[place] += kind == "failed"
        if kind == "deferred":
            self.states[name][index] = S.DEFERRED
        elif kind == "lost" or (kind == "failed" and self.fails[place] <= self.tasks[name].retries):
            self.tries[place] += 1
        elif kind != "rescheduled":
            if kind == "succeeded":
                self.pushed.add(place)
                self.decided[place] = self.case.skips.get(name, ())
                self.rule_out(self.decided[place])
            self.states[name][index] = {"succeeded": S.SUCCESS, "skipped": SKIP}.get(kind, S.FAILED)
            self.settle()

    def rule_out(self, places: tuple[Place, ...]) -> None:
        for name, index in places:
            task = self.tasks[name]
            if task.wait_for_past_depends_before_skipping and not self.is_past_met(task):
                continue
            for each, state in self.states[name].items():
                if state is S.NONE and index in (-1, each):
                    self.states[name][each] = SKIP

    def clear(self, task_ids: set[str]) -> None:
        """§4.7: what has ended begins anew and may be tried as often again."""
        for name in sorted(task_ids):
            for index, state in self.states[name].items():
                if state in DONE:
                    self.states[name][index] = S.NONE
                    self.fails[name, index] = 0
                    self.pushed.discard((name, index))
                    self.decided.pop((name, index), None)
        self.again = {name for name, states in self.states.items() if -1 not in states}
        self.settle()

    def run_state(self) -> RunState | None:
        """§4.1, once nothing goes on."""
        states = [(name, state) for name, each in self.states.items() for state in each.values()]
        waiting = [name for name, state in states if state not in DONE]
        if any(self.tasks[name].depends_on_past for name in waiting):
            return None
        ignored = {t.task_id for t in self.tasks.values() if t.is_teardown and not t.on_failure_fail_dagrun}
        inner = {up for t in self.tasks.values() if t.task_id not in ignored for up in t.upstream}
        bad = any(state in BAD for name, state in states if name not in inner | ignored)
        return RunState.FAILED if waiting or bad else RunState.SUCCESS


def named(part: dict[str, Any]) -> Iterator[str]:
    if "xcom" in part:
        yield part["xcom"]
    for inner in [*part.get("zip", ()), *part.get("concat", ()), *([part["map"]] if "map" in part else ())]:
        yield from named(inner)


# What is tried


class Real:
    """`advance` over a view, with room for everything."""

    def __init__(self, case: Case, number: int, before: "Real | None") -> None:
        self.case, self.number, self.before = case, number, before
        self.run = RunKey(dag_id="d", run_id=f"r{number}")
        self.pushed: set[Place] = set()
        self.ends: Counter[Place] = Counter()
        self.below = {t.task_id: [e.task_id for e in case.dag.tasks if t.task_id in e.upstream] for t in case.dag.tasks}
        self.decided: dict[Place, tuple[Place, ...]] = {}
        self.take_up([Instance(key=self.key((t.task_id, -1)), max_tries=t.retries) for t in case.dag.tasks])

    def take_up(self, rows: list[Instance]) -> None:
        """As a scheduler does that comes new to the run."""
        case = self.case
        self.view = RunView(
            run=self.run,
            logical_date=NOW + timedelta(days=self.number),
            dag=case.dag,
            instances=rows,
            lengths=lambda name, _key: {place[1]: case.lengths[name] for place in self.pushed if place[0] == name},
            decided=[(self.key(place), places) for place, places in self.decided.items()],
            past=self.past,
            can_defer=True,
        )
        self.advance(Answered(answer=Answer(run=self.run, environment=Environment(), at=NOW, digest="sha256:0")))
        self.advance(RunBegan())

    def rows(self) -> list[Instance]:
        found = self.view.members(*TaskState)
        return [
            Instance(
                key=k, state=m.state, try_number=m.try_number, max_tries=m.max_tries, next=m.next, trigger=m.trigger
            )
            for k, m in found
        ]

    def clear(self, task_ids: set[str]) -> None:
        rows = [row for row in self.rows() if row.key.task_id in task_ids and row.state in DONE]
        places = {(row.key.task_id, row.key.map_index) for row in rows}
        self.pushed -= places
        self.decided = {place: out for place, out in self.decided.items() if place not in places}
        anew = {row.key: begin_anew(row, self.case.dag.task(row.key.task_id).retries) for row in rows}
        self.take_up([anew.get(row.key, row) for row in self.rows()])

    def key(self, place: Place) -> TaskKey:
        return self.run.task(place[0], place[1]) if hasattr(self.run, "task") else TaskKey(
            dag_id="d", run_id=self.run.run_id, task_id=place[0], map_index=place[1]
        )  # fmt: skip

    def past(self, task_id: str) -> bool:
        if self.before is None:
            return True
        states: dict[str, list[TaskState]] = {}
        for (name, _), state in self.before.states().items():
            states.setdefault(name, []).append(state)
        return past_met(
            self.view.task(task_id), date=NOW, before=states, has_ever_run=True, downstream=self.below[task_id]
        )

    def advance(self, event: Happening) -> None:
        for action in advance(self.view, [event], NOW):
            if isinstance(action, Wake):
                self.advance(Due(key=action.key))
            elif isinstance(action, Transition) and action.target is S.SCHEDULED:
                self.view.move(
                    Transition(key=action.key, source=S.SCHEDULED, target=S.QUEUED, try_number=action.to_try,
                               to_try=action.to_try, at=NOW, next=action.next)
                )  # fmt: skip

    def look_back(self) -> None:
        for task in self.case.dag.tasks:
            if task.depends_on_past and self.view.waiting(task.task_id):
                self.advance(PastSettled(task_id=task.task_id))

    def happen(self, place: Place) -> None:
        member = self.view.member(self.key(place))
        assert member is not None
        if member.state is S.DEFERRED:
            self.advance(TriggerFired(key=self.key(place), event=1))
            return
        kind = self.case.ending(self.number, place, self.ends[place])
        self.ends[place] += 1
        if kind == "succeeded":
            self.pushed.add(place)
            self.decided[place] = self.case.skips.get(place[0], ())
        ended = TryEnded(
            key=self.key(place).attempt(member.try_number), outcome=Outcome(ending=self.ending(kind, place))
        )
        self.advance(ended)

    def ending(self, kind: str, place: Place) -> Ending:
        endings: dict[str, Ending] = {
            "succeeded": Succeeded(skip=self.case.skips.get(place[0], ())),
            "failed": Failed(reason="no"),
            "hopeless": Failed(reason="never", retryable=False),
            "skipped": Skipped(),
            "lost": Lost(reason="power"),
            "deferred": Deferred(trigger="x.Y"),
            "rescheduled": Rescheduled(at=NOW),
        }
        return endings[kind]

    def states(self) -> dict[Place, TaskState]:
        found = self.view.members(*TaskState)
        return {(k.task_id, k.map_index): RUN if m.state is S.QUEUED else m.state for k, m in found}

    def tries(self) -> dict[Place, int]:
        found = self.view.members(*TaskState)
        return {(k.task_id, k.map_index): m.try_number for k, m in found if m.try_number}


def play(seed: int) -> None:
    """A few runs of a random DAG, some of them taken up anew on the way, and some of it done again."""
    case = make_case(seed)
    models: list[Model] = []
    reals: list[Real] = []
    for number in range(case.runs):
        models.append(Model(case, number, models[-1] if models else None))
        reals.append(Real(case, number, reals[-1] if reals else None))
    finish(case, models, reals, seed)
    if seed % 2:
        number, chosen = case.random.randrange(case.runs), case.random.choice(case.dag.tasks).task_id
        tasks = {chosen, *(t.task_id for t in case.dag.tasks if chosen in models[0].above(t.task_id))}
        tasks = tasks if seed % 4 == 1 else {chosen}
        if case.runs == 1:  # else what the other runs pushed would change too
            case.lengths.update({name: case.random.choice([None, 0, 1, 2, 3, 4]) for name in sorted(tasks)})
        models[number].clear(tasks)
        reals[number].clear(tasks)
        finish(case, models, reals, seed)


def finish(case: Case, models: list[Model], reals: list[Real], seed: int) -> None:
    for _ in range(100_000):
        for model, real in zip(models, reals, strict=True):
            expected = {(name, index): s for name, each in model.states.items() for index, s in each.items()}
            assert real.states() == expected, seed
            assert real.tries() == {place: count for place, count in model.tries.items() if count}, seed
        going = [(number, place) for number, model in enumerate(models) for place in model.going()]
        if not going:
            break
        number, place = case.random.choice(going)
        assert conclude(reals[number].view, NOW) is None, seed
        models[number].happen(place)
        reals[number].happen(place)
        if case.random.random() < 0.05:
            reals[number].take_up(reals[number].rows())
        for model, real in list(zip(models, reals, strict=True))[number + 1 :]:
            model.settle()
            real.look_back()
    for model, real in zip(models, reals, strict=True):
        end = conclude(real.view, NOW)
        assert (end.target if end else None) == model.run_state(), seed


@pytest.mark.parametrize("tenth", range(10))
def test_random_runs_go_as_the_reference_says(tenth: int) -> None:
    for seed in range(FIRST + tenth, FIRST + CASES, 10):
        play(seed)
