"""The words, marks and colours that the plain and the live view share, so that both say the same."""

import re
from pathlib import Path
from typing import Final

import click

from airdock.cli.board import Build, Task, overhead_s, reason, user_s
from airdock.cli.units import render_memory, render_seconds, render_short
from airdock.model.keys import TaskKey, TryKey
from airdock.model.states import TaskState
from airdock.record import record
from airdock.runner.logs import log_path, tail

__all__ = ["ASCII", "UNICODE", "Marks", "Tail", "build_end", "colour", "did", "paint", "printable", "stands", "word"]


@record
class Marks:
    """One character each; `busy` are the pictures of a turning mark."""

    busy: str
    good: str
    bad: str
    skipped: str
    waiting: str


UNICODE: Final = Marks(busy="⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", good="✓", bad="✗", skipped="-", waiting="·")
ASCII: Final = Marks(busy="|/-\\", good="+", bad="x", skipped="-", waiting=".")

_COLOURS: Final = {
    TaskState.SUCCESS: "green",
    TaskState.FAILED: "red",
    TaskState.UPSTREAM_FAILED: "red",
    TaskState.UP_FOR_RETRY: "yellow",
    TaskState.SKIPPED: "bright_black",
    TaskState.REMOVED: "bright_black",
    TaskState.RUNNING: "cyan",
}
_CONTROLS: Final = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x1f\x7f-\x9f]")
_LINE_CELLS: Final = 500
"""Of a line of a log, as shown where a task failed."""
_REASONS: Final = {"image": "its image", "slot": "a free slot"}


@record
class Tail:
    """Where the logs are, and how many lines of one are shown where its task failed."""

    folder: Path
    lines: int

    def path(self, key: TaskKey, try_number: int) -> Path:
        """The log of one try."""
        return log_path(self.folder, key.attempt(try_number))

    def of_run(self, dag_id: str, run_id: str) -> Path:
        """The folder that has the logs of one run."""
        return log_path(self.folder, TryKey(dag_id=dag_id, run_id=run_id, task_id="task")).parents[1]

    def read(self, key: TaskKey, try_number: int) -> list[str]:
        """The last lines without their time stamps; none where there is no log."""
        lines = tail(self.path(key, try_number), self.lines)
        return [_cut(printable(line.partition("Z ")[2] or line)) for line in lines]


def _cut(line: str) -> str:
    return line if len(line) <= _LINE_CELLS else f"{line[:_LINE_CELLS]} …"


def printable(text: str) -> str:
    """`text` without what moves the cursor or changes colours: a task's output may not paint over the view."""
    return _CONTROLS.sub("", text.expandtabs(4))


def colour(state: TaskState) -> str | None:
    """The colour of a state, as click and rich both name it."""
    return _COLOURS.get(state)


def paint(text: str, state: TaskState) -> str:
    """`text` in the colour of a state."""
    named = colour(state)
    return click.style(text, fg=named) if named else text


def word(state: TaskState) -> str:
    """A state as people read it: Airflow's words."""
    return "waiting" if state is TaskState.NONE else state.value.replace("_", " ")


def stands(task: Task) -> str:
    """Where a task stands, in a few words: "waiting for its image", "running", "upstream failed"."""
    if task.waiting_for and task.state in (TaskState.NONE, TaskState.SCHEDULED, TaskState.QUEUED):
        return f"waiting for {_REASONS.get(task.waiting_for, task.waiting_for)}"
    return f"{word(task.state)} (try {task.try_number})" if task.try_number > 1 else word(task.state)


def did(task: Task) -> str:
    """What is to be said of an ended try: times and memory, or why it failed."""
    if why := reason(task):
        return printable(" ".join(why.splitlines()))
    outcome = task.outcome
    if outcome is None:
        return ""
    user, over = user_s(outcome.times), overhead_s(outcome.times)
    return _join(
        f"user code {render_seconds(user)}" if user is not None else "",
        f"overhead {render_seconds(over)}" if over is not None else "",
        f"peak {render_memory(outcome.usage.memory_peak_bytes)}" if outcome.usage else "",
    )


def build_end(build: Build) -> str:
    """How a build ended."""
    end = build.finished
    assert end is not None
    if end.error:
        return f"failed: {printable(' '.join(end.error.splitlines()))}"
    if end.reused:
        return f"reused {render_short(end.digest)}"
    cached = f", {build.cached} of {build.step.total} steps cached" if build.step and build.cached else ""
    return f"built {render_short(end.digest)} in {render_seconds(end.seconds)}{cached}"


def _join(*parts: str) -> str:
    return ", ".join(filter(None, parts))
