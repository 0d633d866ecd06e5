"""Who of those that are ready is queued now: priority, pools, limits, executor slots. Pure.

Instances that compete alike stand in one lane, first come first served, so that admitting looks at lanes and not at
every instance that waits.
"""

from collections.abc import Iterable, Mapping

from airdock.record import record

__all__ = ["Free", "Lane", "admit", "explain"]


@record
class Lane:
    """What instances have in common that wait in one line. `task_id` is set where the task has limits of its own."""

    priority: int
    executor: str
    pool: str
    pool_slots: int
    task_id: str = ""


@record
class Free:
    """What is left, as far as this scheduler knows; None is no bound, and a name that isn't there has none.

    `run` counts instances of the run, `pools` slots, `executors` instances, `tasks` instances of each limited task.
    """

    run: int | None
    pools: Mapping[str, int | None]
    executors: Mapping[str, int | None]
    tasks: Mapping[str, int | None]


def admit(ready: Iterable[tuple[Lane, int]], free: Free) -> list[tuple[Lane, int]]:
    """How many of each lane are queued: higher priority first, then in the given order.

    A lane that needs more slots than are free doesn't hold up the ones behind it.
    """
    left = _Left(free)
    ranked = sorted(ready, key=lambda each: -each[0].priority)
    return [(lane, taken) for lane, count in ranked if (taken := left.take(lane, count))]


def explain(lane: Lane, free: Free) -> str:
    """What an instance in this lane waits for, in a few words; empty if nothing."""
    if (bound := free.tasks.get(lane.task_id)) is not None and bound <= 0:
        return "limit of the task"
    if free.run is not None and free.run <= 0:
        return "limit of the run"
    if (bound := free.pools.get(lane.pool)) is not None and bound < lane.pool_slots:
        return f"pool {lane.pool}"
    if (bound := free.executors.get(lane.executor)) is not None and bound <= 0:
        return "slot"
    return ""


class _Left:
    """What is left while lanes take from it."""

    def __init__(self, free: Free) -> None:
        self._run = free.run
        self._pools = dict(free.pools)
        self._executors = dict(free.executors)
        self._tasks = dict(free.tasks)

    def take(self, lane: Lane, wanted: int) -> int:
        slots = self._pools.get(lane.pool)
        by_pool = None if slots is None or lane.pool_slots == 0 else slots // lane.pool_slots
        bounds = (wanted, self._run, by_pool, self._executors.get(lane.executor), self._tasks.get(lane.task_id))
        taken = max(min(bound for bound in bounds if bound is not None), 0)
        if self._run is not None:
            self._run -= taken
        _reduce(self._pools, lane.pool, taken * lane.pool_slots)
        _reduce(self._executors, lane.executor, taken)
        _reduce(self._tasks, lane.task_id, taken)
        return taken


def _reduce(left: dict[str, int | None], name: str, by: int) -> None:
    bound = left.get(name)
    if bound is not None:
        left[name] = bound - by
