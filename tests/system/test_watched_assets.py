"""Assets that triggers watch, on a server: files that come make runs; and a task whose asset isn't active fails."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from airdock.app import App
from airdock.config import load_config
from airdock.model.states import RUN_FINISHED, RunState, TaskState
from airdock.store.filters import RunFilter

from .test_serving import serving
from .test_serving_by_hand import wait_for

DAGS = """
from airflow.providers.standard.triggers.file import DirectoryFileDeleteTrigger, FileDeleteTrigger
from airflow.sdk import DAG, Asset, AssetWatcher, task

one = FileDeleteTrigger(filepath="{inbox}/one", poke_interval=0.1)
some = DirectoryFileDeleteTrigger(directory="{inbox}", filename="some.flag", poke_interval=0.1)
both = [Asset("one", watchers=[AssetWatcher("w1", one)]), Asset("some", watchers=[AssetWatcher("w2", some)])]

with DAG("consume", schedule=both):
    @task
    def read(triggering_asset_events=None):
        found = {{each.name: each.extra for events in triggering_asset_events.values() for each in events}}
        assert found["some"] == {{"from_trigger": True, "payload": {{"filepath": "{inbox}/some.flag"}}}}, found
        assert found["one"] == {{"from_trigger": True, "payload": True}}, found
        with open("{inbox}/seen", "a") as file:
            file.write("x")
    read()
"""

CLASHES = """
from airflow.sdk import DAG, Asset, task

with DAG("clash", schedule=None):
    @task(outlets=[Asset("one", uri="s3://elsewhere")], retries=3)
    def make():
        print("made")
    make()
"""


@pytest.fixture
def home(root_account: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    monkeypatch.setenv("AIRDOCK__ISOLATION__FOLDERS", f"{inbox}:rw")
    (tmp_path / "home" / "dags").mkdir(parents=True)
    (tmp_path / "home" / "dags" / "watched.py").write_text(DAGS.format(inbox=inbox))
    return tmp_path / "home"


def test_files_that_come_make_runs_again_and_again(
    home: Path, tmp_path: Path, unchanged_machine: Callable[[], None]
) -> None:
    inbox = tmp_path / "inbox"
    with serving(home) as server, App(load_config(flags={"home": str(home)})) as app:
        server.until("note watched.py: loaded consume")
        for number in (1, 2):
            (inbox / "one").touch()
            (inbox / "some.flag").touch()
            wait_for(
                lambda number=number: len(app.store.find_runs(RunFilter(states=RUN_FINISHED))) == number,  # type: ignore[misc]
                app.store.list_runs,
            )
        assert server.end(15) == 0
    with App(load_config(flags={"home": str(home)})) as app:
        runs = app.store.list_runs()
        assert [(run.state, run.run_type) for run in runs] == [(RunState.SUCCESS, "asset_triggered")] * 2
        rows = app.orchestrator.assets()
    assert (inbox / "seen").read_text() == "xx"
    assert sorted(path.name for path in inbox.iterdir()) == ["seen"]
    assert [row["watched_by"][0].rpartition(".")[2] for row in rows] == [
        "FileDeleteTrigger",
        "DirectoryFileDeleteTrigger",
    ]
    assert json.dumps(rows)
    assert all(row["active"] and row["last"] for row in rows)


def test_a_task_whose_asset_is_not_active_fails_without_a_retry(
    home: Path, unchanged_machine: Callable[[], None]
) -> None:
    with serving(home) as server, App(load_config(flags={"home": str(home)})) as app:
        server.until("note watched.py: loaded consume")
        (home / "dags" / "clashes.py").write_text(CLASHES)
        server.until("note clashes.py: loaded clash")
        key = app.orchestrator.create_run(app.orchestrator.find_dag("clash"), run_id="r")
        wait_for(lambda: app.store.load_run(key).state is RunState.FAILED, lambda: app.store.list_instances(key))
        (row,) = app.store.list_instances(key)
        assert (row.state, row.try_number) == (TaskState.FAILED, 1)
        (tried,) = app.store.list_tries(key)
        assert "the name 'one' belongs to the asset with the address 'one'" in str(tried.outcome)
        assert [asset["name"] for asset in app.orchestrator.assets() if not asset["active"]] == ["one"]
        assert server.end(15) == 0
