"""From a DAG's `schedule` as it is written to a timetable as JSON, which the scheduler makes runs by.

A timetable is described where it is understood: `scheduler.timetables`. Times without a zone are UTC.
"""

import json
import os
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from airdock.dag.assets import condition_of, is_asset
from airdock.dag.environ import SCHEDULES_VARIABLE
from airdock.dag.timetables import AssetOrTimeSchedule, Timetable, length_of
from airdock.errors import DagError

__all__ = ["asset_condition_of", "moment_of", "timetable_of"]


def timetable_of(schedule: Any, *, start: Any, where: str) -> dict[str, Any]:
    """The timetable of a schedule: None, text, timedelta or relativedelta; cron goes by the zone of the start date.

    DagError for what is none of these.
    """
    by_interval = "_interval" if os.environ.get(SCHEDULES_VARIABLE) == "interval" else ""
    if schedule is None or schedule in ([], ()):
        return {"type": "none"}
    if isinstance(schedule, str):
        if schedule in ("@once", "@continuous"):
            return {"type": schedule[1:]}
        return {"type": f"cron{by_interval}", "expression": schedule, "timezone": _zone_of(start)}
    if isinstance(schedule, timedelta):
        if schedule <= timedelta(0):
            raise DagError(f"expected a schedule that moves on, found {schedule!r}", where=where)
        return {"type": f"delta{by_interval}", "delta": schedule.total_seconds()}
    if type(schedule).__name__ == "relativedelta":
        return {"type": "delta_interval" if by_interval else "relativedelta", "delta": length_of(schedule)}
    if is_asset(schedule):
        return {"type": "asset"}
    if isinstance(schedule, Timetable):
        return _of_timetable(schedule, where)
    raise DagError(
        "expected schedule to be None, a cron expression, a preset such as @daily, a timedelta, a timetable or assets, "
        f"found {type(schedule).__name__} {schedule!r}",
        where=where,
    )


def _of_timetable(timetable: Timetable, where: str) -> dict[str, Any]:
    try:
        found = timetable.to_json()
        json.dumps(found, allow_nan=False)
        return found
    except DagError as error:
        error.where = error.where or where
        raise
    except Exception as error:  # validate() and serialize() are the author's
        kind = type(timetable).__name__
        raise DagError(f"timetable {kind} can't be used: {type(error).__name__}: {error}", where=where) from error


def asset_condition_of(schedule: Any) -> dict[str, Any] | None:
    """What assets a DAG waits for, None for none."""
    if is_asset(schedule):
        return condition_of(schedule)
    return schedule.condition() if isinstance(schedule, AssetOrTimeSchedule) else None


def moment_of(value: Any, *, name: str, where: str) -> str:
    """A start or end date as ISO 8601 in UTC, "" for none. DagError for what isn't a time."""
    if value is None:
        return ""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.replace("Z", "+00:00"))
        except ValueError as error:
            raise DagError(f"expected {name} to be a time, found {value!r}", where=where) from error
    if not isinstance(value, datetime):
        raise DagError(f"expected {name} to be a datetime, found {type(value).__name__} {value!r}", where=where)
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC).isoformat()


def _zone_of(start: Any) -> str:
    """The name of the zone of a start date: pendulum's and zoneinfo's have one, a fixed offset counts as UTC."""
    zone: tzinfo | None = getattr(start, "tzinfo", None)
    name = getattr(zone, "key", None) or getattr(zone, "name", None)
    return name if isinstance(name, str) and name and not name.startswith(("+", "-")) else "UTC"
