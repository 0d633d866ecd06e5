import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from airdock.errors import ConflictError
from airdock.executors.memory import MemoryExecutor
from airdock.model.environment import Environment
from airdock.model.keys import RunKey
from airdock.model.outcome import AwaitingInput, Deferred, Ending, Failed, Lost, Rescheduled, Skipped, Succeeded
from airdock.model.progress import TaskChanged
from airdock.model.states import RunState, TaskState
from airdock.model.workload import Workload
from airdock.scheduler.points import POINTS
from airdock.store.memory import MemoryStore
from airdock.store.records import Pool

Make = Callable[..., Any]
RUN = RunKey(dag_id="d", run_id="one")


def script(**endings: list[Ending | None]) -> Callable[[Workload], Ending | None]:
    """Endings of each task, one a try; the tasks that aren't named succeed."""

    def end(workload: Workload) -> Ending | None:
        listed = endings.get(workload.key.task_id, [Succeeded()])
        return listed[min(workload.key.try_number, len(listed)) - 1]

    return end


def test_tasks_run_in_order(house: Any, make_dag: Make, make_task: Make) -> None:
    dag = make_dag(make_task("a"), make_task("b", "a"), make_task("join", "b", mode="none"), make_task("c", "join"))
    assert house.run(dag) is RunState.SUCCESS
    assert set(house.states().values()) == {"success"}
    assert house.changes("b") == ["scheduled", "queued", "running", "success"]
    assert house.changes("join") == ["success"]
    assert house.shelf.asked == [(Environment(), "a")]
    assert [each.key.task_id for each in house.orchestrator.tries(RUN)] == ["a", "b", "c"]
    assert house.executor.kept == {}
    run = house.store.load_run(RUN)
    assert (run.state, run.owner, run.reason) == (RunState.SUCCESS, "", "")


def test_an_outcome_says_when_it_was_queued_and_its_image_ready(house: Any, make_dag: Make, make_task: Make) -> None:
    house.run(make_dag(make_task("a")))
    (one,) = house.orchestrator.tries(RUN)
    assert one.outcome is not None
    assert one.outcome.times.queued == one.queued
    (answer,) = house.orchestrator.answers(RUN)
    assert one.outcome.times.image_ready == answer.at
    assert one.digest == one.outcome.digest == answer.digest == "sha256:host"


def test_a_failure_is_retried_and_then_final(make_house: Make, make_dag: Make, make_task: Make) -> None:
    house = make_house(executor=MemoryExecutor(script=script(a=[Failed(reason="no")])))
    dag = make_dag(make_task("a", retries=2, retry_delay_s=0.0), make_task("b", "a"))
    assert house.run(dag) is RunState.FAILED
    assert house.states() == {"a": "failed", "b": "upstream_failed"}
    assert len(house.orchestrator.tries(RUN)) == 3
    assert house.changes("a").count("up_for_retry") == 2
    assert house.store.load_run(RUN).reason == "failed: a"


def test_a_hopeless_failure_is_not_retried(make_house: Make, make_dag: Make, make_task: Make) -> None:
    house = make_house(executor=MemoryExecutor(script=script(a=[Failed(reason="no", retryable=False)])))
    assert house.run(make_dag(make_task("a", retries=2))) is RunState.FAILED
    assert len(house.orchestrator.tries(RUN)) == 1


def test_a_lost_try_uses_up_no_retry(make_house: Make, make_dag: Make, make_task: Make) -> None:
    endings = [Lost(reason="power"), Lost(reason="power", delay_s=0.01), Failed(reason="no"), Succeeded()]
    house = make_house(executor=MemoryExecutor(script=script(a=endings)))
    assert house.run(make_dag(make_task("a", retries=1, retry_delay_s=0.0))) is RunState.SUCCESS
    found = [type(each.outcome.ending).__name__ for each in house.orchestrator.tries(RUN) if each.outcome]
    assert found == ["Lost", "Lost", "Failed", "Succeeded"]


def test_a_rescheduled_try_goes_on_with_its_number(make_house: Make, make_dag: Make, make_task: Make) -> None:
    store, polls = MemoryStore(), Counter[str]()

    def poke(workload: Workload) -> Ending:
        polls[workload.key.task_id] += 1
        return Succeeded() if polls["a"] == 3 else Rescheduled(at=store.now())

    house = make_house(store=store, executor=MemoryExecutor(script=poke))
    assert house.run(make_dag(make_task("a"))) is RunState.SUCCESS
    assert len(house.orchestrator.tries(RUN)) == 1
    assert house.changes("a").count("up_for_reschedule") == 2


def test_a_skip_goes_on_down(make_house: Make, make_dag: Make, make_task: Make) -> None:
    house = make_house(executor=MemoryExecutor(script=script(a=[Skipped()])))
    dag = make_dag(make_task("a"), make_task("b", "a"), make_task("c", "b", trigger_rule="none_failed"))
    assert house.run(dag) is RunState.SUCCESS
    assert house.states() == {"a": "skipped", "b": "skipped", "c": "success"}


@pytest.mark.parametrize(
    ("ending", "said"), [(AwaitingInput(), "a person's answer"), (Deferred(trigger="some.Trigger"), "some.Trigger")]
)
def test_what_is_not_supported_fails_and_says_so(
    ending: Ending, said: str, make_house: Make, make_dag: Make, make_task: Make
) -> None:
    house = make_house(executor=MemoryExecutor(script=script(a=[ending])))
    assert house.run(make_dag(make_task("a", retries=1))) is RunState.FAILED
    (tried,) = house.orchestrator.tries(RUN)
    assert said in tried.outcome.ending.reason


def test_an_environment_that_cannot_be_made_fails_its_tasks(make_house: Make, make_dag: Make, make_task: Make) -> None:
    bad = Environment(requirements=("nothing==0",))
    house = make_house()
    house.shelf.failing[bad] = "no such package"
    dag = make_dag(
        make_task("first"),
        make_task("a", environment=bad, retries=3),
        make_task("b", "first", environment=bad),
        make_task("c", "a"),
    )
    assert house.run(dag) is RunState.FAILED
    assert house.states() == {"first": "success", "a": "failed", "b": "failed", "c": "upstream_failed"}
    reasons = {each.key.task_id: each.outcome.ending for each in house.orchestrator.tries(RUN) if each.outcome}
    assert reasons["a"] == reasons["b"] == Failed(reason="no such package", retryable=False)
    assert house.shelf.asked.count((bad, "a")) == 1


def test_tasks_wait_for_their_image(make_house: Make, make_dag: Make, make_task: Make) -> None:
    house = make_house()
    house.shelf.keep_back = True
    key = house.create(make_dag(make_task("a"), make_task("empty", mode="none")))
    worker = threading.Thread(target=lambda: house.orchestrator.run(key))
    worker.start()
    assert house.shelf.was_asked.wait(10)
    house.shelf.hand_out()
    worker.join(10)
    assert house.states() == {"a": "success", "empty": "success"}
    waits = [each.waiting_for for each in house.told if isinstance(each, TaskChanged) and each.key.label == "a"]
    assert waits == ["image", "", "", ""]


def test_what_a_task_waits_for_is_told(make_house: Make, make_dag: Make, make_task: Make) -> None:
    house = make_house(executor=MemoryExecutor(slots=1))
    house.shelf.keep_back = True
    key = house.create(make_dag(make_task("a"), make_task("b"), make_task("c", "a")))
    worker = threading.Thread(target=lambda: house.orchestrator.run(key))
    worker.start()
    assert house.shelf.was_asked.wait(10)
    house.shelf.hand_out()
    worker.join(10)
    waits = [each.waiting_for for each in house.told if isinstance(each, TaskChanged) and each.key.label == "b"]
    assert waits == ["image", "slot", "", "", ""]


def test_every_environment_of_the_run_is_asked_for_at_once(make_house: Make, make_dag: Make, make_task: Make) -> None:
    house = make_house()
    other = Environment(python="3.9")
    dag = make_dag(make_task("a"), make_task("b", "a", environment=other), make_task("c", "b"))
    house.run(dag)
    assert house.shelf.asked == [(Environment(), "a"), (other, "b")]


def test_a_mapped_task_runs_once_for_each_item(make_house: Make, make_dag: Make, make_task: Make) -> None:
    store = MemoryStore()

    def push(workload: Workload) -> Ending:
        if workload.key.task_id == "list":
            store.put_xcom(workload.key, name="return_value", value="[1,2,3]", length=3)
        return Succeeded()

    house = make_house(store=store, executor=MemoryExecutor(script=push))
    dag = make_dag(
        make_task("list"),
        make_task("each", "list", expand={"x": {"xcom": "list", "key": "return_value"}, "y": {"length": 2}}),
        make_task("known", expand={"x": {"length": 2}}),
        make_task("nothing", expand={"x": {"length": 0}}),
        make_task("sum", "each"),
    )
    assert house.run(dag) is RunState.SUCCESS
    states = house.states()
    assert [label for label in states if label.startswith("each")] == [f"each[{index}]" for index in range(6)]
    assert (states["known[1]"], states["nothing"], states["sum"]) == ("success", "skipped", "success")


def test_limits_hold(make_house: Make, make_dag: Make, make_task: Make) -> None:
    most: Counter[str] = Counter()
    store = MemoryStore()
    store.save_pools([Pool(name="small", slots=4)])

    class Watching(MemoryExecutor):
        def submit(self, workloads: Any, *, run_info: Any) -> None:
            found = Counter(workload.key.task_id for workload in workloads)
            rows = store.list_instances(RUN)
            now = Counter(row.key.task_id for row in rows if row.state in (TaskState.QUEUED, TaskState.RUNNING))
            assert now >= found
            for name in now:
                most[name] = max(most[name], now[name])
            most["all"] = max(most["all"], now.total())
            super().submit(workloads, run_info=run_info)

    house = make_house(store=store, executor=Watching(slots=7))
    dag = make_dag(
        make_task("pooled", expand={"x": {"length": 20}}, pool="small", pool_slots=2),
        make_task("alone", expand={"x": {"length": 20}}, max_active_tis_per_dagrun=1),
        make_task("few", expand={"x": {"length": 20}}, max_active_tis_per_dag=3),
        make_task("many", expand={"x": {"length": 20}}),
        max_active_tasks=6,
    )
    assert house.run(dag) is RunState.SUCCESS
    assert most == {"pooled": 2, "alone": 1, "few": 3, "many": 5, "all": 6}


def test_higher_priority_goes_first(make_house: Make, make_dag: Make, make_task: Make) -> None:
    order: list[str] = []

    def note(workload: Workload) -> Ending:
        order.append(workload.key.task_id)
        return Succeeded()

    house = make_house(executor=MemoryExecutor(script=note, slots=1))
    dag = make_dag(make_task("low"), make_task("high", priority_weight=9), make_task("middle", priority_weight=5))
    house.run(dag)
    assert order == ["high", "middle", "low"]


def test_slots_that_another_run_takes_are_waited_for(make_house: Make, make_dag: Make, make_task: Make) -> None:
    store = MemoryStore()
    store.save_pools([Pool(name="small", slots=1)])
    holder = make_house(store=store, executor=MemoryExecutor(script=lambda _: None))
    dag = make_dag(make_task("a", pool="small"))
    first = holder.create(dag)
    held = threading.Event()
    holder.scheduler._report = lambda each: held.set() if getattr(each, "state", "") == TaskState.RUNNING else None
    holding = threading.Thread(target=lambda: holder.orchestrator.run(first))
    holding.start()
    assert held.wait(10)
    second = make_house(store=store)
    key = second.orchestrator.create_run(dag, run_id="two")
    waiting = threading.Thread(target=lambda: second.orchestrator.run(key))
    waiting.start()
    holder.orchestrator.cancel()
    holding.join(10)
    waiting.join(10)
    assert second.states("two") == {"a": "success"}
    assert holder.states() == {"a": "scheduled"}


def test_a_cancelled_run_can_be_resumed(make_house: Make, make_dag: Make, make_task: Make) -> None:
    store = MemoryStore()
    begun = threading.Event()

    def hang(workload: Workload) -> Ending | None:
        if workload.key.task_id == "slow":
            begun.set()
            return None
        return Succeeded()

    house = make_house(store=store, executor=MemoryExecutor(script=hang))
    key = house.create(make_dag(make_task("fast"), make_task("slow"), make_task("after", "slow")))
    states: list[RunState] = []
    worker = threading.Thread(target=lambda: states.append(house.orchestrator.run(key)))
    worker.start()
    assert begun.wait(10)
    house.orchestrator.cancel()
    worker.join(10)
    assert states == [RunState.RUNNING]
    assert store.load_run(key).owner == ""
    ran: list[str] = []

    def note(workload: Workload) -> Ending:
        ran.append(workload.key.task_id)
        return Succeeded()

    again = make_house(store=store, executor=MemoryExecutor(script=note))
    assert again.orchestrator.resume("one") is RunState.SUCCESS
    assert ran == ["slow", "after"]


def test_kept_endings_come_before_lost_tries(make_house: Make, make_dag: Make, make_task: Make) -> None:
    """A process that dies after its tries ended and before it stored that: the next finds the endings."""
    store = MemoryStore()
    executor = MemoryExecutor()
    dying = make_house(store=store, executor=executor, dies_at="end.before")
    key = dying.create(make_dag(make_task("a"), make_task("b", "a")))
    with pytest.raises(SystemExit):
        dying.orchestrator.run(key)
    assert dying.states() == {"a": "queued", "b": "none"}
    ran: list[str] = []

    def note(workload: Workload) -> Ending:
        ran.append(workload.key.task_id)
        return Succeeded()

    again = make_house(store=store, executor=MemoryExecutor(script=note, kept=executor.kept))
    assert again.scheduler.run(key, displacing=store.load_run(key).owner) is RunState.SUCCESS
    assert ran == ["b"]
    assert executor.kept == {}


def test_a_run_that_somebody_works_on_is_refused(make_house: Make, make_dag: Make, make_task: Make) -> None:
    store = MemoryStore()
    house = make_house(store=store)
    key = house.create(make_dag(make_task("a")))
    other = make_house(store=store)
    store.take_run(key, owner=other.scheduler._owner, lease_s=60)
    with pytest.raises(ConflictError, match=r"process .* works on this run") as found:
        house.orchestrator.resume(key)
    assert found.value.hint
    with pytest.raises(ConflictError):
        house.orchestrator.run(key)


def test_a_failure_in_a_fail_fast_dag_stops_the_rest(make_house: Make, make_dag: Make, make_task: Make) -> None:
    def end(workload: Workload) -> Ending | None:
        return {"bad": Failed(reason="no"), "slow": None}.get(workload.key.task_id, Succeeded())

    house = make_house(executor=MemoryExecutor(script=end))
    dag = make_dag(
        make_task("slow", retries=5, priority_weight=2),
        make_task("bad"),
        make_task("after", "bad"),
        make_task("later", "slow"),
        make_task("clean", "slow", is_teardown=True, trigger_rule="all_done_setup_success"),
        fail_fast=True,
    )
    assert house.run(dag) is RunState.FAILED
    assert house.states() == {
        "slow": "failed",
        "bad": "failed",
        "after": "skipped",
        "later": "skipped",
        "clean": "success",
    }


def test_every_point_is_reached(house: Any, make_dag: Make, make_task: Make) -> None:
    house.run(make_dag(make_task("a"), make_task("b", "a")))
    assert set(house.reached) == set(POINTS)
    assert house.reached[0] == "create.before"
    assert house.reached[-1] == "release.after"


def test_a_run_that_a_person_ended_tears_down_and_then_fails(make_house: Make, make_dag: Make, make_task: Make) -> None:
    house = make_house()
    clean = make_task("clean", "work", is_teardown=True, setups=("make",), trigger_rule="all_done_setup_success")
    key = house.create(make_dag(make_task("make", is_setup=True), make_task("work", "make"), clean))
    states = {"make": TaskState.SUCCESS, "work": TaskState.RUNNING, "clean": TaskState.NONE}
    rows = {row.key: states[row.key.task_id] for row in house.store.list_instances(key)}
    house.store.force(key, rows, at=datetime(2026, 1, 1, tzinfo=UTC), run_state=RunState.RUNNING)
    changed = house.orchestrator.hands.mark_run(house.store.load_run(key), RunState.FAILED)
    assert [each.task_id for each in changed] == ["work"]
    assert house.orchestrator.resume("one") is RunState.FAILED
    assert house.states() == {"make": "success", "work": "failed", "clean": "success"}
    assert house.store.load_run(key).reason == "ended by hand"


def test_a_task_waits_for_its_pool_to_be_made(make_house: Make, make_dag: Make, make_task: Make) -> None:
    house = make_house()
    key = house.orchestrator.create_run(
        make_dag(make_task("lacks", pool="db"), make_task("other"), make_task("after", "other")),
        run_id="one",
        needs_pools=False,
    )
    states: list[RunState] = []
    worker = threading.Thread(target=lambda: states.append(house.orchestrator.run(key)))
    worker.start()
    for _ in range(1000):
        if house.states() == {"lacks": "scheduled", "other": "success", "after": "success"}:
            break
        time.sleep(0.01)
    waits = {each.task_id: wait.text for each, wait in house.orchestrator.waits(key).items()}
    assert waits == {"lacks": "pool db, which isn't there"}
    house.store.save_pools([Pool(name="db", slots=1)])
    house.scheduler.look(at_all=True)
    worker.join(20)
    assert states == [RunState.SUCCESS]


@pytest.mark.parametrize(("by_hand", "state"), [("cancel", RunState.FAILED), ("mark", RunState.SUCCESS)])
def test_a_run_that_a_person_changes_goes_on_or_ends(
    make_house: Make, make_dag: Make, make_task: Make, by_hand: str, state: RunState
) -> None:
    begun = threading.Event()

    def hang(workload: Workload) -> Ending | None:
        if workload.key.task_id == "slow":
            begun.set()
            return None
        return Succeeded()

    house = make_house(executor=MemoryExecutor(script=hang))
    key = house.create(make_dag(make_task("slow"), make_task("after", "slow")))
    states: list[RunState] = []
    worker = threading.Thread(target=lambda: states.append(house.orchestrator.run(key)))
    worker.start()
    assert begun.wait(10)
    run = house.store.load_run(key)
    if by_hand == "cancel":
        house.orchestrator.hands.mark_run(run, RunState.FAILED)
    else:
        house.orchestrator.hands.mark_tasks(run, ["slow"], TaskState.SUCCESS)
    house.scheduler.look(at_all=True)
    worker.join(20)
    assert states == [state]
    assert house.states()["after"] == ("skipped" if by_hand == "cancel" else "success")
