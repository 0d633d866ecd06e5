"""What a scheduler says of many runs: one line for each thing that happened, with the run it is of."""

import json
from datetime import UTC, datetime

import pytest

from airdock.cli.scheduler import Lines, render_line
from airdock.clock import SystemClock
from airdock.model.keys import TaskKey
from airdock.model.outcome import Failed, Outcome, Times
from airdock.model.progress import BuildFinished, Note, Progress, RunChanged, TaskChanged
from airdock.model.states import RunState, TaskState

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = TaskKey(dag_id="etl", run_id="one", task_id="square", map_index=3)
BAD = Outcome(ending=Failed(reason="ValueError:\n no"), times=Times(queued=NOW, ended=NOW), node="", digest="")


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (Note(line="etl.py: loaded etl"), "etl.py: loaded etl"),
        (RunChanged(dag_id="etl", run_id="one", state=RunState.QUEUED, at=NOW), "etl one  queued"),
        (TaskChanged(key=KEY, state=TaskState.SCHEDULED, at=NOW), ""),
        (
            TaskChanged(key=KEY, state=TaskState.UP_FOR_RETRY, at=NOW, try_number=2, outcome=BAD),
            "etl one square[3]  \x1b[33mup for retry\x1b[0m (try 2): ValueError: no",
        ),
        (BuildFinished(build="b", label="pandas", digest="sha256:1"), "image pandas  built"),
        (BuildFinished(build="b", label="pandas", digest="sha256:1", reused=True), ""),
    ],
)
def test_each_event_is_a_line_or_none(event: Progress, line: str) -> None:
    assert render_line(event) == line


def test_for_programs_events_are_those_of_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    Lines(as_json=True, clock=SystemClock())(TaskChanged(key=KEY, state=TaskState.RUNNING, at=NOW))
    told = json.loads(capsys.readouterr().out)
    assert (told["event"], told["task_id"], told["map_index"], told["state"]) == (
        "task_changed",
        "square",
        3,
        "running",
    )
