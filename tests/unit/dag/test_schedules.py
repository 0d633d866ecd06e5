"""Schedules as they are written, and what the scheduler gets of them."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from dateutil.relativedelta import MO, relativedelta

from airdock.dag.environ import SCHEDULES_VARIABLE
from airdock.dag.schedules import moment_of, timetable_of
from airdock.dag.timetables import CronTriggerTimetable
from airdock.errors import DagError
from airdock.scheduler.timetables import check_timetable

ZURICH = datetime(2026, 1, 1, tzinfo=ZoneInfo("Europe/Zurich"))


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("@once", {"type": "once"}),
        ("@daily", {"type": "cron_interval", "expression": "@daily", "timezone": "Europe/Zurich"}),
        (timedelta(hours=2), {"type": "delta_interval", "delta": 7200.0}),
        (relativedelta(months=1), {"type": "delta_interval", "delta": {"months": 1}}),
        (CronTriggerTimetable("@daily", timezone="UTC"), {"type": "cron", "expression": "@daily", "timezone": "UTC"}),
    ],
    ids=str,
)
def test_schedules_are_about_intervals_where_that_is_asked_for(
    schedule: Any, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SCHEDULES_VARIABLE, "interval")
    made = timetable_of(schedule, start=ZURICH, where="dag.py:1")
    assert {name: made[name] for name in expected} == expected
    check_timetable(made)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (None, {"type": "none"}),
        ("@once", {"type": "once"}),
        ("@continuous", {"type": "continuous"}),
        ("@daily", {"type": "cron", "expression": "@daily", "timezone": "Europe/Zurich"}),
        ("5 4 * * 1", {"type": "cron", "expression": "5 4 * * 1", "timezone": "Europe/Zurich"}),
        (timedelta(hours=2), {"type": "delta", "delta": 7200.0}),
        (relativedelta(months=1), {"type": "relativedelta", "delta": {"months": 1}}),
        (relativedelta(weekday=MO(2)), {"type": "relativedelta", "delta": {"weekday": [0, 2]}}),
    ],
    ids=str,
)
def test_a_schedule_becomes_what_the_scheduler_understands(schedule: Any, expected: dict[str, Any]) -> None:
    made = timetable_of(schedule, start=ZURICH, where="dag.py:1")
    assert made == expected
    if schedule != relativedelta(weekday=MO(2)):  # alone it doesn't move on
        check_timetable(made)


@pytest.mark.parametrize(
    "start", [None, datetime(2026, 1, 1), datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=2)))]
)
def test_without_a_named_zone_cron_goes_by_utc(start: datetime | None) -> None:
    assert timetable_of("@daily", start=start, where="")["timezone"] == "UTC"


@pytest.mark.parametrize("schedule", [timedelta(0), timedelta(hours=-1), 5, object()], ids=str)
def test_what_is_no_schedule_is_refused_with_its_place(schedule: Any) -> None:
    with pytest.raises(DagError) as caught:
        timetable_of(schedule, start=None, where="dag.py:7")
    assert caught.value.where == "dag.py:7"


def test_times_are_utc_and_text() -> None:
    assert moment_of(None, name="start_date", where="") == ""
    assert moment_of(datetime(2026, 1, 1, 12), name="start_date", where="") == "2026-01-01T12:00:00+00:00"
    assert moment_of(ZURICH, name="start_date", where="") == "2025-12-31T23:00:00+00:00"
    assert moment_of("2026-01-01T00:00:00Z", name="start_date", where="") == "2026-01-01T00:00:00+00:00"
    assert datetime.fromisoformat(moment_of(ZURICH, name="start_date", where="")).tzinfo == UTC
    for wrong in ("soon", 5):
        with pytest.raises(DagError, match="start_date"):
            moment_of(wrong, name="start_date", where="")
