"""What operators that look at the time share. Times of users without a zone are in the DAG's."""

from datetime import UTC, datetime, tzinfo
from typing import Any

from airdock.dag.dag import DAG

__all__ = ["moment_of_run", "now", "parse_moment", "with_zone", "zone_of"]


def now() -> datetime:
    """The present, in UTC."""
    return datetime.now(UTC)


def zone_of(dag: DAG) -> tzinfo:
    """The zone that the DAG's times are in: that of its start date, else UTC."""
    zone = getattr(dag, "timezone", None) or getattr(getattr(dag, "start_date", None), "tzinfo", None)
    return zone if isinstance(zone, tzinfo) else UTC


def moment_of_run(context: Any) -> datetime:
    """The logical date of the run, or when it was due where it has none."""
    moment: datetime = context.get("logical_date") or context["dag_run"].run_after
    return moment


def with_zone(moment: datetime, zone: tzinfo = UTC) -> datetime:
    """The moment, in this zone where it says none."""
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)


def parse_moment(value: Any) -> datetime:
    """A moment given as such or as text in ISO 8601; UTC where it says no zone. TypeError, ValueError."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        raise TypeError(f"expected a datetime or text in ISO 8601, found {type(value).__name__}")
    return with_zone(value)
