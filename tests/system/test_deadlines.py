"""What a missed deadline names is called in a container: by a run in the foreground, and by a server that comes later
(reference 4.7)."""

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from airdock.app import App
from airdock.config import load_config
from airdock.model.keys import RunKey
from airdock.model.states import RunState
from airdock.store.sql import SqlStore

from .test_serving import serving

DAG = """
import time
from datetime import datetime, timedelta
from airflow.sdk import DAG, AsyncCallback, BaseNotifier, DeadlineAlert, DeadlineReference, SyncCallback, task
from airflow.sdk.definitions.deadline import VariableInterval

async def tell(text, context):
    print("TOLD", text, context["dag_run"]["dag_run_id"], context["dag_run"]["state"], context["deadline"]["name"])

class Says(BaseNotifier):
    template_fields = ("text",)

    def __init__(self, text, **kwargs):
        super().__init__(**kwargs)
        self.text = text

    async def async_notify(self, context):
        print("TOLD", self.text)

def breaks():
    raise ValueError("TOLD" + " that it broke")

def never():
    print("TOLD too much")

made, second = DeadlineReference.DAGRUN_QUEUED_AT, timedelta(seconds=1)
late = DeadlineReference.FIXED_DATETIME(datetime(2020, 1, 1))
with DAG("watched", deadline=[
    DeadlineAlert(made, second, AsyncCallback(tell, kwargs={"text": "hello"}), name="soon"),
    DeadlineAlert(made, VariableInterval("spare"), AsyncCallback(Says, kwargs={"text": "{{ dag_run.dag_id }} late"})),
    DeadlineAlert(late, second, SyncCallback(breaks)),
    DeadlineAlert(made, timedelta(hours=1), SyncCallback(never)),
]):
    @task
    def slow():
        time.sleep(3)

    slow()

with DAG("forgotten", deadline=DeadlineAlert(late, second, AsyncCallback(tell, kwargs={"text": "at last"}))):
    @task
    def waits():
        pass

    waits()
"""


def wait_until_called(home: Path) -> None:
    store = SqlStore(path=home / "airdock.db")
    for _ in range(600):
        if not store.list_deadlines() and not store.list_callbacks():
            break
        time.sleep(0.1)
    store.close()


def told(home: Path, dag_id: str, run_id: str) -> list[str]:
    log = home / "logs" / dag_id / run_id / "callbacks" / "1.log"
    return sorted(line.partition("TOLD ")[2] for line in log.read_text().splitlines() if "TOLD " in line)


def test_a_run_that_is_late_has_its_deadlines_called_while_it_goes_on(
    root_account: Any, tmp_path: Path, unchanged_machine: Callable[[], None]
) -> None:
    home, file = tmp_path / "home", tmp_path / "watched.py"
    file.write_text(DAG)
    env = {"AIRDOCK_HOME": str(home), "AIRFLOW_VAR_SPARE": "2"}
    ran = root_account.airdock("run", f"{file}:watched", "--json", env=env, timeout_s=200)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    run_id = json.loads(ran.stdout.splitlines()[-1])["run_id"]
    assert told(home, "watched", run_id) == [f"hello {run_id} running soon", "that it broke", "watched late"]
    with App(load_config(flags={"home": str(home)})) as app:
        assert app.store.list_deadlines() == app.store.list_callbacks() == []
    unchanged_machine()


def test_a_server_has_called_what_was_missed_while_there_was_none(root_account: Any, tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "dags").mkdir(parents=True)
    (home / "dags" / "watched.py").write_text(DAG)
    with App(load_config(flags={"home": str(home)})) as app:
        app.open()
        dag = next(each for each in app.loads.load(home / "dags" / "watched.py") if each.dag_id == "forgotten")
        app.orchestrator.create_run(dag, run_id="r")
        app.orchestrator.hands.mark_run(app.store.load_run(RunKey(dag_id="forgotten", run_id="r")), RunState.FAILED)
        assert len(app.store.list_deadlines()) == 1
    with serving(home) as served:
        served.until("note watched.py: loaded watched, forgotten")
        wait_until_called(home)
        assert served.end(signal.SIGTERM) == 0
    assert told(home, "forgotten", "r") == ["at last r failed None"]
