"""Makes the runs that schedules ask for, when they are due."""

import contextlib
import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

from airdock.dag.serialized import SerializedDag
from airdock.errors import AirdockError, ConfigError, ConflictError
from airdock.record import record
from airdock.scheduler.asking import AskedTimetables, Pending, is_custom
from airdock.scheduler.runs import is_continuous, most_active_runs
from airdock.scheduler.timetables import Interval, RunPlan, next_run
from airdock.store.base import Store
from airdock.store.filters import RunFilter
from airdock.store.records import Run

__all__ = ["Planner"]

_SCHEDULED: Final = "scheduled"
_MOST_AT_ONCE: Final = 100
"""How many runs of one DAG are made in one go, so that a long catchup holds up nobody."""

_RETRY_CONFIG: Final = timedelta(seconds=5)
"""How often to try again where a pool, an executor or a variable isn't there."""

_RETRY_FAILED: Final = timedelta(minutes=1)
"""How long to leave a schedule alone that failed, such as an author's code."""

_log = logging.getLogger(__name__)


@record
class _Next:
    """What comes next of a DAG as it was when this was reckoned; `plan` is None where nothing does."""

    dag: SerializedDag
    plan: RunPlan | None


@record
class _Refusal:
    """Why the DAG as it was then has no next run, and when to look again."""

    dag: SerializedDag
    message: str
    again: datetime


class Planner:
    """A duty: `plan` makes what is due, and says when it wants to be called again.

    `dags` are those to look after, by id, without those that are paused. `create` makes a run, and raises
    ConflictError if it is there. `asked` knows the runs of timetables that are authors' code. No more runs of a DAG are
    made than may go on at a time.
    """

    def __init__(
        self,
        *,
        store: Store,
        dags: Callable[[], Mapping[str, SerializedDag]],
        create: Callable[[SerializedDag, RunPlan], object],
        asked: AskedTimetables | None = None,
    ) -> None:
        self._store, self._dags, self._create, self._asked = store, dags, create, asked
        self._next: dict[str, _Next] = {}
        self._refused: dict[str, _Refusal] = {}

    def plan(self, now: datetime) -> float | None:
        """Make what is due; returns the seconds until something is next, None if nothing is."""
        dags = self._dags()
        self._next = {dag_id: each for dag_id, each in self._next.items() if dags.get(dag_id) is each.dag}
        pauses = []
        for dag in dags.values():
            with contextlib.suppress(Pending):
                if (due := self._try(dag, now)) is not None:
                    pauses.append(max((due - now) / timedelta(seconds=1), 0.0))
        return min(pauses) if pauses else None

    def _try(self, dag: SerializedDag, now: datetime) -> datetime | None:
        """As `_plan`, or when to try again where that went wrong."""
        refused = self._refused.get(dag.dag_id)
        if refused is not None and refused.dag is dag and now < refused.again <= now + _RETRY_FAILED:
            return refused.again
        try:
            due = self._plan(dag, now)
        except ConfigError as error:  # somebody may set it right meanwhile, and let us look
            self._refuse(dag, error, again=now)
            return now + _RETRY_CONFIG
        except AirdockError as error:
            self._refuse(dag, error, again=now + _RETRY_FAILED)
            return now + _RETRY_FAILED
        self._refused.pop(dag.dag_id, None)
        return due

    def _refuse(self, dag: SerializedDag, error: AirdockError, *, again: datetime) -> None:
        told = self._refused.get(dag.dag_id)
        if told is None or told.message != error.message:
            _log.error("DAG %s can't be scheduled: %s", dag.dag_id, error)
        self._refused[dag.dag_id] = _Refusal(dag=dag, message=error.message, again=again)

    def _plan(self, dag: SerializedDag, now: datetime) -> datetime | None:
        """When the DAG's next run is due. None where there is none, or where one of its runs has to end first."""
        if dag.dag_id not in self._next or is_continuous(dag):  # whose next run is about the time until it begins
            self._look_ahead(dag, self._find_last(dag), now)
        room: int | None = None
        for _ in range(_MOST_AT_ONCE):
            plan = self._next[dag.dag_id].plan
            if plan is None or plan.run_after > now:
                return plan.run_after if plan else None
            room = self._count_room(dag) if room is None else room - 1
            if room <= 0:
                return None
            self._make(dag, plan)
            self._look_ahead(dag, plan.interval, now)
        return now

    def _look_ahead(self, dag: SerializedDag, last: Interval | None, now: datetime) -> None:
        if self._asked is not None and is_custom(dag.timetable):
            self._next.pop(dag.dag_id, None)  # what is pending is looked for from the last run that was made
            self._next[dag.dag_id] = _Next(dag=dag, plan=self._asked.next_run(dag, last))
            return
        plan = next_run(
            dag.timetable,
            last=last,
            now=now,
            start=_parse(dag.start_date),
            end=_parse(dag.end_date),
            catchup=dag.catchup,
        )
        self._next[dag.dag_id] = _Next(dag=dag, plan=plan)

    def _make(self, dag: SerializedDag, plan: RunPlan) -> None:
        try:
            self._create(dag, plan)
        except ConflictError:
            _log.info("run %s of %s is there already", plan.run_id, dag.dag_id)

    def _count_room(self, dag: SerializedDag) -> int:
        begun = self._store.count_open_runs()
        return most_active_runs(dag) - sum(number for (dag_id, _), number in begun.items() if dag_id == dag.dag_id)

    def _find_last(self, dag: SerializedDag) -> Interval | None:
        """The interval of the newest run that a schedule asked for."""
        wanted = RunFilter(dag_id=dag.dag_id, types=[_SCHEDULED], by_date=True, limit=1)
        return next((interval for run in self._store.find_runs(wanted) if (interval := _interval(run))), None)


def _interval(run: Run) -> Interval | None:
    """The run's interval; of a run that an older Airdock made, from its logical date to the time that its id names."""
    if run.interval_start is not None and run.interval_end is not None:
        return run.interval_start, run.interval_end
    if run.logical_date is None:
        return None
    try:
        after = datetime.fromisoformat(run.key.run_id.partition("__")[2])
    except ValueError:
        return None
    return min(run.logical_date, after), after


def _parse(date: str) -> datetime | None:
    return datetime.fromisoformat(date) if date else None
