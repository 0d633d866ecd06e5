"""Airflow's `timezone` module: times with a zone, UTC where nobody says another."""

from datetime import datetime as _datetime
from datetime import tzinfo
from typing import Any

import pendulum

__all__ = [
    "coerce_datetime",
    "datetime",
    "is_localized",
    "is_naive",
    "make_aware",
    "make_naive",
    "parse",
    "utc",
    "utcnow",
]

utc = pendulum.UTC


def utcnow() -> _datetime:
    """The present."""
    return pendulum.now("UTC")


def datetime(*args: Any, **kwargs: Any) -> _datetime:
    """A moment, in UTC where no `tzinfo` is given."""
    return _datetime(*args, **{"tzinfo": utc, **kwargs})


def is_localized(value: _datetime) -> bool:
    """Whether it says its zone."""
    return value.utcoffset() is not None


def is_naive(value: _datetime) -> bool:
    """Whether it says no zone."""
    return value.utcoffset() is None


def make_aware(value: _datetime, timezone: tzinfo | None = None) -> _datetime:
    """The moment in this zone; ValueError where it has one already."""
    if is_localized(value):
        raise ValueError(f"expected a time without a zone, found {value}")
    return value.replace(tzinfo=timezone or utc)


def make_naive(value: _datetime, timezone: tzinfo | None = None) -> _datetime:
    """The time of this zone without saying so; ValueError where it has no zone to come from."""
    if is_naive(value):
        raise ValueError(f"expected a time with its zone, found {value}")
    return value.astimezone(timezone or utc).replace(tzinfo=None)


def coerce_datetime(value: _datetime | None, tz: tzinfo | None = None) -> Any:
    """As pendulum has it, in this zone where it says none."""
    if value is None:
        return None
    return pendulum.instance(value if is_localized(value) else value.replace(tzinfo=tz or utc))


def parse(string: str, timezone: Any = None, *, strict: bool = False) -> Any:
    """The moment that the text says."""
    return pendulum.parse(string, tz=timezone or utc, strict=strict)
