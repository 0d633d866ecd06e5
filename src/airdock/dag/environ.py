"""The environment variables by which whoever loads a DAG file tells it what it can't see."""

from typing import Final

__all__ = ["PYTHONS_VARIABLE", "SCHEDULES_VARIABLE"]

PYTHONS_VARIABLE: Final = "AIRDOCK_PYTHONS"
"""Versions, comma-separated: in its container the machine's Pythons can't be seen."""

SCHEDULES_VARIABLE: Final = "AIRDOCK_SCHEDULES"
"""Is "interval" where schedules that name no timetable are about the time between two runs, as with Airflow's
create_cron_data_intervals."""
