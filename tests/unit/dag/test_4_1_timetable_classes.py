"""Reference 4.1: the timetable classes that DAG files name are what the scheduler computes by."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from dateutil.relativedelta import MO, relativedelta

from airdock.dag.assets import Asset
from airdock.dag.timetables import (
    AssetOrTimeSchedule,
    ContinuousTimetable,
    CronDataIntervalTimetable,
    CronTriggerTimetable,
    DagRunInfo,
    DataInterval,
    DeltaDataIntervalTimetable,
    DeltaTriggerTimetable,
    EventsTimetable,
    MultipleCronTriggerTimetable,
    NullTimetable,
    OnceTimetable,
    TimeRestriction,
    Timetable,
)
from airdock.errors import DagError
from airdock.scheduler.timetables import check_timetable, next_run

START = datetime(2026, 1, 5, 3, tzinfo=UTC)
"""A Monday."""

KINDS: list[tuple[Timetable, dict[str, Any], tuple[str, str] | None]] = [
    (NullTimetable(), {"type": "none"}, None),
    (OnceTimetable(), {"type": "once"}, ("2026-01-05T03:00", "2026-01-05T03:00")),
    (ContinuousTimetable(), {"type": "continuous"}, ("2026-01-05T03:00", "2026-01-10T00:00")),
    (
        CronTriggerTimetable("30 6 * * *", timezone="Europe/Berlin"),
        {"type": "cron", "expression": "30 6 * * *", "timezone": "Europe/Berlin"},
        ("2026-01-05T05:30", "2026-01-05T05:30"),
    ),
    (
        CronTriggerTimetable("@daily", timezone="UTC", interval=timedelta(days=1), run_immediately=timedelta(hours=1)),
        {"type": "cron", "expression": "@daily", "timezone": "UTC", "interval": 86400.0, "run_immediately": 3600.0},
        ("2026-01-05T00:00", "2026-01-06T00:00"),
    ),
    (
        MultipleCronTriggerTimetable("0 6 * * *", "0 4 * * *", timezone="UTC"),
        {"type": "multi_cron", "expressions": ["0 6 * * *", "0 4 * * *"], "timezone": "UTC"},
        ("2026-01-05T04:00", "2026-01-05T04:00"),
    ),
    (
        CronDataIntervalTimetable("0 0 * * *", "UTC"),
        {"type": "cron_interval", "expression": "0 0 * * *", "timezone": "UTC"},
        ("2026-01-06T00:00", "2026-01-07T00:00"),
    ),
    (
        DeltaTriggerTimetable(timedelta(hours=2), interval=timedelta(hours=1)),
        {"type": "delta", "delta": 7200.0, "interval": 3600.0},
        ("2026-01-05T02:00", "2026-01-05T03:00"),
    ),
    (
        DeltaTriggerTimetable(relativedelta(months=1)),
        {"type": "delta", "delta": {"months": 1}},
        ("2026-01-05T03:00", "2026-01-05T03:00"),
    ),
    (
        DeltaDataIntervalTimetable(relativedelta(days=1, weekday=MO)),
        {"type": "delta_interval", "delta": {"days": 1, "weekday": [0, 1]}},
        ("2026-01-05T03:00", "2026-01-12T03:00"),
    ),
    (
        EventsTimetable([datetime(2026, 2, 2), datetime(2026, 2, 1, tzinfo=UTC)], restrict_to_events=True),
        {
            "type": "events",
            "dates": ["2026-02-01T00:00:00+00:00", "2026-02-02T00:00:00+00:00"],
            "restrict_to_events": True,
        },
        ("2026-02-01T00:00", "2026-02-01T00:00"),
    ),
    (
        AssetOrTimeSchedule(timetable=OnceTimetable(), assets=[Asset("a")]),
        {"type": "asset_or_time", "timetable": {"type": "once"}},
        ("2026-01-05T03:00", "2026-01-05T03:00"),
    ),
]


@pytest.mark.parametrize(("timetable", "json", "first"), KINDS, ids=lambda each: type(each).__name__)
def test_as_json_and_its_first_run(timetable: Timetable, json: dict[str, Any], first: tuple[str, str] | None) -> None:
    assert timetable.to_json() == json
    check_timetable(json)
    now = datetime(2026, 1, 10, tzinfo=UTC)
    plan = next_run(json, last=None, now=now, start=START, catchup=True)
    found = plan and plan.interval and tuple(each.isoformat()[:16] for each in plan.interval)
    assert found == first


def test_they_can_be_asked_as_an_authors_subclass_does() -> None:
    known = CronTriggerTimetable("0 6 * * *", timezone="UTC")
    info = known.next_dagrun_info(
        last_automated_data_interval=None, restriction=TimeRestriction(START, None, catchup=True)
    )
    assert info is not None
    assert (info.run_after, info.logical_date) == (datetime(2026, 1, 5, 6, tzinfo=UTC),) * 2
    assert NullTimetable().next_dagrun_info(
        last_automated_data_interval=None, restriction=TimeRestriction(START, None, catchup=True)
    ) is None  # fmt: skip
    interval = CronDataIntervalTimetable("0 0 * * *", "UTC").infer_manual_data_interval(run_after=START)
    assert interval == DataInterval(datetime(2026, 1, 4, tzinfo=UTC), datetime(2026, 1, 5, tzinfo=UTC))


def test_zones_of_all_makers() -> None:
    import zoneinfo

    import pendulum

    for zone in ("Europe/Berlin", zoneinfo.ZoneInfo("Europe/Berlin"), pendulum.timezone("Europe/Berlin")):
        assert CronTriggerTimetable("@daily", timezone=zone).to_json()["timezone"] == "Europe/Berlin"
    assert CronTriggerTimetable("@daily", timezone=UTC).to_json()["timezone"] == "UTC"


def test_information_on_a_run() -> None:
    exact = DagRunInfo.exact(START)
    assert (exact.run_after, exact.data_interval, exact.logical_date) == (START, DataInterval(START, START), START)
    later = START + timedelta(days=1)
    info = DagRunInfo.interval(START, later)
    assert (info.run_after, info.data_interval, info.logical_date) == (later, (START, later), START)
    assert DagRunInfo(run_after=START, data_interval=None).logical_date is None


def test_mistakes() -> None:
    with pytest.raises(DagError, match="at least one cron expression"):
        MultipleCronTriggerTimetable()
    with pytest.raises(DagError, match="to have assets"):
        AssetOrTimeSchedule(timetable=OnceTimetable())
    with pytest.raises(NotImplementedError, match="Timetable has no next_dagrun_info"):
        Timetable().next_dagrun_info(
            last_automated_data_interval=None, restriction=TimeRestriction(None, None, catchup=False)
        )
