"""Cron expressions as Airflow takes them: five or six fields, presets, names, ranges, steps, `L`, `#`, `W`. Pure.

A sixth field is the second. Where day of month and day of week are both given, either is enough. Ranges may wrap
(`22-2`, `nov-feb`); day 7 is Sunday, like 0. Times here have no zone: `timetables.py` knows about zones.
"""

import calendar
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from airdock.errors import DagError
from airdock.record import record

__all__ = ["PRESETS", "Cron", "parse_cron"]

PRESETS: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@quarterly": "0 0 1 */3 *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}

_YEARS_AHEAD = 50
"""How far a match is looked for, as croniter does."""

_HINT = "five fields: minute, hour, day of month, month, day of week; a sixth is the second; or a preset such as @daily"
_MONTHS = {name.lower(): number for number, name in enumerate(calendar.month_abbr) if name}
_DAYS = {name.lower(): (number + 1) % 7 for number, name in enumerate(calendar.day_abbr)}


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    low: int
    high: int
    names: dict[str, int]


_FIELDS: Final = (
    _Field("minute", 0, 59, {}),
    _Field("hour", 0, 23, {}),
    _Field("day of month", 1, 31, {}),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of week", 0, 6, {**_DAYS, "7": 0}),
    _Field("second", 0, 59, {}),
)


@record
class Cron:
    """A parsed expression. Lists are sorted; weekdays count from Sunday, 0.

    `days` and `weekdays` are None where every day will do. `nth` are (weekday, which of the month), and -1 is the last;
    `nearest` are days whose nearest working day is meant.
    """

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    months: tuple[int, ...]
    days: frozenset[int] | None
    is_last_day: bool
    nearest: frozenset[int]
    weekdays: frozenset[int] | None
    nth: frozenset[tuple[int, int]]

    @property
    def is_every_hour(self) -> bool:
        return len(self.hours) == 24

    def after(self, moment: datetime) -> datetime:
        """The first match later than this; DagError if there is none for many years."""
        earliest = moment.replace(microsecond=0) + timedelta(seconds=1)
        for day in self._days(earliest.date(), 1):
            clock = _clock(earliest) if day == earliest.date() else (0, 0, 0)
            if (found := self._first(clock)) is not None:
                return _at(day, found)
        raise self._never(moment)

    def before(self, moment: datetime) -> datetime:
        """The last match earlier than this; DagError if there is none for many years."""
        latest = (moment - timedelta(microseconds=1)).replace(microsecond=0)
        for day in self._days(latest.date(), -1):
            clock = _clock(latest) if day == latest.date() else (23, 59, 59)
            if (found := self._last(clock)) is not None:
                return _at(day, found)
        raise self._never(moment)

    def is_met(self, moment: datetime) -> bool:
        """Whether this is one of the times, to the second."""
        return (
            self._has_day(moment.date())
            and moment.hour in self.hours
            and moment.minute in self.minutes
            and moment.second in self.seconds
        )

    def _never(self, moment: datetime) -> DagError:
        return DagError(
            f"expected a cron expression that is met, found one that isn't for {_YEARS_AHEAD} years", where=str(moment)
        )

    def _days(self, day: date, step: int) -> Iterator[date]:
        """The days that fit, from this one on."""
        limit = day.year + step * _YEARS_AHEAD
        while (limit - day.year) * step >= 0:
            if day.month not in self.months:
                day = _turn_month(day, step)
                continue
            if self._has_day(day):
                yield day
            day += timedelta(days=step)

    def _has_day(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        by_month = self.days is None or day.day in self.days or self._is_special(day)
        weekday = day.isoweekday() % 7
        by_week = self.weekdays is None or weekday in self.weekdays or self._is_nth(day, weekday)
        return by_month or by_week if self.days is not None and self.weekdays is not None else by_month and by_week

    def _is_special(self, day: date) -> bool:
        length = calendar.monthrange(day.year, day.month)[1]
        if self.is_last_day and day.day == length:
            return True
        return any(day.day == _working_day(day, wanted, length) for wanted in self.nearest if wanted <= length)

    def _is_nth(self, day: date, weekday: int) -> bool:
        if (weekday, (day.day + 6) // 7) in self.nth:
            return True
        return (weekday, -1) in self.nth and day.day + 7 > calendar.monthrange(day.year, day.month)[1]

    def _first(self, clock: tuple[int, int, int]) -> tuple[int, int, int] | None:
        """The first match of a day from this time of day on."""
        hour, minute, second = clock
        for each in self.hours[bisect_left(self.hours, hour) :]:
            if each > hour:
                return each, self.minutes[0], self.seconds[0]
            for minutes in self.minutes[bisect_left(self.minutes, minute) :]:
                if minutes > minute:
                    return each, minutes, self.seconds[0]
                if (at := bisect_left(self.seconds, second)) < len(self.seconds):
                    return each, minutes, self.seconds[at]
        return None

    def _last(self, clock: tuple[int, int, int]) -> tuple[int, int, int] | None:
        """The last match of a day up to this time of day."""
        hour, minute, second = clock
        for each in reversed(self.hours[: bisect_right(self.hours, hour)]):
            if each < hour:
                return each, self.minutes[-1], self.seconds[-1]
            for minutes in reversed(self.minutes[: bisect_right(self.minutes, minute)]):
                if minutes < minute:
                    return each, minutes, self.seconds[-1]
                if (at := bisect_right(self.seconds, second)) > 0:
                    return each, minutes, self.seconds[at - 1]
        return None


def _clock(moment: datetime) -> tuple[int, int, int]:
    return moment.hour, moment.minute, moment.second


def _at(day: date, clock: tuple[int, int, int]) -> datetime:
    hour, minute, second = clock
    return datetime(day.year, day.month, day.day, hour, minute, second)


def _turn_month(day: date, step: int) -> date:
    """The first day of the next month, or the last of the one before."""
    if step < 0:
        return day.replace(day=1) - timedelta(days=1)
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1)


def _working_day(day: date, wanted: int, length: int) -> int:
    """Which day of the month is the working day that is nearest to the wanted one, in the same month."""
    weekday = day.replace(day=wanted).isoweekday()
    if weekday == 6:
        return wanted - 1 if wanted > 1 else wanted + 2
    if weekday == 7:
        return wanted + 1 if wanted < length else wanted - 2
    return wanted


def parse_cron(text: str) -> Cron:
    """Read an expression or preset. DagError says what is wrong with it."""
    words = PRESETS.get(text.strip().lower(), text).lower().split()
    if len(words) not in (5, 6):
        raise DagError(f"expected a cron expression of five or six fields, found {text!r}", hint=_HINT)
    minute, hour, day, month, week, *second = words
    days, nearest, is_last = _parse_days(day, text)
    weekdays, nth = _parse_weekdays(week, text)
    return Cron(
        seconds=_parse_field(second[0], _FIELDS[5], text) if second else (0,),
        minutes=_parse_field(minute, _FIELDS[0], text),
        hours=_parse_field(hour, _FIELDS[1], text),
        months=_parse_field(month, _FIELDS[3], text),
        days=None if _is_free(day, len(days) == 31, week) else days,
        is_last_day=is_last,
        nearest=nearest,
        weekdays=None if _is_free(week, len(weekdays) == 7, day) else weekdays,
        nth=nth,
    )


def _is_free(word: str, is_full: bool, other: str) -> bool:
    """Whether a field of days restricts nothing. One that lists every day does count beside plain numbers: either."""
    return word in ("*", "?") or (is_full and "*" in other)


def _parse_days(word: str, text: str) -> tuple[frozenset[int], frozenset[int], bool]:
    parts = ["*" if part == "?" else part for part in word.split(",")]
    plain = [part for part in parts if part != "l" and not part.endswith("w")]
    near = [part[:-1] for part in parts if part.endswith("w")]
    days = frozenset(_parse_field(",".join(plain), _FIELDS[2], text)) if plain else frozenset()
    return days, frozenset(_parse_one(part, _FIELDS[2], text) for part in near), "l" in parts


def _parse_weekdays(word: str, text: str) -> tuple[frozenset[int], frozenset[tuple[int, int]]]:
    field, plain, nth = _FIELDS[4], set[int](), set[tuple[int, int]]()
    for part in word.split(","):
        days, mark, which = part.partition("#")
        if mark:
            if which not in ("1", "2", "3", "4", "5"):
                raise _wrong(f"{part!r} as the day of week; # is followed by 1 to 5", text)
            nth |= {(day, int(which)) for day in _parse_field(days, field, text)}
        elif part.startswith("l") and len(part) > 1:
            nth.add((_parse_one(part[1:], field, text), -1))
        else:
            plain |= set(_parse_field("*" if part == "?" else part, field, text))
    return frozenset(plain), frozenset(nth)


def _parse_field(word: str, field: _Field, text: str) -> tuple[int, ...]:
    found = {value for part in word.split(",") for value in _parse_part(part, field, text)}
    return tuple(sorted(found))


def _parse_part(part: str, field: _Field, text: str) -> Sequence[int]:
    """One of the parts between commas: `*`, a value, a range, each with or without a step."""
    span, slash, step_text = part.partition("/")
    if slash and (not step_text.isdecimal() or int(step_text) == 0):
        raise _wrong(f"a step of {step_text!r} as the {field.name}", text)
    step = int(step_text) if slash else 1
    first, dash, last = span.partition("-")
    if span == "*":
        return range(field.low, field.high + 1, step)
    low = _parse_one(first, field, text)
    if not dash:
        return range(low, field.high + 1, step) if slash else (low,)
    high = 7 if field.names is _FIELDS[4].names and last == "7" else _parse_one(last, field, text)
    if low > high:
        high += field.high - field.low + 1
    size = field.high - field.low + 1
    return [(value - field.low) % size + field.low for value in range(low, high + 1, step)]


def _parse_one(word: str, field: _Field, text: str) -> int:
    value = field.names.get(word, int(word) if word.isdecimal() and word.isascii() else None)
    if value is None or not field.low <= value <= field.high:
        raise _wrong(f"{word!r} as the {field.name}, which is from {field.low} to {field.high}", text)
    return value


def _wrong(what: str, text: str) -> DagError:
    return DagError(f"expected a cron expression, found {what}", where=text, hint=_HINT)
