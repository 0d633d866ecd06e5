"""Reference 4.1: which runs a schedule makes, with which dates."""

from datetime import timedelta

import pendulum
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import (
    DAG,
    Asset,
    AssetAlias,
    AssetOrTimeSchedule,
    CronDataIntervalTimetable,
    CronTriggerTimetable,
    DeltaDataIntervalTimetable,
    DeltaTriggerTimetable,
    Metadata,
    MultipleCronTriggerTimetable,
    task,
)
from dateutil.relativedelta import relativedelta

BERLIN = "Europe/Berlin"


def day(text, zone="UTC"):
    return pendulum.parse(text, tz=zone)


def scheduled(dag_id, schedule, start, end, zone="UTC", **options):
    options = {"catchup": True, **options}
    with DAG(dag_id, schedule=schedule, start_date=day(start, zone), end_date=day(end, zone), **options) as dag:
        EmptyOperator(task_id="empty")
    return dag


DAGS = [
    scheduled("daily", "@daily", "2026-01-01", "2026-01-04"),
    scheduled("weekly", "@weekly", "2026-01-01", "2026-01-31"),
    scheduled("monthly", "@monthly", "2026-01-15", "2026-05-01"),
    scheduled("quarterly", "@quarterly", "2025-01-01", "2026-01-01"),
    scheduled("yearly", "@yearly", "2023-06-01", "2026-01-01"),
    scheduled("hourly", "@hourly", "2026-01-01T00:30", "2026-01-01T04:00"),
    scheduled("spring_by_clock", "30 2 * * *", "2026-03-27", "2026-03-31", BERLIN),
    scheduled("autumn_by_clock", "30 2 * * *", "2025-10-25", "2025-10-28", BERLIN),
    scheduled("spring_by_hours", "0 * * * *", "2026-03-29T00:00", "2026-03-29T05:00", BERLIN),
    scheduled("autumn_by_hours", "0 * * * *", "2025-10-26T00:00", "2025-10-26T05:00", BERLIN),
    scheduled("autumn_half_hours", "*/30 * * * *", "2025-10-26T01:00", "2025-10-26T04:00", BERLIN),
    scheduled("autumn_every_six", "0 */6 * * *", "2025-10-25", "2025-10-27", BERLIN),
    scheduled("spring_range", "0 1-3 * * *", "2026-03-28", "2026-03-30", BERLIN),
    scheduled("day_or_weekday", "0 0 13 * 5", "2026-02-01", "2026-03-01"),
    scheduled("last_day", "0 0 L * *", "2026-01-01", "2026-04-15"),
    scheduled("third_friday", "0 0 * * 5#3", "2026-01-01", "2026-04-15"),
    scheduled("names", "0 0 * JAN-MAR MON", "2026-01-01", "2026-01-31"),
    scheduled("sunday_is_seven", "0 0 * * 7", "2026-01-01", "2026-01-31"),
    scheduled("six_fields", "0 0 12 * * 30", "2026-01-01", "2026-03-01"),
    scheduled("seconds", "0 0 * * * */30", "2026-01-01", "2026-01-01T23:59"),
    scheduled("hours_36", timedelta(hours=36), "2026-01-01", "2026-01-06"),
    scheduled("month_ends", relativedelta(months=1), "2026-01-31", "2026-06-01"),
    scheduled("delta_dst", timedelta(days=1), "2026-03-28", "2026-03-31", BERLIN),
    scheduled("relative_dst", relativedelta(days=1), "2026-03-28", "2026-03-31", BERLIN),
    scheduled("cron_intervals", CronDataIntervalTimetable("0 6 * * *", timezone="UTC"), "2026-01-01", "2026-01-04"),
    scheduled("delta_intervals", DeltaDataIntervalTimetable(timedelta(days=1)), "2026-01-01", "2026-01-04"),
    scheduled(
        "cron_looks_back",
        CronTriggerTimetable("0 6 * * *", timezone="UTC", interval=timedelta(days=1)),
        "2026-01-01",
        "2026-01-04",
    ),
    scheduled(
        "delta_looks_back",
        DeltaTriggerTimetable(timedelta(days=1), interval=timedelta(hours=2)),
        "2026-01-01",
        "2026-01-04",
    ),
    scheduled(
        "several_crons",
        MultipleCronTriggerTimetable("0 6 * * *", "0 18 * * MON-FRI", timezone=BERLIN),
        "2026-01-02",
        "2026-01-06",
    ),
    scheduled("once", "@once", "2026-01-01", "2026-01-31"),
    scheduled("once_no_catchup", "@once", "2026-01-01", "2026-01-31", catchup=False),
    scheduled("no_catchup", "@daily", "2026-01-01", "2026-01-04", catchup=False),
    scheduled("no_catchup_delta", timedelta(days=1), "2026-01-01", "2026-01-04", catchup=False),
    scheduled(
        "no_catchup_intervals",
        CronDataIntervalTimetable("0 6 * * *", timezone="UTC"),
        "2026-01-01",
        "2026-01-04",
        catchup=False,
    ),
    scheduled("before_its_start", "@daily", "2026-01-01T12:00", "2026-01-03"),
    scheduled("one_at_a_time", "@daily", "2026-01-01", "2026-01-03", max_active_runs=1),
    scheduled("unknown_zone_offset", "0 0 * * *", "2026-01-01", "2026-01-03", "America/New_York"),
]

with DAG("task_dates", schedule="@daily", start_date=day("2026-01-01"), end_date=day("2026-01-03"), catchup=True):
    EmptyOperator(task_id="starts_later", start_date=day("2026-01-02")) >> EmptyOperator(task_id="below")
    EmptyOperator(task_id="ends_sooner", end_date=day("2026-01-02"))
    EmptyOperator(task_id="always")

FIRST, SECOND, THIRD = Asset("first"), Asset("second", uri="file:///second"), Asset("third")

with DAG("makes_first", schedule=None):

    @task(outlets=[FIRST])
    def makes(outlet_events):
        outlet_events[FIRST].extra = {"rows": 3}
        yield Metadata(FIRST, extra={"rows": 4})

    makes()

with DAG("makes_second", schedule=[FIRST]):

    @task(outlets=[SECOND, AssetAlias("alias")], inlets=[FIRST])
    def makes(outlet_events, inlet_events, triggering_asset_events):
        outlet_events[AssetAlias("alias")].add(THIRD, extra={"by": "alias"})
        return [
            {each.name: [event.extra for event in events] for each, events in triggering_asset_events.items()},
            [event.extra for event in inlet_events[FIRST]],
        ]

    makes()


def consumer(dag_id, schedule, **options):
    with DAG(dag_id, schedule=schedule, **options):

        @task
        def seen(triggering_asset_events, dag_run, logical_date=None):
            return [
                sorted(each.name for each in triggering_asset_events),
                dag_run.run_type,
                str(logical_date),
                dag_run.conf,
            ]

        seen()


consumer("of_both", FIRST & SECOND)
consumer("of_alias", AssetAlias("alias"))
consumer("of_third", [THIRD])
consumer("of_never", FIRST & Asset("never"))
consumer("of_either_of_never", (Asset("never") | SECOND) & FIRST)
consumer(
    "of_asset_or_time",
    AssetOrTimeSchedule(timetable=CronTriggerTimetable("0 0 1 1 *", timezone="UTC"), assets=[SECOND]),
    start_date=day("2026-02-01"),
    catchup=False,
)
