"""Branches, short circuits and latest-only: what of the tasks after them is skipped (reference 4.6)."""

from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from airdock.dag.exceptions import AirflowException, AirflowSkipException
from airdock.operators.branch import BaseBranchOperator, BranchPythonOperator
from airdock.operators.branch_datetime import BranchDateTimeOperator, bounds
from airdock.operators.branch_weekday import BranchDayOfWeekOperator
from airdock.operators.empty import EmptyOperator
from airdock.operators.latest_only import LatestOnlyOperator
from airdock.operators.short_circuit import ShortCircuitOperator
from airdock.operators.weekday import WeekDay
from airdock.runner.inside.decisions import skipped
from airdock.sdk import DAG, task


def fan(branch: Any) -> Any:
    """branch >> [a, b, join], a >> join: an empty branch beside two tasks."""
    a, b, join = (EmptyOperator(task_id=each) for each in ("a", "b", "join"))
    branch >> [a, b, join]
    a >> join
    return branch


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ("a", [["b", -1]]),  # join is also after a
        (["b"], [["a", -1], ["join", -1]]),
        (["a", "b"], []),
        ("join", [["a", -1], ["b", -1]]),
        (None, [["a", -1], ["b", -1], ["join", -1]]),
        ([], [["a", -1], ["b", -1], ["join", -1]]),
    ],
)
def test_branch(running: Any, chosen: Any, expected: Any) -> None:
    with DAG("d"):
        branch = fan(BranchPythonOperator(task_id="branch", python_callable=lambda: chosen))
    context = running(branch)
    assert branch.execute(context) == chosen
    assert context["ti"].skipped == expected
    followed = [each for each in ("a", "b", "join") if [each, -1] not in expected]
    (pushed,) = [fields for op, fields in context["ti"]._channel.requests if op == "xcom_put"]
    assert (pushed["key"], pushed["value"]) == ("skipmixin_key", {"followed": followed})


def test_branch_to_no_task(running: Any) -> None:
    with DAG("d"):
        branch = fan(BranchPythonOperator(task_id="branch", python_callable=lambda: ["zz"]))
        number = BranchPythonOperator(task_id="number", python_callable=lambda: 1)
    with pytest.raises(AirflowException, match="expected ids of tasks of the DAG to follow, found zz"):
        branch.execute(running(branch))
    with pytest.raises(AirflowException, match="found a int"):
        number.execute(running(number))


def test_branch_of_one_mapped_instance(running: Any) -> None:
    with DAG("d"):
        branch = fan(BranchPythonOperator(task_id="branch", python_callable=lambda: "a"))
    context = running(branch, map_index=3)
    branch.execute(context)
    assert context["ti"].skipped == [["b", 3]]


def test_own_branch_operator(running: Any) -> None:
    class Mine(BaseBranchOperator):
        def choose_branch(self, context: Any) -> Any:
            return (each for each in ["b"])

    with DAG("d"):
        branch = fan(Mine(task_id="branch"))
    context = running(branch)
    assert branch.execute(context) == ["b"]
    assert context["ti"].skipped == [["a", -1], ["join", -1]]


def decide(value: Any = None) -> Any:
    """A function that can travel."""
    return value


@pytest.mark.parametrize("chosen", ["a", ["b"], None, "join"])
def test_branch_in_an_image(running: Any, chosen: Any) -> None:
    with DAG("d"):
        here = fan(BranchPythonOperator(task_id="branch", python_callable=decide, op_args=[chosen]))
    with DAG("d"):
        there = fan(BranchPythonOperator(task_id="branch", python_callable=decide, op_args=[chosen], image="python"))
    context = running(here)
    here.execute(context)
    work = there.work()
    assert work["mode"] == "bare"
    assert [list(each) for each in skipped(work["payload"], chosen, -1)] == context["ti"].skipped
    with pytest.raises(ValueError, match="found zz"):
        skipped(work["payload"], ["zz"], -1)


@pytest.mark.parametrize(("ignore", "expected"), [(True, ["a", "b"]), (False, ["a"])])
def test_short_circuit(running: Any, ignore: bool, expected: list[str]) -> None:
    with DAG("d"):
        gate = ShortCircuitOperator(
            task_id="gate", python_callable=decide, op_args=[0], ignore_downstream_trigger_rules=ignore
        )
        a, b, tidy = (EmptyOperator(task_id=each) for each in ("a", "b", "tidy"))
        gate >> a >> b >> tidy
        tidy.is_teardown = True
    context = running(gate)
    assert gate.execute(context) == 0
    assert context["ti"].skipped == [[each, -1] for each in expected]
    gate.op_args = ["yes"]
    context = running(gate)
    gate.execute(context)
    assert context["ti"].skipped == []


def test_short_circuit_in_an_image() -> None:
    with DAG("d"):
        gate = ShortCircuitOperator(task_id="gate", python_callable=decide, image="python")
        gate >> EmptyOperator(task_id="a")
    payload = gate.work()["payload"]
    assert skipped(payload, 0, -1) == [("a", -1)]
    assert skipped(payload, 1, -1) == []


@pytest.mark.parametrize(
    ("lower", "upper", "expected"),
    [
        (time(3), time(4), "yes"),
        (time(4), time(5), "no"),
        (None, time(3), "no"),
        (datetime(2025, 1, 1), None, "yes"),
        (time(3), time(2), "yes"),  # across midnight
    ],
)
def test_branch_by_time(running: Any, lower: Any, upper: Any, expected: str) -> None:
    with DAG("d"):
        branch = BranchDateTimeOperator(
            task_id="t", follow_task_ids_if_true="yes", follow_task_ids_if_false="no", target_lower=lower,
            target_upper=upper, use_task_logical_date=True,
        )  # fmt: skip
    assert branch.choose_branch(running(branch)) == expected


def test_bounds_of_a_day() -> None:
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    assert bounds(moment, time(20), time(2)) == (datetime(2026, 1, 2, 20), datetime(2026, 1, 3, 2))


def test_branch_by_weekday(running: Any) -> None:
    with DAG("d"):
        branch = BranchDayOfWeekOperator(
            task_id="t", follow_task_ids_if_true="yes", follow_task_ids_if_false="no", week_day={"Friday"},
            use_task_logical_date=True,
        )  # fmt: skip
    assert branch.choose_branch(running(branch)) == "yes"  # 2 January 2026
    assert branch.choose_branch(running(branch, logical_date="2026-01-03T00:00:00+00:00")) == "no"
    assert WeekDay.validate_week_day([WeekDay.MONDAY, "sunday"]) == {1, 7}


def test_latest_only(running: Any) -> None:
    with DAG("d", schedule=timedelta(hours=4), start_date=datetime(2026, 1, 1, tzinfo=UTC)):
        latest = LatestOnlyOperator(task_id="latest")
        latest >> EmptyOperator(task_id="a")
    now = datetime.now(UTC)
    began, day = (now - timedelta(hours=1)).isoformat(), timedelta(days=1)
    for logical_date, following, expected in (
        (began, now + day, []),
        (began, now - timedelta(minutes=1), [["a", -1]]),
        (began, None, []),
        ((now + day).isoformat(), now + 2 * day, [["a", -1]]),
    ):
        context = running(latest, logical_date=logical_date, run_type="scheduled")
        context["ti"]._channel.answers["following"] = following.isoformat() if following else None
        latest.execute(context)
        assert context["ti"].skipped == expected
    context = running(latest)
    context["dag_run"].run_type = "manual"
    latest.execute(context)
    assert context["ti"].skipped == []


def test_decorators(running: Any) -> None:
    with DAG("d"):

        @task.branch
        def choose() -> str:
            return "a"

        @task.short_circuit(ignore_downstream_trigger_rules=False)
        def gate() -> bool:
            return False

        branch, short = fan(choose()).operator, gate().operator
    assert (branch.operator_kind, short.operator_kind) == ("@task.branch", "@task.short_circuit")
    assert short.ignore_downstream_trigger_rules is False
    context = running(branch)
    branch.execute(context)
    assert context["ti"].skipped == [["b", -1]]


def test_run_if_and_skip_if(running: Any) -> None:
    with DAG("d"):

        @task.run_if(lambda context: context["run_id"] == "other", skip_message="not this run")
        @task
        def one() -> None: ...

        @task.skip_if(lambda context: context["run_id"] == "other")
        @task.run_if(lambda context: context["run_id"] == "r")
        @task.branch
        def two() -> None: ...

        first, second = one().operator, two().operator
    with pytest.raises(AirflowSkipException, match="not this run"):
        first.pre_execute(running(first))
    second.pre_execute(running(second))


def test_a_condition_may_say_why(running: Any) -> None:
    with DAG("d"):

        @task.run_if(lambda _context: (False, "not today"), skip_message="not said")
        @task
        def one() -> None: ...

        @task.skip_if(lambda _context: (False, "not said"))
        @task
        def two() -> None: ...

        first, second = one().operator, two().operator
    with pytest.raises(AirflowSkipException, match="not today"):
        first.pre_execute(running(first))
    second.pre_execute(running(second))


def test_an_unknown_decorator() -> None:
    with pytest.raises(AttributeError, match=r"no @task\.brunch\. did you mean 'branch'\?"):
        task.brunch  # noqa: B018
