"""Sensors: poke and reschedule, time-outs, soft fail, deferral (reference 4.4), and what each waits for."""

import asyncio
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from airdock.dag.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)
from airdock.dag.sensor import BaseSensorOperator, PokeReturnValue, poke_mode_only
from airdock.dag.trigger import StartTriggerArgs, TaskSuccessEvent, TriggerEvent, defer_at_once
from airdock.errors import DagError
from airdock.operators.file_triggers import DirectoryFileDeleteTrigger, FileDeleteTrigger, FileTrigger
from airdock.operators.sensors import BashSensor, DayOfWeekSensor, FileSensor, PythonSensor
from airdock.operators.time_sensors import DateTimeSensor, DateTimeTrigger, TimeDeltaSensor, TimeSensor, WaitSensor
from airdock.sdk import DAG, task


class Counting(BaseSensorOperator):
    """True at the third poke."""

    count = 0

    def poke(self, context: Any) -> Any:
        self.count += 1
        return PokeReturnValue(self.count == 3, xcom_value="found")


class Failing(BaseSensorOperator):
    """Its poke raises."""

    def poke(self, context: Any) -> Any:
        raise AirflowFailException("broken")


def test_it_pokes_until_it_is_true(running: Any) -> None:
    with DAG("d"):
        sensor = Counting(task_id="s", poke_interval=0)
    assert sensor.execute(running(sensor)) == "found"
    assert sensor.count == 3


def test_reschedule_gives_the_place_back(running: Any) -> None:
    with DAG("d"):
        sensor = Counting(task_id="s", mode="reschedule", poke_interval=timedelta(minutes=1))
    before = datetime.now(UTC)
    with pytest.raises(AirflowRescheduleException) as caught:
        sensor.execute(running(sensor))
    assert 59 < (caught.value.reschedule_date - before).total_seconds() < 90


def test_the_time_is_counted_from_the_first_poke(running: Any) -> None:
    with DAG("d"):
        sensor = Counting(task_id="s", mode="reschedule", timeout=60)
        soft = Counting(task_id="t", mode="reschedule", timeout=60, soft_fail=True)
    for each, kind in ((sensor, AirflowSensorTimeout), (soft, AirflowSkipException)):
        context = running(each)
        context["ti"].first_started = datetime.now(UTC) - timedelta(seconds=61)
        with pytest.raises(kind):
            each.execute(context)


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ({}, AirflowFailException),
        ({"soft_fail": True}, AirflowSkipException),
        ({"never_fail": True}, AirflowSkipException),
    ],
)
def test_a_poke_that_fails(running: Any, arguments: Any, kind: type[Exception]) -> None:
    with DAG("d"):
        sensor = Failing(task_id="s", **arguments)
    with pytest.raises(kind):
        sensor.execute(running(sensor))


def test_waits_grow_up_to_the_longest() -> None:
    with DAG("d"):
        sensor = Counting(task_id="s", poke_interval=8, exponential_backoff=True, max_wait=100)
    waits = [sensor.next_wait_s(each) for each in range(1, 8)]
    for index, wait in enumerate(waits):
        least = 8 * 2 ** (index - 1)
        assert min(100, least) <= wait <= min(100, 2 * least)


def test_wrong_arguments() -> None:
    with pytest.raises(DagError, match='expected mode to be "poke" or "reschedule"'):
        Counting(task_id="s", mode="sleep")
    with pytest.raises(DagError, match="found both"):
        Counting(task_id="s", soft_fail=True, never_fail=True)
    only = poke_mode_only(type("Only", (Counting,), {}))
    with pytest.raises(DagError, match='works in mode "poke" only'):
        only(task_id="s", mode="reschedule")


@pytest.mark.parametrize(("command", "expected"), [("true", True), ("exit 3", False)])
def test_bash(running: Any, command: str, expected: bool) -> None:
    with DAG("d"):
        sensor = BashSensor(task_id="s", bash_command=command)
        strict = BashSensor(task_id="t", bash_command="exit 4", retry_exit_code=3)
    assert sensor.poke(running(sensor)) is expected
    with pytest.raises(AirflowFailException, match="return code 4"):
        strict.poke(running(strict))


def test_python_by_operator_and_by_decorator(running: Any) -> None:
    with DAG("d"):
        plain = PythonSensor(task_id="p", python_callable=lambda n, ds: [n, ds], op_args=[1])

        @task.sensor(poke_interval=0, mode="reschedule")
        def wait(value: str) -> PokeReturnValue:
            return PokeReturnValue(is_done=True, xcom_value=value)

        decorated = wait("v").operator
    assert plain.poke(running(plain)) is True
    assert decorated.reschedule
    assert decorated.execute(running(decorated)) == "v"
    assert decorated.operator_kind == "@task.sensor"


def test_file(running: Any, tmp_path: Path) -> None:
    with DAG("d"):
        sensor = FileSensor(task_id="f", filepath=str(tmp_path / "*.txt"))
        later = FileSensor(task_id="g", filepath=str(tmp_path / "*.txt"), deferrable=True, poke_interval=1)
    assert not sensor.poke(running(sensor))
    with pytest.raises(TaskDeferred) as caught:
        later.execute(running(later))
    path, kwargs = caught.value.trigger.serialize()
    assert path == "airflow.providers.standard.triggers.file.FileTrigger"
    assert kwargs == {"filepath": str(tmp_path / "*.txt"), "recursive": False, "poke_interval": 1.0}
    (tmp_path / "a.txt").write_text("x")
    assert sensor.poke(running(sensor))
    later.execute(running(later))
    later.execute_complete(running(later), event=True)
    with pytest.raises(AirflowException, match=r"found no .*\.txt"):
        later.execute_complete(running(later), event=False)


def test_a_file_below_the_folder_of_a_connection(running: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with DAG("d"):
        sensor = FileSensor(task_id="f", filepath="a.txt", fs_conn_id="mine")
    context = running(sensor)
    assert sensor.path(context) == "/a.txt"
    monkeypatch.setenv("AIRFLOW_CONN_MINE", f'{{"conn_type": "fs", "extra": {{"path": "{tmp_path}"}}}}')
    assert sensor.path(context) == f"{tmp_path}/a.txt"


def test_a_task_that_begins_deferred() -> None:
    class Begins(BaseSensorOperator):
        start_from_trigger = True
        start_trigger_args = StartTriggerArgs(
            trigger_cls="airdock.operators.file_triggers.FileTrigger",
            trigger_kwargs={"filepath": "/a", "poke_interval": 5},
            next_method="go_on",
            next_kwargs={"more": 1},
            timeout=timedelta(hours=1),
        )

        def __init__(self, *, trigger_kwargs: Any = None, task_id: str, **arguments: Any) -> None:
            super().__init__(task_id=task_id, **arguments)
            self.trigger_kwargs = trigger_kwargs

    with DAG("d"):
        task = Begins(task_id="t")
        own = Begins(task_id="u", trigger_kwargs={"filepath": "/b"})
        plain = Counting(task_id="v")
    assert (task.start_from_trigger, plain.start_from_trigger, plain.start_trigger_args) == (True, False, None)
    with pytest.raises(TaskDeferred) as caught:
        defer_at_once(task)
    assert caught.value.trigger.serialize()[1] == {"filepath": "/a", "recursive": False, "poke_interval": 5.0}
    assert (caught.value.method_name, caught.value.kwargs) == ("go_on", {"more": 1})
    assert caught.value.timeout == timedelta(hours=1)
    with pytest.raises(TaskDeferred) as caught:
        defer_at_once(own)
    assert caught.value.trigger.serialize()[1]["filepath"] == "/b"


def test_times(running: Any) -> None:
    with DAG("d"):
        past = DateTimeSensor(task_id="a", target_time="2026-01-01T00:00:00+00:00")
        delta = TimeDeltaSensor(task_id="b", delta=timedelta(hours=1))
        far = TimeDeltaSensor(task_id="c", delta=timedelta(days=36500), deferrable=True)
        early = TimeSensor(task_id="e", target_time=time(0, 0))
        wait = WaitSensor(task_id="w", time_to_wait=5)
        day = DayOfWeekSensor(task_id="y", week_day="Friday", use_task_logical_date=True)
    assert past.poke(running(past))
    assert delta.moment(running(delta)) == datetime(2026, 1, 2, 4, 4, 5, tzinfo=UTC)
    assert early.poke(running(early))
    assert not wait.poke(running(wait))
    assert day.poke(running(day))
    with pytest.raises(TaskDeferred) as caught:
        far.execute(running(far))
    assert caught.value.trigger.moment == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC) + timedelta(days=36500)
    assert caught.value.method_name == "execute_complete"


async def _first(trigger: Any) -> Any:
    async for event in trigger.run():
        return event
    return None


def test_triggers(tmp_path: Path) -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    assert asyncio.run(_first(DateTimeTrigger(moment))) == TriggerEvent(moment)
    assert asyncio.run(_first(DateTimeTrigger(moment, end_from_trigger=True))) == TaskSuccessEvent()
    for trigger in (
        FileTrigger(str(tmp_path / "a")),
        FileDeleteTrigger(str(tmp_path / "a")),
        DirectoryFileDeleteTrigger(directory=str(tmp_path), filename="a"),
    ):
        (tmp_path / "a").write_text("x")
        assert asyncio.run(_first(trigger)).payload
    assert not (tmp_path / "a").exists()
    with pytest.raises(ValueError, match="naive"):
        DateTimeTrigger(datetime(2026, 1, 1))


def test_bash_task(running: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with DAG("d"):

        @task.bash(env={"NAME": "you"})
        def greet(word: str) -> str:
            return f"echo {word} $NAME {{{{ run_id }}}}"

        @task.bash
        def nothing() -> str:
            return " "

        said, empty = greet("hello").operator, nothing().operator
    context = running(said)
    said.render_template_fields(context)
    assert said.execute(context) == "hello you r"
    assert said.operator_kind == "@task.bash"
    with pytest.raises(TypeError, match="to return a Bash command"):
        empty.execute(running(empty))
