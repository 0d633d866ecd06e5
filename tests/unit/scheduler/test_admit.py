from hypothesis import given
from hypothesis import strategies as st

from airdock.model.keys import TaskKey
from airdock.scheduler.admit import Free, Lane, admit, explain
from airdock.scheduler.ready import Ready
from airdock.scheduler.room import Room
from airdock.store.records import Pool

from .conftest import make_dag, make_task


def lane(priority: int = 1, pool: str = "p", slots: int = 1, task_id: str = "", executor: str = "local") -> Lane:
    return Lane(priority=priority, executor=executor, pool=pool, pool_slots=slots, task_id=task_id)


def free(
    run: int | None = None,
    pools: dict[str, int | None] | None = None,
    executors: dict[str, int | None] | None = None,
    tasks: dict[str, int | None] | None = None,
) -> Free:
    return Free(run=run, pools=pools or {}, executors=executors or {}, tasks=tasks or {})


def test_higher_priority_takes_first_and_the_rest_is_left() -> None:
    assert admit([(lane(1), 5), (lane(9), 2)], free(run=3)) == [(lane(9), 2), (lane(1), 1)]


def test_equal_priority_keeps_the_order() -> None:
    first, second = lane(pool="a"), lane(pool="b")
    assert admit([(first, 1), (second, 1)], free(run=1)) == [(first, 1)]


def test_a_smaller_lane_overtakes_one_that_needs_more_than_is_free() -> None:
    big, small = lane(9, slots=4), lane(1, slots=1)
    assert admit([(big, 1), (small, 9)], free(pools={"p": 3})) == [(small, 3)]


def test_no_bound_takes_all() -> None:
    assert admit([(lane(), 1000)], free()) == [(lane(), 1000)]


def test_what_is_overdrawn_gives_nothing() -> None:
    assert admit([(lane(), 1)], free(run=-2)) == []


def test_each_bound_holds() -> None:
    assert admit([(lane(task_id="a"), 9)], free(tasks={"a": 2})) == [(lane(task_id="a"), 2)]
    assert admit([(lane(), 9)], free(executors={"local": 4})) == [(lane(), 4)]


def test_the_reason_for_waiting_is_named() -> None:
    assert explain(lane(), free()) == ""
    assert explain(lane(), free(run=0)) == "limit of the run"
    assert explain(lane(slots=2), free(pools={"p": 1})) == "pool p"
    assert explain(lane(), free(executors={"local": 0})) == "slot"
    assert explain(lane(task_id="a"), free(tasks={"a": 0})) == "limit of the task"


lanes = st.builds(
    lane,
    priority=st.integers(-2, 2),
    pool=st.sampled_from("pq"),
    slots=st.integers(0, 3),
    task_id=st.sampled_from(["", "a", "b"]),
    executor=st.sampled_from(["local", "far"]),
)
bounds = st.none() | st.integers(-1, 6)


@given(
    ready=st.dictionaries(lanes, st.integers(1, 5)),
    left=st.builds(
        free,
        run=bounds,
        pools=st.fixed_dictionaries({"p": bounds, "q": bounds}),
        executors=st.fixed_dictionaries({"local": bounds}),
        tasks=st.fixed_dictionaries({"a": bounds, "b": bounds}),
    ),
)
def test_nothing_is_overdrawn_and_nothing_free_is_left_unused(ready: dict[Lane, int], left: Free) -> None:
    chosen = dict(admit(ready.items(), left))
    assert all(0 < taken <= ready[each] for each, taken in chosen.items())

    def used(fits: object) -> int:
        return sum(taken for each, taken in chosen.items() if fits is None or fits(each))  # type: ignore[operator]

    def rest(each: Lane) -> list[int]:
        """What is left of everything that bounds a lane, in instances of that lane."""
        slots = sum(taken * other.pool_slots for other, taken in chosen.items() if other.pool == each.pool)
        found: list[int] = []
        if left.run is not None:
            found.append(left.run - used(None))
        if (pool := left.pools.get(each.pool)) is not None and each.pool_slots:
            found.append((pool - slots) // each.pool_slots)
        if (executor := left.executors.get(each.executor)) is not None:
            found.append(executor - used(lambda other: other.executor == each.executor))
        if (task := left.tasks.get(each.task_id)) is not None:
            found.append(task - used(lambda other: other.task_id == each.task_id))
        return found

    for each, count in ready.items():
        taken = chosen.get(each, 0)
        assert taken == 0 or min(rest(each), default=0) >= 0
        assert taken == count or min(rest(each)) <= 0


def test_a_try_waits_with_the_weight_of_its_number() -> None:
    tasks = (make_task("a", priority_weight=9, later_weights=(1,)), make_task("b", priority_weight=5))
    room = Room(pools=[Pool(name="default_pool", slots=1)], executors={"local": 1})
    ready = Ready(dag=make_dag(*tasks), default_executor="local", room=room)
    a, b = (TaskKey(dag_id="d", run_id="r", task_id=name) for name in "ab")
    ready.push(a, 1)
    ready.push(b, 1)
    ready.push(a, 2)
    ready.push(a, 7)
    assert sorted(lane.priority for lane in ready.lanes()) == [1, 5, 9]
    first, later = (next(lane for lane in ready.lanes() if lane.priority == weight) for weight in (9, 1))
    assert ready.take(first) == [a]
    ready.hold(a)
    ready.put_back([a.attempt(2)])
    assert ready.take(later) == [a]
