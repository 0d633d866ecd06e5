"""What a server does on schedules of assets and the past, and what people do to it: pause, clear, backfill."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from airdock.app import App
from airdock.config import load_config
from airdock.model.keys import RunKey
from airdock.model.states import RUN_FINISHED, RunState, TaskState
from airdock.orchestrator import Orchestrator

from .test_serving import Serving, serving

DAGS = """
from airdock.sdk import DAG, Asset, AssetAlias, Metadata, task

orders = Asset("orders")

with DAG("make", schedule=None):
    @task(outlets=[orders, AssetAlias("any")])
    def produce(*, outlet_events=None):
        outlet_events[AssetAlias("any")].add(Asset("users"), {"n": 1})
        yield Metadata(orders, {"rows": 3})
    produce()

with DAG("consume", schedule=orders & AssetAlias("any")):
    @task
    def read(triggering_asset_events=None):
        found = {each.name: each.extra for events in triggering_asset_events.values() for each in events}
        assert found == {"orders": {"rows": 3}, "users": {"n": 1}}, found
    read()

with DAG("past", schedule="@daily", start_date=None, max_active_runs=4):
    @task(depends_on_past=True)
    def step(ds=None):
        import time
        time.sleep(0.3)
        print("did", ds)
    step()

with DAG("slow", schedule=None):
    @task
    def quick():
        print("again")

    @task
    def long():
        import pathlib, time
        with open("/workspace/long", "a") as file:
            file.write("x")
        while not pathlib.Path("/workspace/go").exists():
            time.sleep(0.05)
    quick(), long()
"""


@pytest.fixture
def home(root_account: object, tmp_path: Path) -> Path:
    (tmp_path / "home" / "dags").mkdir(parents=True)
    (tmp_path / "home" / "dags" / "several.py").write_text(DAGS)
    return tmp_path / "home"


@pytest.fixture
def app(home: Path) -> Iterator[App]:
    with App(load_config(flags={"home": str(home)})) as opened:
        opened.open()
        yield opened


def wait_for(what: Callable[[], bool], why: Callable[[], object]) -> None:
    """Until it is so, which other processes see to."""
    ends = time.monotonic() + 60
    while not what():
        assert time.monotonic() < ends, why()
        time.sleep(0.1)


@contextmanager
def command(app: App) -> Iterator[Orchestrator]:
    """As a command of the same home has it, at whose end servers look at what it changed."""
    with App(load_config(flags={"home": str(app.config.home)})) as opened:
        yield opened.orchestrator


def start(app: App, dag_id: str, run_id: str = "r") -> RunKey:
    with command(app) as orchestrator:
        return orchestrator.create_run(orchestrator.find_dag(dag_id), run_id=run_id)


def states(app: App, key: RunKey) -> dict[str, TaskState]:
    return {row.key.task_id: row.state for row in app.store.list_instances(key)}


def loaded(home: Path, served: Serving) -> None:
    served.until("note several.py: loaded make, consume, past, slow")


def test_assets_make_a_run_and_a_paused_dag_makes_none(home: Path, app: App) -> None:
    with serving(home) as served:
        loaded(home, served)
        with command(app) as orchestrator:
            orchestrator.hands.pause(["past", "slow"], is_paused=True)
        start(app, "make")

        def consumed() -> bool:
            return any(run.state in RUN_FINISHED for run in app.store.list_runs(dag_id="consume"))

        wait_for(consumed, lambda: app.store.list_runs())
        (run,) = app.store.list_runs(dag_id="consume")
        assert (run.state, run.run_type, run.logical_date) == (RunState.SUCCESS, "asset_triggered", None)
        assert {each["name"] for each in run.events} == {"orders", "users"}
        key = start(app, "slow")
        time.sleep(1)  # longer than a server takes to hear of it
        assert app.store.load_run(key).state is RunState.QUEUED
        with command(app) as orchestrator:
            orchestrator.hands.pause(["slow"], is_paused=False)
        wait_for(lambda: states(app, key)["quick"] is TaskState.SUCCESS, lambda: states(app, key))


def test_a_task_that_is_cleared_runs_again_and_the_others_go_on(home: Path, app: App) -> None:
    with serving(home) as served:
        loaded(home, served)
        key = start(app, "slow")
        wait_for(
            lambda: states(app, key) == {"quick": TaskState.SUCCESS, "long": TaskState.RUNNING},
            lambda: states(app, key),
        )
        with command(app) as orchestrator:
            orchestrator.hands.clear(app.store.load_run(key), ["quick"])
        wait_for(lambda: states(app, key)["quick"] is TaskState.SUCCESS, lambda: states(app, key))
        workspace = home / "workspaces" / "slow" / "r"
        assert (workspace / "long").read_text() == "x"
        (workspace / "go").touch()
        wait_for(lambda: app.store.load_run(key).state is RunState.SUCCESS, lambda: states(app, key))
        tries = {each.key.task_id: each.key.try_number for each in app.store.list_tries(key)}
        assert tries == {"quick": 2, "long": 1}
        assert (workspace / "long").read_text() == "x"


def test_what_is_cleared_while_it_runs_is_stopped_and_begins_anew(home: Path, app: App) -> None:
    with serving(home) as served:
        loaded(home, served)
        key = start(app, "slow")
        wait_for(lambda: states(app, key)["long"] is TaskState.RUNNING, lambda: states(app, key))
        workspace = home / "workspaces" / "slow" / "r"
        wait_for((workspace / "long").exists, lambda: states(app, key))
        with command(app) as orchestrator:
            orchestrator.hands.clear(app.store.load_run(key), ["long"])
        wait_for(lambda: (workspace / "long").read_text() == "xx", lambda: states(app, key))
        (workspace / "go").touch()
        wait_for(lambda: app.store.load_run(key).state is RunState.SUCCESS, lambda: states(app, key))


def test_a_run_that_is_cancelled_ends_at_once(home: Path, app: App) -> None:
    with serving(home) as served:
        loaded(home, served)
        key = start(app, "slow")
        wait_for(lambda: states(app, key)["long"] is TaskState.RUNNING, lambda: states(app, key))
        with command(app) as orchestrator:
            orchestrator.hands.mark_run(app.store.load_run(key), RunState.FAILED)
        assert states(app, key)["long"] is TaskState.FAILED
        wait_for(lambda: not list((home / "run" / "tries").iterdir()), lambda: states(app, key))


def test_a_backfill_whose_tasks_depend_on_the_past_goes_from_date_to_date(home: Path, app: App) -> None:
    with serving(home) as served:
        loaded(home, served)
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        with command(app) as orchestrator:
            orchestrator.hands.backfill(
                app.orchestrator.find_dag("past"),
                start=today - timedelta(days=12),
                end=today - timedelta(days=10),
                reprocess="failed",
            )

        def done() -> bool:
            return all(run.state is RunState.SUCCESS for run in app.store.list_runs(backfill=1))

        wait_for(done, lambda: app.store.list_runs())
        runs = sorted(app.store.list_runs(backfill=1), key=lambda run: run.logical_date or today)
        times = [app.store.list_instances(run.key)[0] for run in runs]
        assert len(times) == 3
        for before, after in pairwise(times):
            assert before.ended is not None and after.started is not None and before.ended <= after.started


def test_a_run_in_the_foreground_that_is_cancelled_tells_how_all_of_it_ended(home: Path, app: App) -> None:
    argv = [sys.executable, "-m", "airdock", "--home", str(home), "run", f"{home}/dags/several.py:slow", "--json"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as ran:
        assert ran.stdout is not None
        events = []
        for line in ran.stdout:
            events.append(json.loads(line))
            if events[-1].get("task_id") == "long" and events[-1].get("state") == "running":
                (run,) = app.store.list_runs()
                with command(app) as orchestrator:
                    orchestrator.hands.mark_run(run, RunState.FAILED)
        assert ran.wait() == 1
    last = {each["task_id"]: each["state"] for each in events if each["event"] == "task_changed"}
    assert last["long"] == "failed"
    assert [each["state"] for each in events if each["event"] == "run_changed"][-1] == "failed"
    summary = events[-1]
    assert summary["state"] == "failed"
    assert {each["task_id"]: each["state"] for each in summary["tasks"]}["long"] == "failed"
