"""What tasks ask while they run, end to end: variables, connections, states kept over tries, their run."""

import json
from pathlib import Path
from typing import Any

import pytest

from airdock.app import App
from airdock.config import load_config
from airdock.model.keys import RunKey

DAG = """
from datetime import datetime, timedelta
from airflow.sdk import DAG, BaseSensorOperator, Connection, Variable, task
from airflow.providers.standard.operators.bash import BashOperator

AT_LOAD = [Variable.get("greeting"), Variable.get("given"), Connection.get("db").host, Variable.get("none", "else")]

with DAG("asks", params={"n": 1}):
    shown = BashOperator(
        task_id="shown",
        bash_command="echo {{ var.value.greeting }} {{ var.json.config.depth }} {{ conn.db.host }}:{{ conn.db.port }}",
    )
    BashOperator(
        task_id="masked", bash_command="echo [{{ var.value.door_password }}] [{{ conn.db.password }}]",
        do_xcom_push=False,
    )

    @task
    def sets():
        Variable.set("made", {"by": "task"}, serialize_json=True)
        Variable.delete("greeting_gone")
        return [Variable.get("made", deserialize_json=True), Variable.get("greeting_gone", default=None),
                Connection.get("db").login, Variable.get("given")]

    @task(retries=2, retry_delay=timedelta(0))
    def keeps(task_state_store, ti):
        seen = task_state_store.get("tries", default=[])
        task_state_store.set("tries", [*seen, ti.try_number])
        if ti.try_number < 3:
            raise ValueError("not yet")
        return task_state_store.get("tries")

    class Twice(BaseSensorOperator):
        def poke(self, context):
            ti = context["ti"]
            print("poke", context["task_reschedule_count"], ti.get_first_reschedule_date() is not None)
            return context["task_reschedule_count"] >= 2

    Twice(task_id="rescheduled", mode="reschedule", poke_interval=0.05)

    @task
    def run_of(dag_run, ds, data_interval_end, logical_date, prev_start_date_success, triggering_asset_events, ti):
        return [dag_run.run_type, dag_run.run_after == logical_date, data_interval_end == logical_date, ds,
                prev_start_date_success is not None, len(triggering_asset_events), ti.max_tries,
                dag_run.start_date <= ti.start_date]

    @task
    def loaded():
        return AT_LOAD

    loaded(), run_of(), keeps(), sets()
"""


@pytest.fixture
def home(root_account: Any, tmp_path: Path) -> Path:
    (tmp_path / "asks.py").write_text(DAG)
    with App(load_config(flags={"home": str(tmp_path / "home")})) as app:
        app.vault.set_variable("greeting", "hello")
        app.vault.set_variable("greeting_gone", "x")
        app.vault.set_variable("config", '{"depth": 3}')
        app.vault.set_variable("door_password", "opensesame")
        app.vault.set_connection("db", "postgres://ann:hunter22@db.example.com:5433/sales")
    return tmp_path / "home"


def test_tasks_ask_and_are_answered(home: Path, root_account: Any) -> None:
    env = {"AIRDOCK_HOME": str(home), "AIRFLOW_VAR_GIVEN": "by the server"}
    file = str(home.parent / "asks.py")
    for _ in range(2):  # the second run has one before it
        ran = root_account.airdock("run", file, "--json", env=env, timeout_s=120)
        assert ran.returncode == 0, ran.stdout + ran.stderr
    summary = json.loads(ran.stdout.splitlines()[-1])
    values = {}
    with App(load_config(flags={"home": str(home)})) as app:
        key = RunKey(dag_id="asks", run_id=summary["run_id"])
        for task_id in ("shown", "sets", "keeps", "run_of", "loaded"):
            (found,) = app.store.list_xcoms(key, task_id=task_id, name="return_value")
            values[task_id] = json.loads(found.value)
        assert app.vault.variable("made") == '{"by": "task"}'
    assert values["shown"] == "hello 3 db.example.com:5433"
    assert values["sets"] == [{"by": "task"}, None, "ann", "by the server"]
    assert values["keeps"] == [1, 2, 3]
    assert values["loaded"] == ["hello", "by the server", "db.example.com", "else"]
    day = summary["run_id"].removeprefix("manual__")[:10]
    assert values["run_of"] == ["manual", True, True, day, True, 0, 0, True]
    logs = Path(summary["logs"])
    assert "[***] [***]" in (logs / "masked" / "1.log").read_text()
    assert "hunter22" not in "".join(path.read_text() for path in logs.rglob("*.log"))
    pokes = [line.split()[1:] for line in (logs / "rescheduled" / "1.log").read_text().splitlines() if "poke" in line]
    assert pokes == [["poke", "0", "False"], ["poke", "1", "True"], ["poke", "2", "True"]]
    assert (home / "fernet.key").stat().st_mode & 0o777 == 0o600
    assert b"hunter22" not in (home / "airdock.db").read_bytes()


def test_one_task_alone_has_variables_and_connections_too(home: Path, root_account: Any) -> None:
    env = {"AIRDOCK_HOME": str(home), "AIRFLOW_VAR_GIVEN": "by the server"}
    tried = root_account.airdock("tasks", "test", str(home.parent / "asks.py"), "shown", env=env, timeout_s=120)
    assert tried.returncode == 0, tried.stdout + tried.stderr
    assert "hello 3 db.example.com:5433" in tried.stdout
    with App(load_config(flags={"home": str(home)})) as app:
        assert app.orchestrator.runs() == []
