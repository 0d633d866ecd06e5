"""Tasks that wait for triggers without a container, and go on in one when these fire."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airdock.app import App
from airdock.config import load_config

from .test_serving import serving

DAG = """
from datetime import timedelta
from airflow.sdk import DAG, BaseOperator, BaseSensorOperator
from airflow.providers.standard.sensors.time_delta import TimeDeltaSensor
from airflow.providers.standard.operators.bash import BashOperator
from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent
from beside import Beside

class Own(BaseTrigger):
    def __init__(self, how):
        self.how = how

    def serialize(self):
        return (f"{type(self).__module__}.{type(self).__qualname__}", {"how": self.how})

    async def run(self):
        import asyncio, logging
        print("the trigger", self.how)
        logging.getLogger("own").info("in its own way")
        if self.how == "breaks":
            raise ValueError("broken trigger")
        if self.how == "ends":
            yield TaskSuccessEvent(xcoms={"return_value": "by its trigger"})
        if self.how == "late":
            await asyncio.Event().wait()
        yield TriggerEvent({"how": self.how})

class Waits(BaseSensorOperator):
    def __init__(self, *, trigger, **kwargs):
        super().__init__(**kwargs)
        self.trigger = trigger

    def execute(self, context):
        print("begins")
        self.defer(trigger=self.trigger, method_name="go_on", kwargs={"seen": (1, 2)}, timeout=timedelta(seconds=2))

    def go_on(self, context, event=None, seen=None):
        print("went on", event, seen, context["ti"].try_number)
        return event

with DAG("waits"):
    TimeDeltaSensor(task_id="delta", delta=timedelta(seconds=0), deferrable=True)
    fires = Waits(task_id="fires", trigger=Own("fires"))
    Waits(task_id="beside", trigger=Beside("x"))
    Waits(task_id="ends", trigger=Own("ends"))
    Waits(task_id="soft", trigger=Own("breaks"), soft_fail=True)
    Waits(task_id="late", trigger=Own("late"), soft_fail=True)
    after = BashOperator(task_id="after", bash_command="echo got {{ ti.xcom_pull('fires') }}")
    fires >> after
"""

BESIDE = """
from airflow.triggers.base import BaseTrigger, TriggerEvent

class Beside(BaseTrigger):
    def __init__(self, what):
        super().__init__(what=what)

    def serialize(self):
        return ("beside.Beside", self.kwargs)

    async def run(self):
        yield TriggerEvent("beside " + self.kwargs["what"])

class Sign(Beside):
    def serialize(self):
        return ("beside.Sign", self.kwargs)

    async def run(self):
        import asyncio, os
        while not os.path.exists(self.kwargs["what"]):
            await asyncio.sleep(0.05)
        yield TriggerEvent("seen")
"""

PATIENT = """
import os
from airflow.sdk import DAG, BaseOperator
from beside import Sign

class Waits(BaseOperator):
    def execute(self, context):
        self.defer(trigger=Sign(os.path.dirname(__file__) + "/sign"), method_name="go_on")

    def go_on(self, context, event=None):
        print("went on", event, context["ti"].try_number)

with DAG("patient", schedule=None):
    Waits(task_id="waits")
"""


@pytest.fixture
def folder(root_account: Any, tmp_path: Path) -> Path:
    (tmp_path / "waits.py").write_text(DAG)
    (tmp_path / "beside.py").write_text(BESIDE)
    return tmp_path


def test_deferred_tasks_go_on_when_their_triggers_fire(
    folder: Path, root_account: Any, unchanged_machine: Callable[[], None]
) -> None:
    ran = root_account.airdock("run", str(folder / "waits.py"), "--json", timeout_s=120)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    states, logs = {}, folder
    for line in ran.stdout.splitlines():
        told = json.loads(line)
        if "task_id" in told and "state" in told:
            states[told["task_id"]] = told["state"]
        logs = Path(told["logs"]) if told.get("logs") else logs
    assert states == {
        "delta": "success", "fires": "success", "beside": "success", "ends": "success", "soft": "skipped",
        "late": "skipped", "after": "success",
    }  # fmt: skip
    said = [line.partition("Z ")[2] for line in (logs / "fires" / "1.log").read_text().splitlines()]
    assert said == [
        "begins", "the trigger fires", "INFO - in its own way", "went on {'how': 'fires'} (1, 2) 1",
    ]  # fmt: skip
    unchanged_machine()


def test_a_deferred_task_outlives_server_and_triggerer(
    root_account: Any, tmp_path: Path, unchanged_machine: Callable[[], None]
) -> None:
    home = tmp_path / "home"
    dags = home / "dags"
    dags.mkdir(parents=True)
    (dags / "patient.py").write_text(PATIENT)
    (dags / "beside.py").write_text(BESIDE)
    with App(load_config(flags={"home": str(home)})) as app:
        app.open()
        key = app.orchestrator.create_run(app.loads.load_one(dags / "patient.py", None), run_id="r")
    with serving(home) as first:
        first.until("task waits deferred")
        first.end(signal.SIGKILL)
    with serving(home) as second:
        (dags / "sign").touch()
        second.until("run r success")
        assert second.end(signal.SIGTERM) == 0
    with App(load_config(flags={"home": str(home)})) as app:
        assert [row.key.try_number for row in app.store.list_tries(key)] == [1]
    assert "went on seen 1" in (home / "logs" / "patient" / "r" / "waits" / "1.log").read_text()
    assert not list((home / "run" / "triggers").iterdir())
    unchanged_machine()
