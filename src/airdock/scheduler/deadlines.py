"""When runs have to have ended, by Airflow's rules; and has called what is to be called where they haven't."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from airdock.dag.serialized import SerializedDag
from airdock.errors import ConfigError, UnknownRunError
from airdock.model.keys import RunKey
from airdock.model.states import RUN_FINISHED
from airdock.scheduler.describe import describe_missed
from airdock.store.base import Store
from airdock.store.filters import RunFilter
from airdock.store.records import CallbackRow, Deadline, Run

__all__ = ["DeadlineWatch", "reckon_deadlines"]

_MOST_AT_ONCE: Final = 100
"""How many are missed in one transaction, so that a server that was down for long holds up nobody."""


def reckon_deadlines(
    dag: SerializedDag, run: Run, *, store: Store, variable: Callable[[str], str | None]
) -> list[Deadline]:
    """The deadlines of a run that is being made; none for those whose reference has no time for it.

    `variable` gives the text of a variable. ConfigError where an interval's isn't there, or no whole number of seconds.
    """
    found = []
    for alert in dag.deadlines:
        since = _since(alert["reference"], run, store)
        if since is not None:
            due = since + _interval(alert["interval"], variable, where=f"DAG {dag.dag_id}")
            found.append(Deadline(run=run.key, due=due, alert=alert))
    return found


def _since(reference: Mapping[str, Any], run: Run, store: Store) -> datetime | None:
    match reference["type"]:
        case "logical_date":
            return run.logical_date
        case "fixed_datetime":
            return datetime.fromisoformat(reference["at"])
        case "average_runtime":
            times = _times_taken(store, run.key.dag_id, int(reference["max_runs"]))
            too_few = len(times) < int(reference["min_runs"])
            return None if too_few else run.created + sum(times, timedelta()) / len(times)
        case _:
            return run.created


def _times_taken(store: Store, dag_id: str, most: int) -> list[timedelta]:
    """How long the DAG's newest runs took, of those that ended, whichever way."""
    ended = store.find_runs(RunFilter(dag_id=dag_id, states=RUN_FINISHED, limit=most))
    return [run.ended - run.started for run in ended if run.started is not None and run.ended is not None]


def _interval(interval: Mapping[str, Any], variable: Callable[[str], str | None], *, where: str) -> timedelta:
    name = interval.get("variable")
    if name is None:
        return timedelta(seconds=interval["seconds"])
    text = variable(name)
    try:
        return timedelta(seconds=int(text or ""))
    except ValueError:  # what a variable has may be a secret
        found = "that there is none" if text is None else "another text"
        raise ConfigError(
            f"expected variable {name!r} to be a whole number of seconds, for a deadline, found {found}",
            where=where,
            hint=f"airdock variables set {name} 900",
        ) from None


class DeadlineWatch:
    """A duty. It watches over one run, or over all there are; `called` is told that there are callbacks to be called.

    A run that ended before its deadline isn't late, however it ended. Of several that watch, one has the callback of a
    missed deadline called.
    """

    def __init__(self, *, store: Store, called: Callable[[], object], run: RunKey | None = None) -> None:
        self._store, self._called, self._run = store, called, run

    def watch(self, now: datetime) -> float | None:
        """Take out what is due by now; returns the seconds until the next is, None if there is none."""
        due = self._store.next_deadline(run=self._run)
        if due is not None and due <= now:
            self._take_out(self._store.list_deadlines(run=self._run, until=now)[:_MOST_AT_ONCE], now)
            due = self._store.next_deadline(run=self._run)
        return None if due is None else max((due - now) / timedelta(seconds=1), 0.0)

    def _take_out(self, deadlines: Sequence[Deadline], now: datetime) -> None:
        calls = [(each, self._call(each, now)) for each in deadlines]
        self._store.end_deadlines(calls)
        if any(call is not None for _, call in calls):
            self._called()

    def _call(self, deadline: Deadline, now: datetime) -> CallbackRow | None:
        """What is to be called; None where the run ended in time."""
        try:
            run = self._store.load_run(deadline.run)
        except UnknownRunError:
            return None
        if run.state in RUN_FINISHED and run.ended is not None and run.ended <= deadline.due:
            return None
        dag = SerializedDag.from_dict(self._store.load_dag(run.dag_digest))
        return CallbackRow(call=describe_missed(dag, run, deadline), created=now)
