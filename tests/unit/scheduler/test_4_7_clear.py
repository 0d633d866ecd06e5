"""Reference §4.7: what begins anew when it is cleared, and what stays."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from airdock.executors.memory import MemoryExecutor
from airdock.model.keys import TaskKey
from airdock.model.outcome import Ending, Failed, Succeeded
from airdock.model.states import RunState
from airdock.model.workload import Workload
from airdock.scheduler.clear import pick_tasks

Make = Callable[..., Any]


def key(task_id: str, index: int = -1) -> TaskKey:
    return TaskKey(dag_id="d", run_id="one", task_id=task_id, map_index=index)


class Script:
    """How each try ends: as listed for its task, and well after that. Counts who ran."""

    def __init__(self, **endings: list[Ending]) -> None:
        self._endings, self.ran = endings, Counter[str]()

    def __call__(self, workload: Workload) -> Ending:
        self.ran[workload.key.task.label] += 1
        listed = self._endings.get(workload.key.task_id)
        return listed.pop(0) if listed else Succeeded()


def test_tasks_take_those_around_them_and_their_setups_and_teardowns(make_task: Make) -> None:
    tasks = [
        make_task("s", is_setup=True), make_task("a", "s"), make_task("b", "a"),
        make_task("t", "b", "s", is_teardown=True, setups=("s",)), make_task("late", "t"),
    ]  # fmt: skip
    assert pick_tasks(tasks, ["b"]) == {"s", "b", "t"}
    assert pick_tasks(tasks, ["b"], upstream=True) == {"s", "a", "b", "t"}
    assert pick_tasks(tasks, ["a"], downstream=True) == {"s", "a", "b", "t", "late"}
    assert pick_tasks(tasks, ["late"]) == {"late"}


def test_what_a_branch_skipped_is_skipped_again(make_house: Make, make_dag: Make, make_task: Make) -> None:
    """§4.6: the decision is kept, so that later clears skip again."""
    script = Script(b=[Succeeded(skip=(("x", -1),))])
    house = make_house(executor=MemoryExecutor(script=script))
    run = house.create(make_dag(make_task("b"), make_task("x", "b"), make_task("y", "b")))
    house.orchestrator.run(run)
    house.orchestrator.hands.clear(house.store.load_run(run), ["x", "y"])
    assert house.orchestrator.run(run) is RunState.SUCCESS
    assert house.states() == {"b": "success", "x": "skipped", "y": "success"}
    assert script.ran == {"b": 1, "y": 2}


def test_a_branch_that_is_cleared_decides_anew(make_house: Make, make_dag: Make, make_task: Make) -> None:
    script = Script(b=[Succeeded(skip=(("x", -1),)), Succeeded(skip=(("y", -1),))])
    house = make_house(executor=MemoryExecutor(script=script))
    run = house.create(make_dag(make_task("b"), make_task("x", "b"), make_task("y", "b")))
    house.orchestrator.run(run)
    house.orchestrator.hands.clear(house.store.load_run(run))
    house.orchestrator.run(run)
    assert house.states() == {"b": "success", "x": "success", "y": "skipped"}


@pytest.mark.parametrize("retries", [0, 2])
def test_what_is_cleared_may_be_tried_as_often_again(
    retries: int, make_house: Make, make_dag: Make, make_task: Make
) -> None:
    no = Failed(reason="no", retryable=True, delay_s=0.0)
    script = Script(a=[no] * (2 * retries + 2))
    house = make_house(executor=MemoryExecutor(script=script))
    run = house.create(make_dag(make_task("a", retries=retries)))
    assert house.orchestrator.run(run) is RunState.FAILED
    house.orchestrator.hands.clear(house.store.load_run(run))
    (row,) = house.store.list_instances(run)
    assert (row.try_number, row.max_tries) == (retries + 1, 2 * retries + 1)
    assert house.orchestrator.run(run) is RunState.FAILED
    assert script.ran["a"] == 2 * (retries + 1)
    assert [each.key.try_number for each in house.store.list_tries(run)] == list(range(1, 2 * retries + 3))


def test_a_run_that_had_ended_begins_anew(make_house: Make, make_dag: Make, make_task: Make) -> None:
    house = make_house(executor=MemoryExecutor(script=Script(a=[Failed(reason="no", retryable=False)])))
    run = house.create(make_dag(make_task("a"), make_task("b", "a")))
    assert house.orchestrator.run(run) is RunState.FAILED
    house.orchestrator.hands.clear(house.store.load_run(run), only_failed=True)
    found = house.store.load_run(run)
    assert (found.state, found.clear_number) == (RunState.QUEUED, 1)
    assert house.orchestrator.run(run) is RunState.SUCCESS


def test_one_map_index_begins_anew_alone(make_house: Make, make_dag: Make, make_task: Make) -> None:
    script = Script()
    house = make_house(executor=MemoryExecutor(script=script))
    run = house.create(make_dag(make_task("m", expand={"x": {"length": 3}}), make_task("z", "m")))
    house.orchestrator.run(run)
    house.orchestrator.hands.clear(house.store.load_run(run), ["m"], map_indexes=[1])
    assert house.orchestrator.run(run) is RunState.SUCCESS
    assert script.ran == {"m[0]": 1, "m[1]": 2, "m[2]": 1, "z": 1}
