"""Reference §4.1: which run comes next."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airdock.errors import DagError
from airdock.scheduler.cron import parse_cron
from airdock.scheduler.steps import CronSteps
from airdock.scheduler.timetables import Interval, check_timetable, list_runs, manual_interval, next_run

NOW = datetime(2026, 6, 10, 10, 30, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
HOURLY = {"type": "cron", "expression": "@hourly", "timezone": "UTC"}
DAILY = {"type": "cron", "expression": "@daily", "timezone": "UTC"}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text + "+00:00")


def point(text: str) -> Interval:
    return at(text), at(text)


def due(timetable: dict[str, Any], **bounds: Any) -> datetime | None:
    plan = next_run(timetable, **{"last": None, "now": NOW, **bounds})
    return plan.run_after if plan else None


def series(timetable: dict[str, Any], count: int, **bounds: Any) -> list[str]:
    """When the first runs start, with catchup."""
    found, last = [], None
    for _ in range(count):
        plan = next_run(timetable, last=last, now=NOW, catchup=True, **bounds)
        if plan is None:
            break
        found.append(plan.run_after.strftime("%m-%d %H:%M"))
        last = plan.interval
    return found


# Cron by itself


def obvious(words: list[str], moment: datetime) -> bool:
    """Whether a minute fits, by the plainest reading of lists and steps."""

    def fits(word: str, value: int, low: int) -> bool:
        if word.startswith("*/"):
            return (value - low) % int(word[2:]) == 0
        return word == "*" or str(value) in word.split(",")

    minute, hour, day, month, week = words
    by_day, by_week = fits(day, moment.day, 1), fits(week, moment.isoweekday() % 7, 0)
    days = by_day or by_week if day != "*" and week != "*" else by_day and by_week
    return fits(minute, moment.minute, 0) and fits(hour, moment.hour, 0) and fits(month, moment.month, 1) and days


def words(low: int, high: int) -> st.SearchStrategy[str]:
    several = st.lists(st.integers(low, high), min_size=1, max_size=3)
    # a list of all days beside a star is a matter of its own
    return st.one_of(
        st.just("*"),
        st.integers(2, max(high // 2, 2)).map(lambda step: f"*/{step}"),
        several.map(lambda values: ",".join(map(str, values))),
    )


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(words(0, 59), words(0, 23), words(1, 31), st.just("*"), words(0, 6)),
    st.datetimes(datetime(2023, 12, 1), datetime(2024, 12, 1)),
)
def test_cron_finds_what_going_minute_by_minute_finds(parts: tuple[str, ...], moment: datetime) -> None:
    cron, minute = parse_cron(" ".join(parts)), timedelta(minutes=1)
    start = moment.replace(second=0, microsecond=0)
    later = (start + minute * number for number in range(1, 60 * 24 * 40))
    expected = next((each for each in later if obvious(list(parts), each)), None)
    if expected is not None:
        assert cron.after(moment) == expected
        assert cron.before(expected + minute) == expected
    earlier = (start - minute * number for number in range(60 * 24 * 40))
    expected = next((each for each in earlier if each < moment and obvious(list(parts), each)), None)
    if expected is not None:
        assert cron.before(moment) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 0 L * *", "2026-02-28 00:00:00"),
        ("0 0 * * L5", "2026-02-27 00:00:00"),
        ("0 0 * * fri#2", "2026-02-13 00:00:00"),
        ("0 22-2 * * *", "2026-01-31 22:00:00"),
        ("5/15 * * * *", "2026-01-31 12:05:00"),
        ("0 0 * nov-feb *", "2026-02-01 00:00:00"),
        ("0 0 * * 7", "2026-02-01 00:00:00"),
        ("0 0 * * 6-1", "2026-02-01 00:00:00"),
        ("0 0 ? * mon,tue", "2026-02-02 00:00:00"),
        ("0 0 15W * *", "2026-02-16 00:00:00"),
        ("0 0 13 * fri", "2026-02-06 00:00:00"),
        ("* * * * * */10", "2026-01-31 12:00:40"),
        ("0 0 29 2 *", "2028-02-29 00:00:00"),
        ("@hourly", "2026-01-31 13:00:00"),
        ("@daily", "2026-02-01 00:00:00"),
        ("@weekly", "2026-02-01 00:00:00"),
        ("@monthly", "2026-02-01 00:00:00"),
        ("@quarterly", "2026-04-01 00:00:00"),
        ("@yearly", "2027-01-01 00:00:00"),
    ],
)
def test_cron_knows_what_airflow_knows(expression: str, expected: str) -> None:
    assert str(parse_cron(expression).after(datetime(2026, 1, 31, 12, 0, 30))) == expected


@pytest.mark.parametrize(
    "expression",
    ["", "* * * *", "60 * * * *", "* 24 * * *", "0 0 0 * *", "0 0 * 13 *", "0 0 * * 8", "*/0 * * * *", "x * * * *",
     "0 0 * * 5#6", "1- * * * *", "-1 * * * *", "1/x * * * *", "* * * * * 60", "@never", "0 0 ² * *"],
)  # fmt: skip
def test_cron_says_what_is_wrong(expression: str) -> None:
    with pytest.raises(DagError, match="expected"):
        parse_cron(expression)


def test_a_day_that_never_comes_is_told() -> None:
    with pytest.raises(DagError, match="isn't for 50 years"):
        parse_cron("0 0 30 2 *").after(datetime(2026, 1, 1))


# Zones


def test_dst_by_the_wall_a_skipped_time_comes_an_hour_later() -> None:
    berlin = {"type": "cron", "expression": "30 2 * * *", "timezone": "Europe/Berlin"}
    assert series(berlin, 3, start=at("2026-03-28T00:00")) == ["03-28 01:30", "03-29 01:30", "03-30 00:30"]


def test_dst_by_the_wall_a_time_that_comes_twice_is_the_second() -> None:
    berlin = {"type": "cron", "expression": "30 2 * * *", "timezone": "Europe/Berlin"}
    assert series(berlin, 3, start=at("2026-10-24T00:00")) == ["10-24 00:30", "10-25 01:30", "10-26 01:30"]


def test_dst_every_hour_goes_by_real_time() -> None:
    berlin = {"type": "cron", "expression": "30 * * * *", "timezone": "Europe/Berlin"}
    assert series(berlin, 4, start=at("2026-10-24T23:00")) == [
        "10-24 23:30",
        "10-25 00:30",
        "10-25 01:30",
        "10-25 02:30",
    ]
    assert series(berlin, 3, start=at("2026-03-29T00:00")) == ["03-29 00:30", "03-29 01:30", "03-29 02:30"]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"]),
    st.sampled_from(["0 2 * * *", "30 1,2,3 * * *", "0 */6 * * *", "*/20 0-4 * * *", "0 0 1 * *"]),
    st.datetimes(datetime(2025, 1, 1), datetime(2026, 12, 31)),
)
def test_dst_steps_are_the_walls_times_in_order(zone: str, expression: str, naive: datetime) -> None:
    """Against every wall time that the expression names, placed by hand, over the days around."""
    moment, tz, cron = naive.replace(tzinfo=UTC), ZoneInfo(zone), parse_cron(expression)
    wall = moment.astimezone(tz).replace(tzinfo=None, fold=0)
    start = (wall - 3 * DAY).replace(second=0, microsecond=0)
    walls = [each for each in (start + timedelta(minutes=n) for n in range(60 * 24 * 36)) if cron.is_met(each)]

    def place(each: datetime) -> datetime:
        first, second = (each.replace(tzinfo=tz, fold=fold).astimezone(UTC) for fold in (0, 1))
        return max(first, second)

    steps = CronSteps(expression, tz)
    assert steps.after(moment) == place(next(each for each in walls if each > wall))
    assert steps.before(moment) == place([cron.before(wall), *[each for each in walls if each < wall]][-1])


# Kinds of timetables


def test_cron_default_a_run_at_the_tick_about_no_time() -> None:
    plan = next_run(HOURLY, last=point("2026-06-10T09:00"), now=NOW)
    assert plan is not None
    assert (plan.run_type, plan.run_id) == ("scheduled", "scheduled__2026-06-10T10:00:00+00:00")
    assert plan.logical_date == plan.run_after == at("2026-06-10T10:00")
    assert plan.interval == point("2026-06-10T10:00")


def test_cron_trigger_with_an_interval_is_dated_by_its_start() -> None:
    plan = next_run({**DAILY, "interval": 86_400}, last=None, now=NOW, start=at("2026-06-09T00:00"), catchup=True)
    assert plan is not None
    assert (plan.logical_date, plan.run_after) == (at("2026-06-08T00:00"), at("2026-06-09T00:00"))


def test_cron_data_intervals_are_dated_by_their_start_and_run_at_their_end() -> None:
    daily = {"type": "cron_interval", "expression": "@daily", "timezone": "UTC"}
    plan = next_run(daily, last=None, now=NOW, start=at("2026-06-01T05:00"), catchup=True)
    assert plan is not None
    assert plan.interval == (at("2026-06-02T00:00"), at("2026-06-03T00:00"))
    assert (plan.logical_date, plan.run_after) == plan.interval
    assert due(daily) == at("2026-06-10T00:00")
    assert due(daily, last=(at("2026-06-09T00:00"), at("2026-06-10T00:00"))) == at("2026-06-11T00:00")
    assert due(daily, now=at("2026-06-10T00:00")) == at("2026-06-10T00:00")
    assert due(daily, catchup=True) is None


def test_timedelta_default_is_a_trigger() -> None:
    delta = {"type": "delta", "delta": 3600}
    assert due(delta) == NOW
    assert due(delta, start=at("2026-06-10T08:10"), catchup=True) == at("2026-06-10T08:10")
    assert due(delta, last=point("2026-06-10T10:10")) == at("2026-06-10T11:10")
    assert series(delta, 3, start=at("2026-06-10T08:10")) == ["06-10 08:10", "06-10 09:10", "06-10 10:10"]


def test_timedelta_data_intervals() -> None:
    delta = {"type": "delta_interval", "delta": 3600}
    assert due(delta) == at("2026-06-10T10:00")
    assert series(delta, 2, start=at("2026-06-10T08:10")) == ["06-10 09:10", "06-10 10:10"]


def test_relativedelta_steps_through_the_calendar() -> None:
    monthly = {"type": "relativedelta", "delta": {"months": 1}}
    assert series(monthly, 3, start=at("2026-01-31T00:00")) == ["01-31 00:00", "02-28 00:00", "03-28 00:00"]
    fridays = {"type": "relativedelta", "delta": {"days": 1, "weekday": [4, 1]}}
    assert series(fridays, 3, start=at("2026-01-02T00:00")) == ["01-02 00:00", "01-09 00:00", "01-16 00:00"]
    whole = {"type": "delta_interval", "delta": {"months": 1}}
    assert due(whole, start=at("2026-01-31T00:00")) == at("2026-05-28T00:00")


def test_once_runs_once_at_its_start() -> None:
    once = {"type": "once"}
    assert due(once) == NOW
    assert due(once, start=at("2026-01-01T00:00")) == at("2026-01-01T00:00")
    assert due(once, last=point("2026-01-01T00:00")) is None
    assert due(once, start=at("2026-01-02T00:00"), end=at("2026-01-01T00:00")) is None


def test_continuous_goes_on_from_where_the_last_ended() -> None:
    plan = next_run({"type": "continuous"}, last=point("2026-06-10T10:00"), now=NOW)
    assert plan is not None and plan.interval == (at("2026-06-10T10:00"), NOW)
    assert due({"type": "continuous"}, start=NOW + HOUR) == NOW + HOUR
    assert due({"type": "continuous"}, end=NOW - HOUR) is None


def test_multiple_crons_take_the_earliest() -> None:
    both = {"type": "multi_cron", "expressions": ["15 * * * *", "0 */2 * * *"], "timezone": "UTC"}
    found = series(both, 4, start=at("2026-06-10T07:30"))
    assert found == ["06-10 08:00", "06-10 08:15", "06-10 09:15", "06-10 10:00"]
    assert due(both, last=point("2026-06-10T06:00")) == at("2026-06-10T10:15")
    assert due(both, last=point("2026-06-10T10:15")) == at("2026-06-10T10:15") + HOUR


def test_events_are_a_list() -> None:
    events = {"type": "events", "dates": ["2026-07-01T00:00:00+00:00", "2026-05-01T00:00:00+00:00"]}
    assert due(events) == at("2026-07-01T00:00")
    assert series(events, 3) == ["05-01 00:00", "07-01 00:00"]
    assert due(events, end=at("2026-06-20T00:00")) is None


def test_assets_and_none_have_no_time_of_their_own() -> None:
    assert due({"type": "none"}) is None
    assert due({"type": "asset"}) is None
    assert due({"type": "asset_or_time", "timetable": HOURLY}, last=point("2026-06-10T09:00")) == at("2026-06-10T10:00")


def test_what_is_no_timetable_is_told() -> None:
    for wrong in (
        {"type": "sometimes"},
        {"type": "cron", "expression": "x", "timezone": "UTC"},
        {"type": "cron", "expression": "@daily", "timezone": "Mars/Olympus"},
        {"type": "cron"},
        {"type": "delta", "delta": -60},
        {"type": "delta", "delta": {"moons": 1}},
        {"type": "multi_cron", "expressions": ["x"], "timezone": "UTC"},
        {"type": "asset_or_time", "timetable": {"type": "maybe"}},
    ):
        with pytest.raises(DagError, match="expected"):
            check_timetable(wrong)
    for right in (HOURLY, {"type": "none"}, {"type": "delta", "delta": {"months": 1}}):
        check_timetable(right)


# Catchup, dates, the first run


def test_catchup_false_makes_at_most_the_one_missed_run() -> None:
    assert due(HOURLY, last=point("2026-06-01T00:00")) == at("2026-06-10T10:00")
    assert due(HOURLY, last=point("2026-06-10T10:00")) == at("2026-06-10T11:00")
    assert due(HOURLY, start=at("2026-01-01T00:00")) == at("2026-06-10T10:00")
    assert due(HOURLY, start=at("2026-07-01T00:10")) == at("2026-07-01T01:00")


def test_catchup_true_makes_every_tick_from_the_start() -> None:
    expected = ["06-10 08:00", "06-10 09:00", "06-10 10:00", "06-10 11:00"]
    assert series(HOURLY, 4, start=at("2026-06-10T07:01")) == expected
    assert due(HOURLY, start=at("2026-06-10T08:00"), catchup=True) == at("2026-06-10T08:00")


def test_after_the_end_date_there_is_none() -> None:
    assert due(HOURLY, last=point("2026-06-10T10:00"), end=at("2026-06-10T11:00")) == at("2026-06-10T11:00")
    assert due(HOURLY, last=point("2026-06-10T10:00"), end=at("2026-06-10T10:59")) is None


@pytest.mark.parametrize("catchup", [False, True])
@pytest.mark.parametrize(
    ("expression", "now", "expected"),
    [
        ("@hourly", "2026-06-10T10:05", "2026-06-10T10:00"),
        ("@hourly", "2026-06-10T10:07", "2026-06-10T11:00"),
        ("@daily", "2026-06-10T02:24", "2026-06-10T00:00"),
        ("@daily", "2026-06-10T02:25", "2026-06-11T00:00"),
        ("*/10 * * * *", "2026-06-10T10:04", "2026-06-10T10:00"),
        ("*/10 * * * *", "2026-06-10T10:06", "2026-06-10T10:10"),
    ],
)
def test_the_first_run_without_start_date(expression: str, now: str, expected: str, catchup: bool) -> None:
    cron = {"type": "cron", "expression": expression, "timezone": "UTC"}
    assert due(cron, now=at(now), catchup=catchup) == at(expected)


def test_run_immediately_is_kept() -> None:
    assert due({**DAILY, "run_immediately": True}) == at("2026-06-10T00:00")
    assert due({**DAILY, "run_immediately": 3600}) == at("2026-06-11T00:00")
    assert due({**DAILY, "run_immediately": 11 * 3600}) == at("2026-06-10T00:00")


def test_runs_by_hand_are_about_what_the_timetable_says() -> None:
    by_interval = {"type": "cron_interval", "expression": "@daily", "timezone": "UTC"}
    assert manual_interval(by_interval, NOW) == (at("2026-06-09T00:00"), at("2026-06-10T00:00"))
    assert manual_interval(DAILY, NOW) == (NOW, NOW)
    assert manual_interval({**DAILY, "interval": 3600}, NOW) == (NOW - HOUR, NOW)
    assert manual_interval({"type": "delta_interval", "delta": 3600}, NOW) == (NOW - HOUR, NOW)
    assert manual_interval({"type": "none"}, NOW) == (NOW, NOW)
    events = {"type": "events", "dates": ["2026-05-01T00:00:00+00:00"], "restrict_to_events": True}
    assert manual_interval(events, NOW) == point("2026-05-01T00:00")


def test_a_backfill_has_every_run_between_its_dates() -> None:
    found = list(list_runs(DAILY, start=at("2026-06-01T00:00"), end=at("2026-06-03T00:00")))
    assert [plan.run_id for plan in found] == [f"backfill__2026-06-0{day}T00:00:00+00:00" for day in (1, 2, 3)]
    assert not list(list_runs({"type": "once"}, start=at("2026-06-01T00:00"), end=NOW))


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["@hourly", "@daily", "30 2 * * *", "*/7 * * * *", "0 0 1 * *", "15 3 * * mon"]),
    st.sampled_from(["cron", "cron_interval"]),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]),
    st.datetimes(datetime(2025, 1, 1), datetime(2026, 12, 31)),
    st.booleans(),
)
def test_runs_go_forward_and_only_the_last_is_early(
    expression: str, kind: str, zone: str, naive: datetime, catchup: bool
) -> None:
    timetable = {"type": kind, "expression": expression, "timezone": zone}
    now = naive.replace(tzinfo=UTC)
    last: Interval | None = None
    for _ in range(8):
        plan = next_run(timetable, last=last, now=now, start=now - 2 * DAY, catchup=catchup)
        assert plan is not None and plan.interval is not None
        assert last is None or plan.run_after > last[1]
        assert last is None or kind == "cron" or plan.interval[0] >= last[1]
        last = plan.interval
