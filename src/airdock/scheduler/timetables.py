"""From a timetable to the next run (Airflow 3.3's rules, DST included). Pure: the time of day is an argument.

A timetable is JSON, as `SerializedDag.timetable` holds it:

    {"type": "none" | "once" | "continuous" | "asset"}
    {"type": "cron", "expression", "timezone", "interval"?, "run_immediately"?: bool | seconds}
    {"type": "multi_cron", "expressions": […], "timezone", "interval"?, "run_immediately"?}
    {"type": "delta", "delta", "interval"?}
    {"type": "relativedelta", "delta"}
    {"type": "cron_interval", "expression", "timezone"}      the run comes at the end of its interval
    {"type": "delta_interval", "delta"}                      likewise
    {"type": "events", "dates": [ISO…], "restrict_to_events"?}
    {"type": "asset_or_time", "timetable": {…}}

`delta` and `interval` are seconds, or the arguments of a `dateutil.relativedelta`. What makes the runs of a "custom"
timetable is its author's code, so that the answer comes from elsewhere. All times taken and given are aware.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from airdock.errors import DagError
from airdock.record import record
from airdock.scheduler.steps import CronSteps, DeltaSteps, Steps, parse_delta, shift

__all__ = [
    "Interval",
    "RunPlan",
    "check_timetable",
    "is_periodic",
    "list_runs",
    "manual_interval",
    "name_run",
    "next_run",
]

Interval = tuple[datetime, datetime]
"""Start and end of the data that a run is about."""

_LEAST_BUFFER = timedelta(minutes=5)
_NEVER: Final = ("none", "asset", "custom")
_STEPPING: Final = ("cron", "delta", "relativedelta", "cron_interval", "delta_interval")


@record
class RunPlan:
    """A run that is to be made. It starts at `run_after`, not before."""

    run_type: str
    run_id: str
    logical_date: datetime | None
    interval: Interval | None
    run_after: datetime


@record
class _Bounds:
    """What a next run is looked for by."""

    last: Interval | None
    now: datetime
    start: datetime | None
    end: datetime | None
    catchup: bool


def next_run(
    timetable: Mapping[str, Any],
    *,
    last: Interval | None,
    now: datetime,
    start: datetime | None = None,
    end: datetime | None = None,
    catchup: bool = False,
    run_type: str = "scheduled",
) -> RunPlan | None:
    """The run after the one with the interval `last` (None: there was none yet); None if there is none any more.

    `start` and `end` are the DAG's dates. Without catchup what was missed is left out but for the latest. DagError if
    the timetable isn't one.
    """
    bounds = _Bounds(last=last, now=now, start=start, end=end, catchup=catchup)
    found = _finder(timetable)(timetable, bounds)
    if found is None:
        return None
    interval = (found[0].astimezone(UTC), found[1].astimezone(UTC))
    return _plan(run_type, interval)


def list_runs(
    timetable: Mapping[str, Any], *, start: datetime, end: datetime, run_type: str = "backfill"
) -> Iterator[RunPlan]:
    """Every run whose logical date lies from `start` to `end`, both included, in order; none for trivial timetables."""
    last: Interval | None = None
    if not is_periodic(timetable):
        return
    while True:
        plan = next_run(timetable, last=last, now=end, start=start, catchup=True, run_type=run_type)
        if plan is None or plan.interval is None or plan.interval[0] > end:
            return
        yield plan
        last = plan.interval


def is_periodic(timetable: Mapping[str, Any]) -> bool:
    """Whether there are runs at given times, which a backfill can make."""
    if timetable["type"] == "asset_or_time":
        return is_periodic(timetable["timetable"])
    return timetable["type"] not in (*_NEVER, "once", "continuous")


def manual_interval(timetable: Mapping[str, Any], run_after: datetime) -> Interval:
    """What data a run by hand is about."""
    match timetable["type"]:
        case "cron" | "delta" | "relativedelta":
            return shift(run_after, timetable.get("interval", 0), -1), run_after
        case "multi_cron":
            return shift(run_after, timetable.get("interval", 0), -1), run_after
        case "cron_interval":
            steps = _steps(timetable)
            last = steps.align_before(run_after)
            return steps.before(last), last
        case "delta_interval":
            return _steps(timetable).before(run_after), run_after
        case "events" if timetable.get("restrict_to_events") and timetable.get("dates"):
            dates = _dates(timetable)
            moment = max((date for date in dates if date <= run_after), default=dates[0])
            return moment, moment
        case "asset_or_time":
            return manual_interval(timetable["timetable"], run_after)
        case _:
            return run_after, run_after


def name_run(run_type: str, run_after: datetime, *, suffix: str = "") -> str:
    """A run's id, as Airflow makes it; the suffix tells runs without logical date apart."""
    name = f"{run_type}__{run_after.astimezone(UTC).isoformat()}"
    return f"{name}_{suffix}" if suffix else name


def check_timetable(timetable: Mapping[str, Any]) -> None:
    """DagError if the timetable can't be understood, or doesn't move on."""
    _finder(timetable)
    if timetable["type"] == "asset_or_time":
        return check_timetable(timetable["timetable"])
    for expression in timetable.get("expressions", ()):
        _steps({**timetable, "type": "cron", "expression": expression})
    if timetable["type"] in _STEPPING:
        steps, moment = _steps(timetable), datetime(2000, 1, 1, tzinfo=UTC)
        if steps.after(moment) <= moment:
            raise DagError("expected a schedule that moves on", where=str(timetable.get("delta")))
    _dates(timetable)
    return None


def _plan(run_type: str, interval: Interval) -> RunPlan:
    start, end = interval
    return RunPlan(
        run_type=run_type, run_id=name_run(run_type, end), logical_date=start, interval=interval, run_after=end
    )


# Kinds of timetables


def _never(_timetable: Mapping[str, Any], _bounds: _Bounds) -> None:
    return None


def _once(_timetable: Mapping[str, Any], bounds: _Bounds) -> Interval | None:
    moment = bounds.start or bounds.now
    if bounds.last is not None or (bounds.end is not None and moment > bounds.end):
        return None
    return moment, moment


def _continuous(_timetable: Mapping[str, Any], bounds: _Bounds) -> Interval | None:
    """Each run is about the time since the one before."""
    start = bounds.start or bounds.now
    end = max(start, bounds.now)
    if bounds.last is not None and bounds.last[1] > bounds.now:
        end = start + (bounds.last[1] - bounds.last[0])
    elif bounds.last is not None:
        start, end = bounds.last[1], bounds.now
    return None if bounds.end is not None and end > bounds.end else (start, end)


def _triggered(timetable: Mapping[str, Any], bounds: _Bounds) -> Interval | None:
    """A run at each step; its interval is none, or as long as is asked for."""
    steps = _steps(timetable)
    candidates = [] if bounds.catchup else [steps.align_before(bounds.now)]
    if bounds.last is not None:
        candidates.append(steps.after(bounds.last[1]))
    elif bounds.start is None:
        candidates.append(_first_run(timetable, steps, bounds.now))
    if bounds.start is not None and (bounds.last is None or not bounds.catchup):
        candidates.append(steps.align_after(bounds.start))
    moment = max(candidates)
    if bounds.end is not None and moment > bounds.end:
        return None
    return shift(moment, timetable.get("interval", 0), -1), moment


def _first_run(timetable: Mapping[str, Any], steps: Steps, now: datetime) -> datetime:
    """Where nothing says when to begin: the step that has just passed, or else the next."""
    past, following = steps.align_before(now), steps.align_after(now)
    at_once = timetable.get("run_immediately", False)
    if at_once is True or isinstance(steps, DeltaSteps):
        return past
    is_given = at_once is not False and at_once is not None
    buffer = timedelta(seconds=float(at_once)) if is_given else max((following - past) / 10, _LEAST_BUFFER)
    return past if now - past <= buffer else following


def _multiple(timetable: Mapping[str, Any], bounds: _Bounds) -> Interval | None:
    """The earliest of several; without catchup the latest of those that are due, if any is."""
    singles = ({**timetable, "type": "cron", "expression": each} for each in timetable["expressions"])
    found = [interval for single in singles if (interval := _triggered(single, bounds))]
    if not found:
        return None
    due = [] if bounds.catchup else [interval for interval in found if interval[0] <= bounds.now]
    return max(due) if due else min(found)


def _by_interval(timetable: Mapping[str, Any], bounds: _Bounds) -> Interval | None:
    """A run at the end of each step, about the time since the step before."""
    steps = _steps(timetable)
    earliest = steps.align_after(bounds.start) if bounds.start is not None else None
    if not bounds.catchup:
        latest = steps.latest_start(bounds.now, bounds.start)
        earliest = latest if earliest is None else max(latest, earliest)
    if bounds.last is None:
        if earliest is None:
            return None
        begin = earliest
    else:
        begin = steps.align_before(bounds.last[1])
        begin = begin if earliest is None else max(begin, earliest)
        if begin <= bounds.last[0]:  # the schedule became coarser
            begin = steps.after(begin)
    if bounds.end is not None and begin > bounds.end:
        return None
    return begin, steps.after(begin)


def _events(timetable: Mapping[str, Any], bounds: _Bounds) -> Interval | None:
    earliest = bounds.start
    if not bounds.catchup:
        earliest = bounds.now if earliest is None else max(bounds.now, earliest)
    for moment in _dates(timetable):
        is_early = earliest is not None and moment < earliest
        if is_early or (bounds.last is not None and moment <= bounds.last[1]):
            continue
        return None if bounds.end is not None and moment > bounds.end else (moment, moment)
    return None


def _asset_or_time(timetable: Mapping[str, Any], bounds: _Bounds) -> Interval | None:
    inner: Mapping[str, Any] = timetable["timetable"]
    return _finder(inner)(inner, bounds)


_Find = Callable[[Mapping[str, Any], _Bounds], Interval | None]

_KINDS: Final[Mapping[str, _Find]] = {
    **dict.fromkeys(_NEVER, _never),
    "once": _once,
    "continuous": _continuous,
    "cron": _triggered,
    "delta": _triggered,
    "relativedelta": _triggered,
    "multi_cron": _multiple,
    "cron_interval": _by_interval,
    "delta_interval": _by_interval,
    "events": _events,
    "asset_or_time": _asset_or_time,
}


def _finder(timetable: Mapping[str, Any]) -> _Find:
    kind = str(timetable.get("type"))
    if kind not in _KINDS:
        raise DagError(f"expected a timetable of a known type, found {kind!r}", hint=", ".join(_KINDS))
    return _KINDS[kind]


def _steps(timetable: Mapping[str, Any]) -> Steps:
    if "expression" in timetable:
        return _cron_steps(str(timetable["expression"]), str(timetable.get("timezone") or "UTC"))
    if "delta" in timetable:
        return DeltaSteps(parse_delta(timetable["delta"]))
    raise DagError("expected an expression or a delta in a timetable", where=str(timetable["type"]))


@lru_cache(maxsize=4096)
def _cron_steps(expression: str, zone: str) -> CronSteps:
    try:
        return CronSteps(expression, ZoneInfo(zone))
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise DagError(f"expected a time zone such as Europe/Berlin, found {zone!r}", where=expression) from error


def _dates(timetable: Mapping[str, Any]) -> list[datetime]:
    return sorted(datetime.fromisoformat(text) for text in timetable.get("dates", ()))
