"""Who of a run waits to be queued, and who takes slots, as this scheduler knows it."""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import replace

from airdock.dag.serialized import SerializedDag, SerializedTask
from airdock.model.keys import TaskKey, TryKey
from airdock.scheduler.admit import Free, Lane, admit, explain
from airdock.scheduler.room import Room
from airdock.store.records import Limits

__all__ = ["Ready"]


class Ready:
    """The lanes of one run, and the slots that its instances take of the room that all runs share."""

    def __init__(self, *, dag: SerializedDag, default_executor: str, room: Room) -> None:
        self._dag, self._default_executor, self._room = dag, default_executor, room
        self._lane_of = {task.task_id: self._make_lane(task) for task in dag.tasks}
        self._limits_of = {task.task_id: self._make_limits(task) for task in dag.tasks}
        self._later = {
            task.task_id: [replace(self._lane_of[task.task_id], priority=weight) for weight in task.later_weights]
            for task in dag.tasks
            if task.later_weights
        }
        self._lanes: dict[Lane, deque[TaskKey]] = {}
        self._taken: set[TaskKey] = set()
        self._was_refused = False
        self._by_task: Counter[str] = Counter()

    def _make_lane(self, task: SerializedTask) -> Lane:
        limits = (task.max_active_tis_per_dag, task.max_active_tis_per_dagrun)
        return Lane(
            priority=task.priority_weight,
            executor=task.executor or self._default_executor,
            pool=task.pool,
            pool_slots=task.pool_slots,
            task_id=task.task_id if any(limit is not None for limit in limits) else "",
        )

    def _make_limits(self, task: SerializedTask) -> Limits:
        return Limits(
            pool=task.pool,
            pool_slots=task.pool_slots,
            run=self._dag.max_active_tasks,
            task=task.max_active_tis_per_dag,
            task_in_run=task.max_active_tis_per_dagrun,
        )

    def lane(self, task_id: str) -> Lane:
        return self._lane_of[task_id]

    def limits(self, task_id: str) -> Limits:
        return self._limits_of[task_id]

    def push(self, key: TaskKey, try_number: int) -> None:
        """The instance waits for this try, behind those that compete alike."""
        self._lanes.setdefault(self._lane_at(key, try_number), deque()).append(key)

    def put_back(self, tries: Iterable[TryKey]) -> None:
        """These were taken but others hold their slots: they wait again, before all others."""
        self._was_refused = True
        for key in reversed(list(tries)):
            self.free(key.task)
            self._lanes.setdefault(self._lane_at(key.task, key.try_number), deque()).appendleft(key.task)

    def _lane_at(self, key: TaskKey, try_number: int) -> Lane:
        """By the weight that the try has."""
        later = self._later.get(key.task_id)
        if not later or try_number < 2:
            return self._lane_of[key.task_id]
        return later[min(try_number - 2, len(later) - 1)]

    def lanes(self) -> list[Lane]:
        """Those in which somebody waits, the oldest first."""
        return list(self._lanes)

    def take(self, lane: Lane) -> list[TaskKey]:
        """Those of the lane that are to be queued now, in order. An instance that moved on since may be among them."""
        self._was_refused = False
        keys = self._lanes[lane]
        chosen = [keys.popleft() for _, count in admit([(lane, len(keys))], self._free()) for _ in range(count)]
        if not keys:
            del self._lanes[lane]
        return chosen

    def why(self, task_id: str) -> str:
        """What an instance of the task waits for."""
        return explain(self._lane_of[task_id], self._free())

    def hold(self, key: TaskKey) -> None:
        """The instance takes its slots."""
        self._taken.add(key)
        self._count(key, 1)

    def free(self, key: TaskKey) -> None:
        """The instance gives its slots back, if it has any."""
        if key in self._taken:
            self._taken.remove(key)
            self._count(key, -1)

    def _count(self, key: TaskKey, by: int) -> None:
        lane = self._lane_of[key.task_id]
        self._room.count(lane, by)
        if lane.task_id:
            self._by_task[lane.task_id] += by

    @property
    def taken(self) -> frozenset[TaskKey]:
        return frozenset(self._taken)

    @property
    def is_blocked(self) -> bool:
        """Whether somebody waits for room that others have to make, which nobody tells."""
        return bool(self._lanes) and (self._was_refused or self._room.is_empty)

    def leave(self) -> None:
        """The run is let go: its instances take nothing of the shared room any more."""
        for key in self._taken:
            self._count(key, -1)
        self._taken.clear()

    def _free(self) -> Free:
        limited = (lane.task_id for lane in self._lanes if lane.task_id)
        missing: dict[str, int | None] = {lane.pool: 0 for lane in self._lanes}
        return Free(
            run=self._dag.max_active_tasks - len(self._taken),
            pools={**missing, **self._room.free_pools()},
            executors=self._room.free_executors(),
            tasks={task_id: self._task_bound(task_id) for task_id in limited},
        )

    def _task_bound(self, task_id: str) -> int | None:
        limits = self._limits_of[task_id]
        bounds = [bound for bound in (limits.task, limits.task_in_run) if bound is not None]
        return min(bounds) - self._by_task[task_id] if bounds else None
