"""What people do by hand on the command line: pause, clear, mark, backfill, variables, connections, assets, pools."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from airdock.cli.main import airdock
from airdock.dag.serialized import SerializedDag, SerializedTask
from airdock.indexing import StoreDagIndex
from airdock.loading.index import LoadedFile
from airdock.model.states import RunState
from airdock.orchestrator import Orchestrator
from airdock.store.records import ImportProblem
from airdock.store.sql import SqlStore

AT = datetime(2026, 1, 2, tzinfo=UTC)
ORDERS = {"asset": {"name": "orders", "uri": "s3://orders"}}
DAG = SerializedDag(
    dag_id="weather",
    fileloc="/dags/weather.py",
    schedule="@daily",
    timetable={"type": "cron", "expression": "@daily", "timezone": "UTC"},
    asset_condition={"all": [ORDERS]},
    tags=("nightly",),
    tasks=(
        SerializedTask(task_id="a", operator="@task", outlets=(ORDERS,)),
        SerializedTask(task_id="b", operator="@task", upstream=("a",)),
    ),
)

Run = Callable[..., Result]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    """A store with a DAG that was loaded, and a run of it that failed."""
    made = SqlStore(path=tmp_path / "airdock.db")
    StoreDagIndex(store=made).save(LoadedFile(path=Path(DAG.fileloc), digest="sha256:1", at=AT, dags=(DAG,)))
    front = Orchestrator(store=made, scheduler=lambda: pytest.fail("nothing is run"))
    key = front.create_run(DAG, run_id="one", logical_date=AT)
    front.hands.mark_run(made.load_run(key), RunState.SUCCESS)
    yield made
    made.close()


@pytest.fixture
def run(tmp_path: Path, store: SqlStore) -> Run:
    def go(*argv: str, input: str = "", code: int = 0) -> Result:
        found = CliRunner().invoke(airdock, ["--home", str(tmp_path), *argv], input=input)
        assert found.exit_code == code, (found.output, found.exception)
        return found

    return go


def states(store: SqlStore, run_id: str = "one") -> dict[str, str]:
    (run,) = store.list_runs(run_id=run_id)
    return {"run": str(run.state), **{row.key.task_id: str(row.state) for row in store.list_instances(run.key)}}


def test_a_dag_is_paused_and_unpaused(run: Run, store: SqlStore) -> None:
    run("dags", "pause", "weather")
    assert json.loads(run("dags", "details", "weather", "--json").output)["is_paused"] is True
    run("dags", "unpause", "weather")
    assert not store.list_dags()[0].is_paused
    assert "nightly" in run("dags", "details", "weather").output


def test_deadlines_are_told_of_a_dag_and_of_a_run_as_long_as_they_are_open(run: Run, store: SqlStore) -> None:
    callback = {"kind": "sync", "path": "files.tell", "kwargs": {}}
    average = {"type": "average_runtime", "max_runs": 5, "min_runs": 2}
    alerts = (
        {"name": "soon", "reference": {"type": "queued_at"}, "interval": {"seconds": 900.0}, "callback": callback},
        {"name": "", "reference": average, "interval": {"variable": "spare"}, "callback": callback},
    )
    watched = replace(DAG, dag_id="watched", deadlines=alerts)
    front = Orchestrator(store=store, scheduler=lambda: pytest.fail("nothing is run"), variable=lambda _name: "1")
    front.create_run(watched, run_id="two", logical_date=AT)
    assert json.loads(run("dags", "details", "watched", "--json").output)["deadlines"] == [
        "soon: queued_at + 0:15:00: files.tell",
        "average_runtime(5, 2) + variable spare: files.tell",
    ]
    (due,) = json.loads(run("runs", "show", "two", "--json").output)["deadlines"]
    assert due["name"] == "soon"
    assert json.loads(run("runs", "show", "one", "--json").output)["deadlines"] == []


def test_a_backfill_is_shown_before_it_is_made(run: Run, store: SqlStore) -> None:
    dates = ("--from", "2026-01-01", "--to", "2026-01-03")
    told = json.loads(run("dags", "backfill", "weather", *dates, "--dry-run", "--json").output)
    assert [each["what"] for each in told] == ["make", "leave", "make"]
    assert len(store.list_runs()) == 1
    run("dags", "backfill", "weather", *dates, "--reprocess", "completed")
    assert len(store.list_runs()) == 3
    assert states(store)["run"] == "queued"


def test_files_that_cannot_be_loaded_are_listed(run: Run, store: SqlStore) -> None:
    run("dags", "import-errors")
    problem = ImportProblem(fileloc="/dags/bad.py", error={"message": "bad.py can't be loaded"}, at=AT)
    store.save_loaded({"/dags/bad.py": problem})
    assert "bad.py can't be loaded" in run("dags", "import-errors", code=1).output
    assert json.loads(run("dags", "import-errors", "--json", code=1).output)[0]["file"] == "/dags/bad.py"


def test_a_dag_is_deleted_with_its_runs(run: Run, store: SqlStore) -> None:
    assert "1 run removed" in run("dags", "delete", "weather", "--yes").output
    assert store.list_runs() == [] and store.list_dags(only_active=False) == []


def test_tasks_are_cleared_and_marked(run: Run, store: SqlStore) -> None:
    told = run("tasks", "clear", "one", "a", "--downstream", "--dry-run", "--json").output
    assert [each["task"] for each in json.loads(told)] == ["a", "b"]
    assert states(store) == {"run": "success", "a": "success", "b": "success"}
    run("tasks", "clear", "one", "b", "--yes")
    assert states(store) == {"run": "queued", "a": "success", "b": "none"}
    assert run("tasks", "mark", "one", "b", "skipped").output == "b\n"
    assert states(store)["b"] == "skipped"


def test_a_run_is_cancelled_once(run: Run, store: SqlStore) -> None:
    run("tasks", "clear", "one", "--yes")
    assert json.loads(run("runs", "cancel", "one", "--json").output) == ["a", "b"]
    assert states(store) == {"run": "failed", "a": "skipped", "b": "skipped"}
    assert "has ended: failed" in run("runs", "cancel", "one").output
    run("runs", "mark", "one", "success")
    assert states(store) == {"run": "success", "a": "success", "b": "success"}


def test_variables_are_kept_encrypted(run: Run, store: SqlStore, tmp_path: Path) -> None:
    run("variables", "set", "bucket", "s3://sales", "--description", "where")
    run("variables", "set", "settings", "--json", input='{"n": 1}\n')
    assert run("variables", "get", "bucket").output == "s3://sales\n"
    assert json.loads(run("variables", "list", "--json").output)[0] == {"name": "bucket", "description": "where"}
    assert all("sales" not in each.value for each in store.list_variables())
    exported = run("variables", "export").output
    run("variables", "delete", "bucket", "--yes")
    assert isinstance(run("variables", "get", "bucket", code=1).exception, Exception)
    assert run("variables", "get", "bucket", "--default", "none").output == "none\n"
    (tmp_path / "v.json").write_text(exported)
    assert run("variables", "import", str(tmp_path / "v.json")).output == "2 variables\n"
    assert run("variables", "get", "settings").output == '{"n": 1}\n'
    assert run("variables", "set", "x", "--json", input="no", code=2).output.count("expected JSON") == 1


def test_connections_hide_what_is_secret(run: Run, store: SqlStore) -> None:
    run(
        "connections",
        "add",
        "db",
        "--uri",
        "postgres://me:open-sesame@host:5432/sales",
        "--description",
        "the warehouse",
    )
    run(
        "connections", "add", "api", "--conn-type", "http", "--host", "https://x", "--password", "-", input="my-token\n"
    )
    assert "open-sesame" not in run("connections", "get", "db").output
    assert json.loads(run("connections", "get", "api", "--show-password", "--json").output)["password"] == "my-token"
    listed = json.loads(run("connections", "list", "--json").output)
    assert listed == [
        {"id": "api", "type": "http", "description": ""},
        {"id": "db", "type": "postgres", "description": "the warehouse"},
    ]
    assert all("sesame" not in each.value and "my-token" not in each.value for each in store.list_connections())
    run("connections", "delete", "db", "--yes")
    run("connections", "get", "db", code=1)
    run("connections", "add", "x", code=2)


def test_assets_are_listed_and_told(run: Run, store: SqlStore) -> None:
    (asset,) = json.loads(run("assets", "list", "--json").output)
    assert (asset["made_by"], asset["waited_for_by"], asset["last"]) == (["weather/a"], ["weather"], None)
    run("assets", "tell", "orders", "--extra", '{"rows": 1}')
    (event,) = json.loads(run("assets", "events", "s3://orders", "--json").output)
    assert (event["name"], event["extra"], event["source_dag_id"]) == ("orders", {"rows": 1}, None)
    assert "by hand" in run("assets", "events").output
    run("assets", "tell", "unknown", code=1)


def test_pools_are_asked_and_go(run: Run) -> None:
    run("pools", "set", "db", "3")
    assert run("pools", "get", "db").output == "3\n"
    run("pools", "set", "db", "4", "--include-deferred", "--description", "of the warehouse")
    run("pools", "set", "db", "5")
    told = {"name": "db", "slots": 5, "description": "of the warehouse", "include_deferred": True}
    assert json.loads(run("pools", "get", "db", "--json").output) == told
    assert told in json.loads(run("pools", "list", "--json").output)
    assert "take slots" in run("pools", "list").output
    run("pools", "set", "db", "3", "--no-include-deferred")
    assert "take slots" not in run("pools", "list").output
    run("pools", "delete", "db")
    run("pools", "get", "db", code=1)
    run("pools", "delete", "default_pool", code=1)


INTERACTIVE = {("tasks", "shell")}


def test_every_verb_answers_programs() -> None:
    context = click.Context(airdock)
    for noun in ("dags", "runs", "tasks", "pools", "variables", "connections", "assets", "db"):
        group = airdock.get_command(context, noun)
        assert isinstance(group, click.Group)
        for verb in group.list_commands(context):
            command = group.get_command(context, verb)
            assert command is not None
            flags = {flag for parameter in command.params for flag in parameter.opts}
            assert ("--json" in flags) != ((noun, verb) in INTERACTIVE), (noun, verb)


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (("dags", "pause", "weather"), [{"dag_id": "weather", "is_paused": True}]),
        (("dags", "unpause", "weather"), [{"dag_id": "weather", "is_paused": False}]),
        (("dags", "delete", "weather", "--yes"), {"dag_id": "weather", "runs_removed": 1}),
        (("tasks", "mark", "one", "b", "failed"), [{"run_id": "one", "task": "b", "state": "failed"}]),
        (("assets", "tell", "orders"), {"name": "orders", "uri": "s3://orders", "extra": {}}),
        (
            ("pools", "set", "db", "3"),
            {"name": "db", "slots": 3, "description": "", "include_deferred": False},
        ),
        (
            ("connections", "add", "db", "--conn-uri", "postgres://me:pw@db/x", "--conn-description", "all"),
            {"id": "db", "type": "postgres", "description": "all"},
        ),
    ],
)
def test_what_was_done_is_told_to_programs(run: Run, argv: tuple[str, ...], told: object) -> None:
    assert json.loads(run(*argv, "--json").output) == told


def test_what_is_gone_is_told_to_programs(run: Run, tmp_path: Path) -> None:
    run("pools", "set", "db", "3")
    run("variables", "set", "v", "1")
    run("connections", "add", "c", "--uri", "http://h")
    for noun, name, word in (("pools", "db", "name"), ("variables", "v", "name"), ("connections", "c", "id")):
        yes = () if noun == "pools" else ("--yes",)
        assert json.loads(run(noun, "delete", name, *yes, "--json").output) == {word: name, "deleted": True}
    (tmp_path / "v.json").write_text('{"a": 1, "b": {"c": 2}}')
    assert json.loads(run("variables", "import", str(tmp_path / "v.json"), "--json").output) == ["a", "b"]
    assert json.loads(run("db", "check", "--json").output)["kind"] == "sqlite"


def test_runs_in_a_state_are_found_behind_newer_ones(run: Run, store: SqlStore) -> None:
    run("dags", "trigger", "weather", "--run-id", "newer", "--logical-date", "2026-01-03")
    assert json.loads(run("runs", "list", "--state", "success", "-n", "1", "--json").output)[0]["run_id"] == "one"
    assert "no such run" in run("runs", "list", "--state", "failed").output
    assert "no such DAG" in run("dags", "list", "--tag", "unknown").output
