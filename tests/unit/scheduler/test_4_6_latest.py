"""Reference §4.6: until when a run is the latest, by its DAG's schedule."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airdock.model.keys import RunKey
from airdock.model.states import RunState
from airdock.scheduler.following import find_following
from airdock.store.records import Run

Make = Callable[..., Any]
TEN = datetime(2026, 6, 10, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
CRON = {"expression": "0 * * * *", "timezone": "UTC"}


def run(**times: datetime) -> Run:
    return Run(key=RunKey(dag_id="d", run_id="r"), state=RunState.RUNNING, dag_digest="x", created=TEN, **times)


def never(_file: str, _questions: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    raise AssertionError("nobody is to be asked")


@pytest.mark.parametrize(
    ("timetable", "start", "following"),
    [
        ({"type": "cron", **CRON}, TEN, TEN + HOUR),
        ({"type": "cron", **CRON, "interval": 3600}, TEN - HOUR, TEN + HOUR),
        ({"type": "cron_interval", **CRON}, TEN - HOUR, TEN + HOUR),
        ({"type": "delta", "delta": 7200}, TEN, TEN + 2 * HOUR),
        ({"type": "none"}, TEN, None),
        ({"type": "once"}, TEN, None),
        ({"type": "asset"}, TEN, None),
        ({"type": "events", "dates": [TEN.isoformat(), (TEN + HOUR).isoformat()]}, TEN, TEN + HOUR),
        ({"type": "events", "dates": [TEN.isoformat()]}, TEN, None),
        ({"type": "asset_or_time", "timetable": {"type": "cron", **CRON}}, TEN, TEN + HOUR),
    ],
)
def test_a_run_is_the_latest_until_the_next_interval_has_ended(
    make_dag: Make, timetable: Mapping[str, Any], start: datetime, following: datetime | None
) -> None:
    dag = make_dag(timetable=timetable, start_date="2020-01-01T00:00:00+00:00")
    found = run(logical_date=start, interval_start=start, interval_end=TEN)
    assert find_following(dag, found, never) == following


def test_a_run_without_an_interval_has_its_date(make_dag: Make) -> None:
    dag = make_dag(timetable={"type": "cron", **CRON})
    assert find_following(dag, run(logical_date=TEN), never) == TEN + HOUR
    assert find_following(dag, run(run_after=TEN + HOUR), never) == TEN + 2 * HOUR


def test_an_authors_timetable_is_asked(make_dag: Make) -> None:
    asked: list[Mapping[str, Any]] = []

    def ask(_file: str, questions: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        asked.extend(questions)
        times = {name: (TEN + HOUR).isoformat() for name in ("logical_date", "run_after")}
        return [{"runs": [{"run_type": "scheduled", "run_id": "x", "interval": list(times.values()), **times}]}]

    dag = make_dag(timetable={"type": "custom"}, end_date=TEN.isoformat())
    assert find_following(dag, run(logical_date=TEN, interval_start=TEN, interval_end=TEN), ask) == TEN + HOUR
    (question,) = asked
    assert (question["last"], question["start"], question["end"]) == ([TEN.isoformat()] * 2, TEN.isoformat(), "")
