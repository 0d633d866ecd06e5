"""Tasks that start runs of other DAGs and wait for them, in a server, each task in a container of its own."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from airdock.app import App
from airdock.config import load_config
from airdock.model.keys import RunKey

from .test_serving import serving

DAGS = """
from datetime import datetime
from airflow.sdk import DAG, task
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.providers.standard.sensors.external_task import ExternalTaskSensor

with DAG("target", schedule=None):
    BashOperator(task_id="work", bash_command="echo got {{ dag_run.conf['word'] }} {{ dag_run.run_id }}")

with DAG("controller", schedule=None):
    started = TriggerDagRunOperator(
        task_id="start", trigger_dag_id="target", trigger_run_id="chosen", conf={"word": "{{ params.word }}"},
        logical_date="{{ logical_date }}", wait_for_completion=True, poke_interval=0.2, params={"word": "hello"},
    )
    again = TriggerDagRunOperator(
        task_id="again", trigger_dag_id="target", trigger_run_id="chosen", skip_when_already_exists=True,
    )
    whole = ExternalTaskSensor(task_id="whole", external_dag_id="target", poke_interval=0.2, timeout=30)
    one = ExternalTaskSensor(
        task_id="one", external_dag_id="target", external_task_id="work", poke_interval=0.2, timeout=30,
        mode="reschedule",
    )
    started >> [again, whole, one]

with DAG("patient", schedule=None):
    first = TriggerDagRunOperator(
        task_id="first", trigger_dag_id="target", trigger_run_id="chosen", conf={"word": "once"},
        logical_date="{{ logical_date }}", wait_for_completion=True, poke_interval=0.2, deferrable=True,
    )
    reset = TriggerDagRunOperator(
        task_id="reset", trigger_dag_id="target", trigger_run_id="chosen", conf={"word": "unused"},
        reset_dag_run=True, wait_for_completion=True, poke_interval=0.2, deferrable=True,
    )
    waits = ExternalTaskSensor(
        task_id="waits", external_dag_id="target", external_task_ids=["work"], poke_interval=0.2, deferrable=True,
    )
    first >> reset >> waits
"""


@pytest.fixture
def home(root_account: object, tmp_path: Path) -> Path:
    (tmp_path / "home" / "dags").mkdir(parents=True)
    (tmp_path / "home" / "dags" / "others.py").write_text(DAGS)
    return tmp_path / "home"


def make_run(home: Path, dag_id: str) -> RunKey:
    with App(load_config(flags={"home": str(home)})) as app:
        app.open()
        dag = app.loads.load_one(home / "dags" / "others.py", dag_id)
        return app.orchestrator.create_run(dag, run_id="r")


def states(home: Path, key: RunKey) -> dict[str, str]:
    with App(load_config(flags={"home": str(home)})) as app:
        return {row.key.task_id: str(row.state) for row in app.store.list_instances(key)}


def test_a_task_starts_a_run_and_waits_for_it(home: Path, unchanged_machine: Callable[[], None]) -> None:
    key = make_run(home, "controller")
    with serving(home) as served:
        served.until("run chosen success")
        served.until("run r success")
        assert served.end(signal.SIGTERM) == 0
    assert states(home, key) == {"start": "success", "again": "skipped", "whole": "success", "one": "success"}
    log = (home / "logs" / "target" / "chosen" / "work" / "1.log").read_text()
    assert "got hello chosen" in log
    unchanged_machine()


def test_waiting_for_other_runs_takes_no_container(home: Path, unchanged_machine: Callable[[], None]) -> None:
    key = make_run(home, "patient")
    with serving(home) as served:
        served.until("task first deferred")
        served.until("run r success")
        assert served.end(signal.SIGTERM) == 0
    assert states(home, key) == {"first": "success", "reset": "success", "waits": "success"}
    tries = sorted((home / "logs" / "target" / "chosen" / "work").glob("*.log"))
    assert [path.name for path in tries] == ["1.log", "2.log"]
    unchanged_machine()
