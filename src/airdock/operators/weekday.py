"""Days of the week."""

from collections.abc import Iterable
from enum import IntEnum
from typing import Self

__all__ = ["WeekDay"]


class WeekDay(IntEnum):
    """Monday is 1, as in ISO 8601."""

    MONDAY = 1
    TUESDAY = 2
    WEDNESDAY = 3
    THURSDAY = 4
    FRIDAY = 5
    SATURDAY = 6
    SUNDAY = 7

    @classmethod
    def get_weekday_number(cls, week_day_str: str) -> Self:
        """The day with this English name; AttributeError for another."""
        try:
            return cls[week_day_str.upper()]
        except KeyError as error:
            raise AttributeError(f'Invalid Week Day passed: "{week_day_str}"') from error

    @classmethod
    def convert(cls, day: "str | WeekDay") -> int:
        """The number of a day given by name or as such."""
        return day if isinstance(day, WeekDay) else cls.get_weekday_number(day)

    @classmethod
    def validate_week_day(cls, week_day: "str | WeekDay | Iterable[str] | Iterable[WeekDay]") -> set[int]:
        """The numbers of one day or of several; TypeError for what is neither."""
        if isinstance(week_day, str | WeekDay):
            return {cls.convert(week_day)}
        if not isinstance(week_day, Iterable):
            raise TypeError(f"expected week_day to be a day or several, found {type(week_day).__name__}")
        return {cls.convert(each) for each in week_day}
