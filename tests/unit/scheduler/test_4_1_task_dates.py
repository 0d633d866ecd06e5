"""Reference §4.1: a task has no instance in a run whose logical date is outside of the task's own dates."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from airdock.model.states import RunState
from airdock.scheduler.decide import conclude

from .drive import NOW, Drive

Make = Callable[..., Any]
BEFORE, AFTER = ((NOW + timedelta(days=days)).isoformat() for days in (-1, 1))


def states(dag: Any, **more: Any) -> dict[str, str]:
    return Drive(dag, **{"logical_date": NOW, **more}).states()


def test_what_starts_later_or_has_ended_is_removed(make_dag: Make, make_task: Make) -> None:
    dag = make_dag(
        make_task("later", start_date=AFTER),
        make_task("over", end_date=BEFORE),
        make_task("now", start_date=NOW.isoformat(), end_date=NOW.isoformat()),
        make_task("below", "later", "over"),
    )
    assert states(dag) == {"later": "removed", "over": "removed", "now": "queued", "below": "queued"}


def test_a_run_of_which_all_is_removed_succeeds(make_dag: Make, make_task: Make) -> None:
    drive = Drive(make_dag(make_task("later", start_date=AFTER)), logical_date=NOW)
    ended = conclude(drive.view, NOW)
    assert ended is not None
    assert ended.target is RunState.SUCCESS


@pytest.mark.parametrize("more", [{"logical_date": None}, {"run_type": "backfill"}])
def test_a_backfill_and_a_run_without_a_date_have_all(make_dag: Make, make_task: Make, more: dict[str, Any]) -> None:
    assert states(make_dag(make_task("later", start_date=AFTER)), **more) == {"later": "queued"}


def test_the_dags_own_dates_bound_its_schedule_alone(make_dag: Make, make_task: Make) -> None:
    dag = make_dag(make_task("a", start_date=AFTER, end_date=BEFORE), start_date=AFTER, end_date=BEFORE)
    assert states(dag) == {"a": "queued"}
