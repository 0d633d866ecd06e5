"""What each task instance that waits is waiting for, told from what is stored. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

from airdock.dag.serialized import SerializedDag, SerializedTask
from airdock.model.environment import Environment
from airdock.model.keys import TaskKey
from airdock.model.states import RunState, TaskState
from airdock.record import record
from airdock.scheduler.before import Before
from airdock.store.base import ACTIVE
from airdock.store.records import Answer, Instance, Pool, Run

__all__ = ["Wait", "explain_waits"]


@record
class Wait:
    """What one instance waits for.

    `kind` is one of "upstream", "past", "time", "trigger", "person", "image", "pool", "limit", "slot", "executor",
    "run" and "scheduler"; `text` says it to people, `until` is when it will be over, where that is known.
    """

    kind: str
    text: str
    until: datetime | None = None


def explain_waits(
    dag: SerializedDag,
    run: Run,
    rows: Sequence[Instance],
    *,
    others: Iterable[Instance] = (),
    pools: Sequence[Pool] = (),
    answers: Sequence[Answer] = (),
) -> dict[TaskKey, Wait]:
    """For each of the run's instances that waits; `others` are those of other runs, which take slots too."""
    return _Explain(dag, run, rows, others, pools, answers).all()


class _Explain:
    """The counts that all answers need, taken once."""

    def __init__(
        self,
        dag: SerializedDag,
        run: Run,
        rows: Sequence[Instance],
        others: Iterable[Instance],
        pools: Sequence[Pool],
        answers: Sequence[Answer],
    ) -> None:
        self._dag, self._run, self._rows = dag, run, rows
        self._tasks = {task.task_id: task for task in dag.tasks}
        self._before = Before(dag, run, rows)
        self._pools = {pool.name: pool.slots for pool in pools}
        self._made = {answer.environment for answer in answers}
        self._taken: Counter[str] = Counter()
        self._active: Counter[str] = Counter()
        for row in rows:
            self._count(row)
        self._everywhere = Counter(self._active)
        for row in others:
            self._count_other(row)

    def _count(self, row: Instance) -> None:
        if row.state in ACTIVE:
            self._taken[row.pool] += row.pool_slots
            self._active[row.key.task_id] += 1

    def _count_other(self, row: Instance) -> None:
        if row.state in ACTIVE:
            self._taken[row.pool] += row.pool_slots
            self._everywhere[row.key.task_id] += row.key.dag_id == self._dag.dag_id

    def all(self) -> dict[TaskKey, Wait]:
        waits = ((row.key, self._explain(row)) for row in self._rows)
        return {key: wait for key, wait in waits if wait is not None}

    def _explain(self, row: Instance) -> Wait | None:
        task = self._tasks.get(row.key.task_id)
        if task is None:
            return None
        match row.state:
            case TaskState.NONE:
                return self._not_scheduled(row.key)
            case TaskState.RESTARTING:
                return Wait(kind="executor", text="its try to end, which was cleared")
            case TaskState.SCHEDULED:
                return self._image(task.environment, task) or self._room(row, task)
            case TaskState.QUEUED:
                return Wait(kind="executor", text=f"executor {row.executor} to begin".replace("  ", " "))
            case TaskState.UP_FOR_RETRY:
                return Wait(kind="time", text="its next try", until=row.until)
            case TaskState.UP_FOR_RESCHEDULE:
                return Wait(kind="time", text="its next look", until=row.until)
            case TaskState.DEFERRED:
                return Wait(kind="trigger", text="its trigger", until=row.until)
            case TaskState.AWAITING_INPUT:
                return Wait(kind="person", text="somebody's answer", until=row.until)
            case _:
                return None

    def _not_scheduled(self, key: TaskKey) -> Wait:
        if self._run.state is RunState.QUEUED:
            return Wait(kind="run", text="its run to begin")
        kind, text = self._before.look(key)
        return Wait(kind=kind, text=text)

    def _image(self, environment: Environment, task: SerializedTask) -> Wait | None:
        if task.mode == "none" or environment in self._made:
            return None
        return Wait(kind="image", text=f"its image ({environment.label})")

    def _room(self, row: Instance, task: SerializedTask) -> Wait:
        limits = (
            ("max_active_tasks", self._dag.max_active_tasks, sum(self._active.values())),
            ("max_active_tis_per_dag", task.max_active_tis_per_dag, self._everywhere[task.task_id]),
            ("max_active_tis_per_dagrun", task.max_active_tis_per_dagrun, self._active[task.task_id]),
        )
        for name, most, active in limits:
            if most is not None and active >= most:
                return Wait(kind="limit", text=f"{name} ({active} of {most} active)")
        if row.pool not in self._pools:
            return Wait(kind="pool", text=f"pool {row.pool}, which isn't there")
        slots, taken = self._pools[row.pool], self._taken[row.pool]
        if 0 <= slots < taken + row.pool_slots:
            needs = f", it needs {row.pool_slots}" if row.pool_slots != 1 else ""
            return Wait(kind="pool", text=f"pool {row.pool} ({taken} of {slots} slots taken{needs})")
        return Wait(kind="slot", text="a free slot")
