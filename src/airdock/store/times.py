"""Times as the store keeps them: whole microseconds since 1970 UTC, exactly."""

from datetime import UTC, datetime, timedelta
from typing import Final

__all__ = ["known_time", "micros", "time_of"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def micros(at: datetime | None) -> int | None:
    """A time as the database keeps it."""
    return None if at is None else (at - _EPOCH) // _MICROSECOND


def time_of(value: int | None) -> datetime | None:
    """The time that the database keeps, UTC."""
    return None if value is None else known_time(value)


def known_time(value: int) -> datetime:
    """A time that is always there."""
    return _EPOCH + timedelta(microseconds=value)
