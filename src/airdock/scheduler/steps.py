"""Steps in time: the moments of a cron expression in its zone, or a constant distance (Airflow 3.3's rules). Pure.

A cron expression that isn't met every hour steps by the clock on the wall: a time that the change to summer skips comes
an hour later, one that comes twice when winter begins is the second. One that is met every hour steps by real time.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Protocol, TypeAlias

from dateutil.relativedelta import relativedelta, weekday  # type: ignore[import-untyped]

from airdock.errors import DagError
from airdock.scheduler.cron import parse_cron

__all__ = ["CronSteps", "Delta", "DeltaSteps", "Steps", "parse_delta", "shift"]

Delta: TypeAlias = Any
"""A timedelta or relativedelta; what they have in common is being added to times."""

_DAY_S = 86_400


class Steps(Protocol):
    """Moments in order. All that is taken and given is aware."""

    def after(self, moment: datetime) -> datetime: ...

    def before(self, moment: datetime) -> datetime: ...

    def align_after(self, moment: datetime) -> datetime:
        """The moment itself if it is a step, else the next."""

    def align_before(self, moment: datetime) -> datetime:
        """The moment itself if it is a step, else the one before."""

    def latest_start(self, now: datetime, anchor: datetime | None) -> datetime:
        """Where the latest interval begins that has ended by now; where steps follow from it, `anchor` is the first."""


class CronSteps:
    """The moments of a cron expression in a zone."""

    def __init__(self, expression: str, zone: tzinfo) -> None:
        self._cron, self._zone = parse_cron(expression), zone

    def after(self, moment: datetime) -> datetime:
        wall = moment.astimezone(self._zone).replace(tzinfo=None, fold=0)
        found = self._cron.after(wall)
        return moment.astimezone(UTC) + (found - wall) if self._cron.is_every_hour else self._place(found)

    def before(self, moment: datetime) -> datetime:
        wall = moment.astimezone(self._zone).replace(tzinfo=None, fold=0)
        found = self._cron.before(wall)
        return moment.astimezone(UTC) - (wall - found) if self._cron.is_every_hour else self._place(found)

    def align_after(self, moment: datetime) -> datetime:
        following = self.after(moment)
        return moment if self.before(following) == moment else following

    def align_before(self, moment: datetime) -> datetime:
        past = self.before(moment)
        return moment if self.after(past) == moment else past

    def latest_start(self, now: datetime, anchor: datetime | None) -> datetime:
        past = self.before(now)
        return past if self.after(past) == now else self.before(past)

    def _place(self, wall: datetime) -> datetime:
        """The moment when the clock on the wall says this; of two the later, and past a gap."""
        offsets = [wall.replace(tzinfo=self._zone, fold=fold).utcoffset() or timedelta() for fold in (0, 1)]
        return (wall - min(offsets)).replace(tzinfo=UTC)


class DeltaSteps:
    """Steps of one size. Any moment is a step, as each is counted from the one before."""

    def __init__(self, delta: Delta) -> None:
        self._delta = delta

    def after(self, moment: datetime) -> datetime:
        return _add(moment, self._delta)

    def before(self, moment: datetime) -> datetime:
        return _add(moment, -self._delta)

    def align_after(self, moment: datetime) -> datetime:
        return moment

    def align_before(self, moment: datetime) -> datetime:
        return moment

    def latest_start(self, now: datetime, anchor: datetime | None) -> datetime:
        return self.before(self._round(now, anchor or now))

    def _round(self, moment: datetime, anchor: datetime) -> datetime:
        """The last boundary up to this: whole steps since 1970, or of calendar months since the anchor."""
        delta = self._delta
        if isinstance(delta, relativedelta):
            if delta.months or delta.years:
                while (following := self.after(anchor)) <= moment:
                    anchor = following
                return anchor
            delta = timedelta(days=delta.days, hours=delta.hours, minutes=delta.minutes, seconds=delta.seconds)
        size_s: float = delta.total_seconds() or _DAY_S
        return moment - timedelta(seconds=moment.timestamp() % size_s)


def parse_delta(value: float | Mapping[str, Any]) -> Delta:
    """Seconds, or the arguments of a relativedelta, whose "weekday" is [day, n]."""
    if not isinstance(value, Mapping):
        return timedelta(seconds=value)
    fields = dict(value)
    if isinstance(day := fields.get("weekday"), list | tuple):
        fields["weekday"] = weekday(*day)
    try:
        return relativedelta(**fields)
    except (TypeError, ValueError) as error:
        raise DagError(f"expected the arguments of a relativedelta, found {dict(value)!r}") from error


def shift(moment: datetime, value: float | Mapping[str, Any], by: int) -> datetime:
    """The moment, so many times this delta later, in UTC."""
    return _add(moment, parse_delta(value) * by)


def _add(moment: datetime, delta: Delta) -> datetime:
    found: datetime = moment.astimezone(UTC) + delta
    return found
