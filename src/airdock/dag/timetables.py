"""Timetables as DAG files write them, and the base of those that people write themselves.

The scheduler computes with the JSON that `to_json` gives (`scheduler.timetables`). A class of one's own is asked in a
container: see `dag.ask_timetable`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any, Final, NamedTuple, Self

from airdock.dag.assets import condition_of
from airdock.errors import DagError

__all__ = [
    "AssetOrTimeSchedule",
    "ContinuousTimetable",
    "CronDataIntervalTimetable",
    "CronTriggerTimetable",
    "DagRunInfo",
    "DataInterval",
    "DatasetOrTimeSchedule",
    "DeltaDataIntervalTimetable",
    "DeltaTriggerTimetable",
    "EventsTimetable",
    "MultipleCronTriggerTimetable",
    "NullTimetable",
    "OnceTimetable",
    "TimeRestriction",
    "Timetable",
    "length_of",
    "zone_name",
]


_SCHEDULER: Final = "airdock.scheduler.timetables"
"""Where runs are computed. The layer above this folder, so it is plugged in by name: only subclasses ask it."""


class DataInterval(NamedTuple):
    """The time that a run's data is of."""

    start: datetime
    end: datetime

    @classmethod
    def exact(cls, at: datetime) -> Self:
        """An interval of no length."""
        return cls(at, at)


class TimeRestriction(NamedTuple):
    """What the DAG says of its runs: their first and last date, and whether those that were missed are made up."""

    earliest: datetime | None
    latest: datetime | None
    catchup: bool


@dataclass(frozen=True)
class DagRunInfo:
    """A run that is to be made, not before `run_after`."""

    run_after: datetime
    data_interval: DataInterval | None
    partition_key: str | None = None
    partition_date: datetime | None = None

    @classmethod
    def exact(cls, at: datetime) -> Self:
        """A run at that time, with an interval of no length."""
        return cls(run_after=at, data_interval=DataInterval.exact(at))

    @classmethod
    def interval(cls, start: datetime, end: datetime) -> Self:
        """A run at the end of its interval."""
        return cls(run_after=end, data_interval=DataInterval(start, end))

    @property
    def logical_date(self) -> datetime | None:
        return self.data_interval.start if self.data_interval is not None else None


class Timetable:
    """When runs are made. Subclasses say it in `next_dagrun_info` and `infer_manual_data_interval`."""

    description: str = ""
    periodic: bool = True
    can_be_scheduled: bool = True
    run_ordering: Sequence[str] = ("data_interval_end", "logical_date")
    active_runs_limit: int | None = None
    asset_condition: Any = None

    @property
    def summary(self) -> str:
        return type(self).__name__

    def serialize(self) -> dict[str, Any]:
        """What `deserialize` makes it of again, as JSON."""
        return {}

    @classmethod
    def deserialize(cls, data: Mapping[str, Any]) -> "Timetable":
        """The timetable of what `serialize` gave."""
        return cls()

    def validate(self) -> None:
        """Raise for arguments that make no sense."""

    def infer_manual_data_interval(self, *, run_after: datetime) -> DataInterval:
        """The interval of a run that is triggered by hand."""
        raise NotImplementedError(f"{type(self).__name__} has no infer_manual_data_interval()")

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """The run after the one with that interval; None if there is none any more."""
        raise NotImplementedError(f"{type(self).__name__} has no next_dagrun_info()")

    def generate_run_id(
        self, *, run_type: Any, run_after: datetime, data_interval: DataInterval | None, **more: Any
    ) -> str:
        """The id of a run."""
        return f"{getattr(run_type, 'value', run_type)}__{run_after.isoformat()}"

    def to_json(self) -> dict[str, Any]:
        """As `SerializedDag.timetable`."""
        self.validate()
        return {
            "type": "custom",
            "classpath": f"{type(self).__module__}.{type(self).__qualname__}",
            "data": self.serialize(),
            "periodic": bool(self.periodic),
            "active_runs_limit": self.active_runs_limit,
        }

    def __str__(self) -> str:
        return self.summary


class _Known(Timetable):
    """One that the scheduler computes by itself. A subclass of an author's isn't: it is asked."""

    def to_json(self) -> dict[str, Any]:
        if type(self).__module__ != __name__:
            return super().to_json()
        self.validate()
        return self.serialize()

    def infer_manual_data_interval(self, *, run_after: datetime) -> DataInterval:
        start, end = import_module(_SCHEDULER).manual_interval(self._json(), _plain(run_after))
        return DataInterval(_pendulum(start), _pendulum(end))

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        last = last_automated_data_interval
        plan = import_module(_SCHEDULER).next_run(
            self._json(),
            last=None if last is None else (_plain(last.start), _plain(last.end)),
            now=datetime.now(UTC),
            start=restriction.earliest and _plain(restriction.earliest),
            end=restriction.latest and _plain(restriction.latest),
            catchup=restriction.catchup,
        )
        if plan is None:
            return None
        start, end = map(_pendulum, plan.interval)
        return DagRunInfo(run_after=_pendulum(plan.run_after), data_interval=DataInterval(start, end))

    def _json(self) -> dict[str, Any]:
        """What the scheduler knows, whatever a subclass keeps for itself."""
        known = next(kind for kind in type(self).__mro__ if kind.__module__ == __name__)
        found: dict[str, Any] = known.serialize(self)  # type: ignore[attr-defined]
        return found


class NullTimetable(_Known):
    """Runs are only made by hand."""

    periodic = False
    can_be_scheduled = False

    def serialize(self) -> dict[str, Any]:
        return {"type": "none"}


class OnceTimetable(_Known):
    """One run."""

    periodic = False

    def serialize(self) -> dict[str, Any]:
        return {"type": "once"}


class ContinuousTimetable(_Known):
    """The next run begins when the last has ended."""

    active_runs_limit = 1

    def serialize(self) -> dict[str, Any]:
        return {"type": "continuous"}


class CronTriggerTimetable(_Known):
    """A run at each time of a cron expression; its interval has no length, or ends there and is `interval` long."""

    def __init__(
        self,
        cron: str,
        *,
        timezone: Any = "UTC",
        interval: timedelta | Any = timedelta(0),
        run_immediately: bool | timedelta = False,
    ) -> None:
        self.cron, self.timezone, self.interval, self.run_immediately = cron, timezone, interval, run_immediately

    @property
    def summary(self) -> str:
        return self.cron

    def serialize(self) -> dict[str, Any]:
        return {
            "type": "cron",
            "expression": self.cron,
            "timezone": zone_name(self.timezone),
            **_spacing(self.interval, self.run_immediately),
        }


class MultipleCronTriggerTimetable(_Known):
    """A run at each time of any of several cron expressions."""

    def __init__(
        self,
        *crons: str,
        timezone: Any = "UTC",
        interval: timedelta | Any = timedelta(0),
        run_immediately: bool | timedelta = False,
    ) -> None:
        if not crons:
            raise DagError("expected at least one cron expression")
        self.crons, self.timezone, self.interval, self.run_immediately = crons, timezone, interval, run_immediately

    @property
    def summary(self) -> str:
        return ", ".join(self.crons)

    def serialize(self) -> dict[str, Any]:
        return {
            "type": "multi_cron",
            "expressions": list(self.crons),
            "timezone": zone_name(self.timezone),
            **_spacing(self.interval, self.run_immediately),
        }


class CronDataIntervalTimetable(_Known):
    """Data from one time of a cron expression to the next; the run is made at the end."""

    def __init__(self, cron: str, timezone: Any = "UTC") -> None:
        self.cron, self.timezone = cron, timezone

    @property
    def summary(self) -> str:
        return self.cron

    def serialize(self) -> dict[str, Any]:
        return {"type": "cron_interval", "expression": self.cron, "timezone": zone_name(self.timezone)}


class DeltaTriggerTimetable(_Known):
    """A run each time that so much time has passed."""

    def __init__(self, delta: Any, *, interval: Any = timedelta(0)) -> None:
        self.delta, self.interval = delta, interval

    @property
    def summary(self) -> str:
        return str(self.delta)

    def serialize(self) -> dict[str, Any]:
        return {"type": "delta", "delta": length_of(self.delta), **_spacing(self.interval, False)}


class DeltaDataIntervalTimetable(_Known):
    """Data of so much time; the run is made at the end."""

    def __init__(self, delta: Any) -> None:
        self.delta = delta

    @property
    def summary(self) -> str:
        return str(self.delta)

    def serialize(self) -> dict[str, Any]:
        return {"type": "delta_interval", "delta": length_of(self.delta)}


class EventsTimetable(_Known):
    """A run at each of these times."""

    def __init__(
        self,
        event_dates: Iterable[datetime],
        restrict_to_events: bool = False,
        presorted: bool = False,
        description: str | None = None,
    ) -> None:
        dates = [each if each.tzinfo else each.replace(tzinfo=UTC) for each in event_dates]
        self.event_dates = dates if presorted else sorted(dates)
        self.restrict_to_events = restrict_to_events
        self.description = description or f"{len(self.event_dates)} events"

    @property
    def summary(self) -> str:
        return self.description

    def serialize(self) -> dict[str, Any]:
        dates = [each.astimezone(UTC).isoformat() for each in self.event_dates]
        return {"type": "events", "dates": dates, "restrict_to_events": self.restrict_to_events}


class AssetOrTimeSchedule(_Known):
    """Runs of a timetable, and one whenever assets are new besides."""

    def __init__(self, *, timetable: Timetable, assets: Any = None, datasets: Any = None) -> None:
        given = assets if assets is not None else datasets
        if given is None:
            raise DagError("expected AssetOrTimeSchedule to have assets")
        self.timetable = timetable
        self.asset_condition = given

    @property
    def summary(self) -> str:
        return f"Asset or {self.timetable.summary}"

    def serialize(self) -> dict[str, Any]:
        return {"type": "asset_or_time", "timetable": self.timetable.to_json()}

    def condition(self) -> dict[str, Any]:
        """As `SerializedDag.asset_condition`."""
        return condition_of(self.asset_condition)


DatasetOrTimeSchedule: Final = AssetOrTimeSchedule


def zone_name(zone: Any) -> str:
    """The name of a time zone, however it is given."""
    if isinstance(zone, str):
        return zone
    return str(getattr(zone, "key", None) or getattr(zone, "name", None) or zone)


def _spacing(interval: Any, run_immediately: bool | timedelta) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if interval:
        found["interval"] = length_of(interval)
    if run_immediately:
        at_once = run_immediately
        found["run_immediately"] = at_once.total_seconds() if isinstance(at_once, timedelta) else True
    return found


def _plain(moment: datetime) -> datetime:
    """The time in the standard library's class: pendulum's loses its zone on the way through UTC."""
    return datetime.fromisoformat(moment.isoformat())


def _pendulum(moment: datetime) -> Any:
    """The time as authors expect it."""
    return import_module("pendulum").instance(moment)


_PARTS: Final = ("years", "months", "days", "leapdays", "hours", "minutes", "seconds", "microseconds",
                 "year", "month", "day", "hour", "minute", "second", "microsecond")  # fmt: skip


def length_of(value: Any) -> Any:
    """A timedelta in seconds; a relativedelta by its arguments. DagError for what is neither."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    if type(value).__name__ != "relativedelta":
        raise DagError(f"expected a timedelta or relativedelta, found {type(value).__name__} {value!r}")
    found = {name: given for name in _PARTS if (given := getattr(value, name, None))}
    if value.weekday is not None:
        found["weekday"] = [value.weekday.weekday, value.weekday.n or 1]
    return found
