"""A run as it was told: two images, a success, a retry, a failure, and what hangs below it."""

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airdock.cli.board import Board
from airdock.cli.feed import View
from airdock.cli.summary import Summary
from airdock.cli.words import Tail
from airdock.model.keys import TaskKey
from airdock.model.outcome import Ending, Failed, Outcome, Succeeded, Times
from airdock.model.progress import (
    BuildFinished,
    BuildOutput,
    BuildStarted,
    BuildStep,
    Note,
    Progress,
    RunChanged,
    TaskChanged,
)
from airdock.model.states import RunState, TaskState
from airdock.model.usage import Usage, UsageSource

DAG, RUN = "weather", "manual__2026-01-01"
START = datetime(2026, 1, 1, tzinfo=UTC)
DIGEST = "sha256:" + "3f2a1b9c8d7e" + "0" * 52
OTHER = "sha256:" + "aa11bb22cc33" + "0" * 52

Told = Sequence[tuple[float, Progress]]
Play = Callable[..., Board]


def key(task_id: str, map_index: int = -1) -> TaskKey:
    return TaskKey(dag_id=DAG, run_id=RUN, task_id=task_id, map_index=map_index)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def outcome(ending: Ending, *, start: float, user: float, digest: str, memory: int = 108_000_000) -> Outcome:
    times = Times(
        queued=at(start),
        image_ready=at(start),
        started=at(start + 0.01),
        user_code=at(start + 0.04),
        user_ended=at(start + 0.04 + user),
        ended=at(start + 0.05 + user),
    )
    usage = Usage(memory_peak_bytes=memory, cpu_s=user, source=UsageSource.CGROUP)
    return Outcome(ending=ending, times=times, node="here", digest=digest, usage=usage)


def task(task_id: str, state: TaskState, seconds: float, *, map_index: int = -1, **more: object) -> TaskChanged:
    return TaskChanged(key=key(task_id, map_index), state=state, at=at(seconds), **more)  # type: ignore[arg-type]


@pytest.fixture
def told() -> Told:
    """The events with the seconds at which the view hears of them."""
    cannot = outcome(Failed(reason="ValueError: no column 'date'"), start=1.5, user=0.2, digest=OTHER)
    good = outcome(Succeeded(), start=1.3, user=0.42, digest=DIGEST)
    mapped = [outcome(Succeeded(), start=1.3, user=0.1 * n, digest=DIGEST, memory=n * 2**20) for n in (1, 2, 3)]
    return [
        (0.0, Note(line="made by hand\x1b[2J")),
        (0.0, RunChanged(dag_id=DAG, run_id=RUN, state=RunState.RUNNING, at=at(0))),
        (0.0, task("extract", TaskState.SCHEDULED, 0, waiting_for="image")),
        (0.0, task("report", TaskState.NONE, 0, waiting_for="extract")),
        (0.0, task("chart", TaskState.NONE, 0, waiting_for="report")),
        (0.1, BuildStarted(build="b1", label="pandas==1.5.3 numpy<2")),
        (0.1, BuildFinished(build="b2", label="chart/Dockerfile", digest=OTHER, reused=True)),
        (0.2, BuildStep(build="b1", number=1, total=2, text="FROM host", cached=True, seconds=0.0)),
        (0.2, BuildStep(build="b1", number=2, total=2, text="RUN uv pip install\n  -r requirements.lock")),
        (0.8, BuildOutput(build="b1", line="Installed 5 packages in 610 ms")),
        (1.2, BuildStep(build="b1", number=2, total=2, text="RUN uv pip install", seconds=1.0)),
        (1.3, BuildFinished(build="b1", label="pandas==1.5.3 numpy<2", digest=DIGEST, seconds=1.2)),
        (1.3, task("extract", TaskState.QUEUED, 1.3, try_number=1)),
        (1.3, task("extract", TaskState.RUNNING, 1.31, try_number=1)),
        *((1.3, task("square", TaskState.RUNNING, 1.31, map_index=n, try_number=1)) for n in range(3)),
        (1.8, task("extract", TaskState.SUCCESS, 1.77, try_number=1, outcome=good)),
        *((1.8, task("square", TaskState.SUCCESS, 1.8, map_index=n, try_number=1, outcome=mapped[n])) for n in (0, 1)),
        (1.8, task("report", TaskState.RUNNING, 1.8, try_number=1)),
        (2.0, task("report", TaskState.UP_FOR_RETRY, 2.0, try_number=1, outcome=cannot)),
        (2.1, task("report", TaskState.RUNNING, 2.1, try_number=2)),
        (2.2, task("square", TaskState.SUCCESS, 2.2, map_index=2, try_number=1, outcome=mapped[2])),
        (2.4, task("report", TaskState.FAILED, 2.4, try_number=2, outcome=cannot)),
        (2.4, task("chart", TaskState.UPSTREAM_FAILED, 2.4, waiting_for="report failed")),
        (2.5, RunChanged(dag_id=DAG, run_id=RUN, state=RunState.FAILED, at=at(2.5))),
    ]


@pytest.fixture
def tail(tmp_path: Path) -> Tail:
    """A log folder in which both tries of `report` left something."""
    made = Tail(folder=tmp_path / "logs", lines=3)
    for number in (1, 2):
        path = made.path(key("report"), number)
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = ["reading", "Traceback (most recent call last):", '  File "dag.py", line 7', "ValueError: no column"]
        path.write_text("".join(f"2026-01-01T00:00:02.000Z {line}\n" for line in lines))
    return made


@pytest.fixture
def play() -> Play:
    """Show a view everything up to a moment."""

    def played(view: View, told: Told, until: float = 1e9) -> Board:
        board = Board()
        for now, event in told:
            if now <= until:
                board.apply(event, now)
                view.show(event, board, now)
        return board

    return played


@pytest.fixture
def summarise(tail: Tail) -> Callable[..., Summary]:
    """The summary of a board, with what only the app knows."""

    def summarised(board: Board, **more: Any) -> Summary:
        return Summary(
            board=board,
            dag_id=DAG,
            run_id=RUN,
            state=RunState.FAILED,
            seconds=2.5,
            workspace=Path("/home/ada/.airdock/workspaces/weather"),
            tail=tail,
            again=f"airdock run weather.py --resume {RUN}",
            **more,
        )

    return summarised


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Hold a text against a file of tests/golden/views; AIRDOCK_WRITE_GOLDEN=1 writes the file instead."""

    def check(name: str, text: str) -> None:
        path = Path(__file__).parents[2] / "golden" / "views" / name
        if os.environ.get("AIRDOCK_WRITE_GOLDEN"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        assert text == path.read_text()

    return check
