"""What comes after a run: until when it is the latest."""

from datetime import datetime

from airdock.dag.serialized import SerializedDag
from airdock.scheduler.asking import Ask, ask_following, is_custom
from airdock.scheduler.timetables import next_run
from airdock.store.records import Run

__all__ = ["find_following"]


def find_following(dag: SerializedDag, run: Run, ask: Ask) -> datetime | None:
    """The end of the interval after the run's, as its schedule has it; None where nothing follows.

    DagError where an author's timetable, which `ask` asks, fails.
    """
    moment = run.logical_date or run.run_after or run.created
    last = (run.interval_start or moment, run.interval_end or moment)
    if is_custom(dag.timetable):
        plan = ask_following(ask, dag, last)
    else:
        plan = next_run(dag.timetable, last=last, now=last[1], start=last[1], catchup=True)
    return plan.interval[1] if plan is not None and plan.interval is not None else None
