"""`runs show|watch`, `tasks list|states|logs`, `dags list|show` over a store that a run left, or that one changes."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from airdock.cli.follow import follow
from airdock.cli.main import airdock
from airdock.cli.tasks_logs import follow_log
from airdock.clock import SystemClock
from airdock.dag.serialized import SerializedDag, SerializedTask
from airdock.model.environment import Environment
from airdock.model.keys import RunKey, TaskKey
from airdock.model.outcome import Outcome, Succeeded, Times
from airdock.model.progress import Note, RunChanged, TaskChanged
from airdock.model.states import RunState, TaskState
from airdock.orchestrator import Orchestrator, make_owner
from airdock.runner.logs import log_path
from airdock.scheduler.loop import Scheduler
from airdock.store.records import Batch, Limits, RunTransition, Transition
from airdock.store.sql import SqlStore

NOW = datetime(2026, 1, 2, tzinfo=UTC)
RUN = RunKey(dag_id="weather", run_id="one")
DAG = SerializedDag(
    dag_id="weather",
    fileloc="/dags/weather.py",
    doc="What the weather was.",
    schedule="@daily",
    tags=("nightly",),
    tasks=(
        SerializedTask(task_id="extract", operator="PythonOperator", mode="bare"),
        SerializedTask(task_id="square", operator="PythonOperator", upstream=("extract",), expand={"n": {"length": 2}}),
        SerializedTask(
            task_id="report",
            operator="BashOperator",
            upstream=("square",),
            trigger_rule="one_failed",
            environment=Environment(requirements=("pandas==1.5.3",)),
        ),
    ),
    groups={"section": {"parent": ""}},
    labels=(("extract", "square", "all days"),),
)


class Work:
    """A store and what changes it, as a scheduler would."""

    def __init__(self, home: Path) -> None:
        self.store = SqlStore(path=home / "airdock.db", clock=SystemClock())
        self.orchestrator = Orchestrator(store=self.store, scheduler=_no_scheduler)
        self.orchestrator.create_run(DAG, run_id="one", logical_date=NOW)
        self.owner = make_owner()
        self.store.take_run(RUN, owner=self.owner, lease_s=60)
        self._end(RunState.QUEUED, RunState.RUNNING)

    def _end(self, source: RunState, target: RunState) -> None:
        change = RunTransition(key=RUN, source=source, target=target, at=NOW)
        self.store.commit(Batch(runs=[change]), owner=self.owner)

    def go(
        self,
        task_id: str,
        *states: TaskState,
        map_index: int = -1,
        source: TaskState = TaskState.NONE,
        outcome: Outcome | None = None,
        label: str = "",
    ) -> None:
        key = TaskKey(dag_id="weather", run_id="one", task_id=task_id, map_index=map_index)
        number, steps = 0, []
        for target in states:
            to_try = number + (target is TaskState.QUEUED)
            steps.append(
                Transition(
                    key=key,
                    source=source,
                    target=target,
                    try_number=number,
                    to_try=to_try,
                    at=NOW,
                    executor="local",
                    limits=Limits() if target is TaskState.QUEUED else None,
                    outcome=outcome if target is states[-1] else None,
                    label=label,
                )
            )
            source, number = target, to_try
        for step in steps:
            self.store.commit(Batch(transitions=[step]), owner=self.owner)

    def finish(self) -> None:
        """Every task of the run ends well, then the run."""
        path = (TaskState.QUEUED, TaskState.RUNNING, TaskState.SUCCESS)
        self.go("square", *path, map_index=0, source=TaskState.SCHEDULED, outcome=GOOD)
        self.go("square", TaskState.SCHEDULED, *path, map_index=1, outcome=GOOD)
        self.go("report", TaskState.SKIPPED)
        self._end(RunState.RUNNING, RunState.SUCCESS)


GOOD = Outcome(ending=Succeeded(), times=Times(queued=NOW, started=NOW, ended=NOW), node="here", digest="sha256:1")


def _no_scheduler() -> Scheduler:
    raise AssertionError("nothing is run here")


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Work]:
    made = Work(tmp_path)
    made.go("extract", TaskState.SCHEDULED, TaskState.QUEUED, TaskState.RUNNING, TaskState.SUCCESS, outcome=GOOD)
    made.go("square", TaskState.SCHEDULED, map_index=0)
    yield made
    made.store.close()


def ask(home: Path, *argv: str) -> Result:
    return CliRunner().invoke(airdock, ["--home", str(home), *argv])


def test_states_say_what_each_task_waits_for(work: Work, tmp_path: Path) -> None:
    lines = ask(tmp_path, "tasks", "states", "one").output.splitlines()
    assert lines[0] == "weather one: running"
    assert [" ".join(line.split()) for line in lines[3:]] == [
        "extract success 1 0 ms",
        "square[0] scheduled its image (host)",
        "square[1] waiting the scheduler",
        "report waiting square (0 of 2 done)",
    ]


def test_states_have_what_an_instance_is_shown_as(work: Work, tmp_path: Path) -> None:
    path = (TaskState.QUEUED, TaskState.RUNNING, TaskState.SUCCESS)
    label = "Ber\x1b[31mlin\nnorth"
    work.go("square", *path, map_index=0, source=TaskState.SCHEDULED, outcome=GOOD, label=label)
    assert "square[0] (Berlin north) success" in " ".join(ask(tmp_path, "tasks", "states", "one").output.split())
    rows = json.loads(ask(tmp_path, "tasks", "states", "one", "--json").output)
    assert [row["rendered_map_index"] for row in rows] == [None, label, None, None]


def test_states_for_programs_have_kinds(work: Work, tmp_path: Path) -> None:
    rows = json.loads(ask(tmp_path, "tasks", "states", "one", "--json", "--waiting").output)
    kinds = {(row["task_id"], row["map_index"]): row["waits_for"]["kind"] for row in rows}
    assert kinds == {("square", 0): "image", ("square", 1): "scheduler", ("report", -1): "upstream"}


def test_tasks_are_listed_with_what_they_need(work: Work, tmp_path: Path) -> None:
    shown = ask(tmp_path, "tasks", "list", "weather").output.splitlines()
    assert [line.split()[0] for line in shown[1:]] == ["extract", "square", "report"]
    assert "square [2]" in shown[2]
    assert "pandas==1.5.3" in shown[3]
    assert "one_failed" in shown[3]


def test_a_dag_that_ran_is_drawn_by_its_id(work: Work, tmp_path: Path) -> None:
    shown = ask(tmp_path, "dags", "show", "weather", "--ascii")
    assert shown.output.splitlines() == [
        "weather   3 tasks, @daily",
        "What the weather was.",
        "",
        "extract -+",
        "         +-> square [2] -+",
        "                         +-> report (one_failed)",
        "",
        "labels",
        "  extract to square: all days",
    ]
    document = json.loads(ask(tmp_path, "dags", "show", "weather", "--json").output)
    assert [task["upstream"] for task in document["tasks"]] == [[], ["extract"], ["square"]]


FILES = SerializedDag(
    dag_id="files",
    fileloc="/dags/files.py",
    tasks=(
        SerializedTask(task_id="find", operator="PythonOperator"),
        SerializedTask(task_id="each.open", operator="Open", upstream=("find",), group="each", map_group="each",
                       is_setup=True),
        SerializedTask(task_id="each.work.read", operator="Read", upstream=("each.open",), group="each.work",
                       map_group="each"),
        SerializedTask(task_id="each.close", operator="Close", upstream=("each.open", "each.work.read"), group="each",
                       map_group="each", is_teardown=True, trigger_rule="all_done_setup_success"),
        SerializedTask(task_id="sum", operator="PythonOperator", upstream=("each.work.read",)),
        SerializedTask(task_id="twice.go", operator="Go", upstream=("sum",), group="twice", map_group="twice"),
    ),
    groups={
        "each": {"parent": "", "expand": {"path": {"map": {"xcom": "find", "key": "return_value"}}}},
        "each.work": {"parent": "each", "expand": None},
        "twice": {"parent": "", "expand": {"n": {"length": 2}}},
    },
)  # fmt: skip


def test_a_mapped_group_is_drawn_with_how_many_there_are_and_over_what(work: Work, tmp_path: Path) -> None:
    work.orchestrator.create_run(FILES, run_id="files", logical_date=NOW)
    assert ask(tmp_path, "dags", "show", "files", "--ascii").output.splitlines() == [
        "files   6 tasks, run by hand",
        "",
        "find -+",
        "      +-> each.open [*] (setup) -+",
        "                                 +-> each.work.read [*] -+",
        "                                 +-----------------------+-> each.close [*] (teardown)",
        "                                                         +-> sum -----------------------+",
        "                                                                                        +-> twice.go [2]",
        "",
        "groups",
        "  each [*] over find: each.open, each.close, each.work",
        "  each.work: each.work.read",
        "  twice [2]: twice.go",
    ]
    document = json.loads(ask(tmp_path, "dags", "show", "files", "--json").output)
    assert [task["map_group"] for task in document["tasks"]] == ["", "each", "each", "each", "", "twice"]
    listed = ask(tmp_path, "tasks", "list", "files").output.splitlines()
    assert [line.split()[:2] for line in listed[2:4]] == [["each.open", "[*]"], ["each.work.read", "[*]"]]


def test_dags_that_ran_are_listed(work: Work, tmp_path: Path) -> None:
    rows = json.loads(ask(tmp_path, "dags", "list", "--json", "--tag", "nightly").output)
    assert [(row["dag_id"], row["schedule"]) for row in rows] == [("weather", "@daily")]
    assert json.loads(ask(tmp_path, "dags", "list", "--json", "--tag", "other").output) == []


def test_a_dag_that_is_not_there_is_told_with_those_that_are(work: Work, tmp_path: Path) -> None:
    failed = ask(tmp_path, "dags", "show", "wether")
    assert getattr(failed.exception, "hint", "") == "the DAGs are: weather"


def test_watching_tells_all_that_was_and_then_what_changes(work: Work) -> None:
    looks: list[float] = []

    def pause(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 2:
            work.finish()

    events = list(follow(work.orchestrator, RUN, pause=pause, every_s=0.5))
    runs = [event.state for event in events if isinstance(event, RunChanged)]
    assert runs == [RunState.RUNNING, RunState.SUCCESS]
    told = [(event.key.label, event.state) for event in events if isinstance(event, TaskChanged)]
    assert told == [
        ("extract", TaskState.SUCCESS),
        ("square[0]", TaskState.SCHEDULED),
        ("square[1]", TaskState.NONE),
        ("report", TaskState.NONE),
        ("square[0]", TaskState.SUCCESS),
        ("square[1]", TaskState.SUCCESS),
        ("report", TaskState.SKIPPED),
    ]
    assert len(looks) == 2
    assert min(looks) >= 0.5


def test_watching_ends_where_nobody_works_on_the_run(work: Work) -> None:
    work.store.release_run(RUN, owner=work.owner)
    last = list(follow(work.orchestrator, RUN, pause=lambda _seconds: None, every_s=0.5))[-1]
    assert isinstance(last, Note)
    assert "nobody works on this run" in last.line


def test_watch_ends_with_the_runs_summary(work: Work, tmp_path: Path) -> None:
    work.finish()
    watched = ask(tmp_path, "runs", "watch", "one", "--json")
    last = json.loads(watched.output.splitlines()[-1])
    assert (watched.exit_code, last["event"], last["state"]) == (0, "summary", "success")
    assert "weather one: success" in ask(tmp_path, "runs", "watch", "one", "--plain").output


def test_show_sums_up_what_was(work: Work, tmp_path: Path) -> None:
    work.finish()
    assert "weather one: success" in ask(tmp_path, "runs", "show", "one").output
    shown = json.loads(ask(tmp_path, "runs", "show", "one", "--json").output)
    assert [task["state"] for task in shown["tasks"]] == ["success", "success", "success", "skipped"]
    assert shown["logical_date"] == NOW.isoformat()


def write_log(home: Path, task_id: str, text: str, *, map_index: int = -1) -> Path:
    key = TaskKey(dag_id="weather", run_id="one", task_id=task_id, map_index=map_index)
    path = log_path(home / "logs", key.attempt(1))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_logs_are_printed_without_their_times_or_with_them(work: Work, tmp_path: Path) -> None:
    write_log(tmp_path, "extract", "2026-01-02T00:00:00.000Z one\n2026-01-02T00:00:01.000Z two\n")
    assert ask(tmp_path, "tasks", "logs", "one", "extract").output == "one\ntwo\n"
    assert ask(tmp_path, "tasks", "logs", "one", "extract", "-n", "1").output == "two\n"
    assert ask(tmp_path, "tasks", "logs", "one", "extract", "-t").output.startswith("2026-01-02T00:00:00.000Z one")
    assert ask(tmp_path, "tasks", "logs", "one", "extract", "-f", "-n", "1").output == "two\n"
    told = ask(tmp_path, "tasks", "logs", "one", "extract", "--json").output.splitlines()
    assert json.loads(told[0]) == {"try": 1, "at": "2026-01-02T00:00:00.000Z", "text": "one"}
    assert len(told) == 2


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ("extrakt", "the run has no task 'extrakt'"),
        ("square", "expected one instance of 'square', found 'square'"),
        ("square[7]", "expected one instance of 'square', found 'square[7]'"),
        ("report", "report didn't run: it is none"),
        ("extract", "extract has no log of try 1"),
    ],
)
def test_a_log_that_is_not_there_is_told(work: Work, tmp_path: Path, label: str, said: str) -> None:
    failed = ask(tmp_path, "tasks", "logs", "one", label)
    assert failed.exit_code
    assert str(failed.exception) == said


def test_a_log_is_followed_from_before_it_is_there(tmp_path: Path) -> None:
    path = tmp_path / "1.log"
    pieces = iter([b"a", b"b\nc", b"\nlast"])
    over = False

    def pause(_seconds: float) -> None:
        nonlocal over
        piece = next(pieces, None)
        if piece is None:
            over = True
        else:
            with path.open("ab") as file:
                file.write(piece)

    assert list(follow_log(path, is_over=lambda: over, pause=pause)) == ["ab", "c", "last"]


def test_a_run_is_made_for_whoever_serves(work: Work, tmp_path: Path) -> None:
    made = ask(
        tmp_path, "dags", "trigger", "weather", "--run-id", "two", "--conf", '{"a": 1}', "--logical-date", "2026-02-01"
    )
    assert made.output == "two\n"
    run = work.orchestrator.find_run("two")
    assert (run.state, run.conf) == (RunState.QUEUED, {"a": 1})
    assert run.logical_date == datetime(2026, 2, 1, tzinfo=UTC)
    assert ask(tmp_path, "dags", "trigger", "weather", "--logical-date", "soon").exit_code == 2


def test_pools_are_made_and_listed(work: Work, tmp_path: Path) -> None:
    assert ask(tmp_path, "pools", "set", "database", "4").output == "database\n"
    assert ask(tmp_path, "pools", "set", "default_pool", "-1").exit_code == 0
    found = json.loads(ask(tmp_path, "pools", "list", "--json").output)
    assert [(pool["name"], pool["slots"]) for pool in found] == [("database", 4), ("default_pool", -1)]
    assert "unlimited" in ask(tmp_path, "pools", "list").output
