"""What is said at the end of a run: time and overhead per task, images, memory, isolation, and where everything is."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from airdock.cli.board import Board, Build, Task, counts, overhead_s, peak, reason, user_s
from airdock.cli.tables import Column, fit, render_table, width
from airdock.cli.units import render_memory, render_seconds, render_short, render_size
from airdock.cli.words import Tail, build_end, did, paint, stands, word
from airdock.model.states import RUN_FINISHED, RunState, TaskState
from airdock.record import record

__all__ = ["Summary"]

_REASON_CELLS = 100
_LABEL_CELLS = 40
_FILES = 8

_COLUMNS = (
    Column("TASK"),
    Column("STATE"),
    Column("USER CODE", right=True),
    Column("OVERHEAD", right=True),
    Column("PEAK MEMORY", right=True),
    Column("IMAGE"),
)

_PROCESS = (
    "isolation: process. Tasks ran as plain processes of this account, because you said so: they could read its files,",
    "  see its processes and leave things behind; memory and processor limits did not hold.",
)


@record
class Summary:
    """A run that came to its end. `again` is the command that would finish what is left of it.

    `last` are the tasks that nothing waits for: what a single one of them said is what the run came to.
    """

    board: Board
    dag_id: str
    run_id: str
    state: RunState
    seconds: float
    isolation: str = "container"
    workspace: Path | None = None
    tail: Tail | None = None
    again: str = ""
    last: tuple[str, ...] = ()

    def render(self) -> str:
        """The summary as lines, coloured; whoever prints it takes the colours off where they don't belong."""
        state = TaskState.SUCCESS if self.state is RunState.SUCCESS else TaskState.FAILED
        parts = [
            f"{self.dag_id} {self.run_id}: {paint(self.state.value, state)} in {render_seconds(self.seconds)}",
            render_table(_COLUMNS, [_row(self.board, group) for group in self.board.groups()], indent="  "),
            "\n".join(self._failures()),
            "\n".join(self._last_words()),
            "\n".join(_images(self.board)),
            "\n".join(self._places()),
        ]
        return "\n\n".join(part for part in parts if part)

    def to_dict(self) -> dict[str, Any]:
        """The summary for programs: seconds and bytes as numbers."""
        return {
            "dag_id": self.dag_id,
            "run_id": self.run_id,
            "state": self.state.value,
            "seconds": round(self.seconds, 3),
            "isolation": self.isolation,
            "workspace": str(self.workspace) if self.workspace else None,
            "logs": str(self.tail.of_run(self.dag_id, self.run_id)) if self.tail else None,
            "tasks": [_task_dict(self.board, task) for task in self.board.tasks.values()],
            "images": [_build_dict(build) for build in self.board.builds.values() if build.finished],
        }

    def _failures(self) -> Iterator[str]:
        failed = any(task.state is TaskState.FAILED for task in self.board.tasks.values())
        if self.board.run and self.board.run.reason and not failed:
            yield self.board.run.reason
        for task in self.board.tasks.values():
            if task.state is TaskState.FAILED:
                # Whole, however long: the live view had no room for it, and its end says what to do.
                yield f"{paint('failed', task.state)}: {task.key.label}: {did(task)}"
                if self.tail and task.try_number and (path := self.tail.path(task.key, task.try_number)).exists():
                    yield f"  log: {path}"
        if self.again and self.state not in RUN_FINISHED:
            yield f"finish it with: {self.again}"

    def _last_words(self) -> Iterator[str]:
        ended = [task for task in self.board.tasks.values() if task.key.task_id in self.last]
        if self.tail and len(ended) == len(self.last) == 1 and ended[0].state is TaskState.SUCCESS:
            said = self.tail.read(ended[0].key, ended[0].try_number)
            if said:
                yield f"{ended[0].key.label} said:"
                yield from (f"  {line}" for line in said)

    def _places(self) -> Iterator[str]:
        if self.isolation == "process":
            yield click.style(_PROCESS[0], fg="yellow")
            yield from _PROCESS[1:]
        else:
            yield f"isolation: {self.isolation}"
        if self.workspace:
            yield f"workspace: {self.workspace}"
            yield from _files(self.workspace)
        if self.tail:
            yield f"logs: {self.tail.of_run(self.dag_id, self.run_id)}"


def _files(folder: Path) -> Iterator[str]:
    """What tasks left in the run's folder, the first few of it."""
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    cells = max((width(entry.name) for entry in entries[:_FILES]), default=0)
    for entry in entries[:_FILES]:
        size = render_size(entry.lstat().st_size) if entry.is_file() else "folder" if entry.is_dir() else ""
        yield f"  {fit(entry.name, _LABEL_CELLS):{min(cells, _LABEL_CELLS)}}   {size}".rstrip()
    if len(entries) > _FILES:
        yield f"  and {len(entries) - _FILES} more"


def _row(board: Board, tasks: Sequence[Task]) -> list[str]:
    ended = [task.outcome for task in tasks if task.outcome]
    user = [seconds for outcome in ended if (seconds := user_s(outcome.times)) is not None]
    over = [seconds for outcome in ended if (seconds := overhead_s(outcome.times)) is not None]
    most = peak(tasks)
    name = tasks[0].key.label if len(tasks) == 1 else f"{tasks[0].key.task_id} [{len(tasks)}]"
    return [
        name,
        _states(tasks),
        _seconds(user),
        _seconds(over),
        f"{render_memory(most.memory_peak_bytes)} ({most.source.value})" if most else "",
        _image(board, tasks),
    ]


def _states(tasks: Sequence[Task]) -> str:
    if len(tasks) == 1:
        return paint(stands(tasks[0]), tasks[0].state)
    return ", ".join(paint(f"{count} {word(state)}", state) for state, count in counts(tasks).items())


def _seconds(values: Sequence[float]) -> str:
    if not values:
        return ""
    if len(values) == 1:
        return render_seconds(values[0])
    from statistics import median  # with decimal and fractions: three milliseconds that builds needn't pay

    return f"median {render_seconds(median(values))}"


def _image(board: Board, tasks: Sequence[Task]) -> str:
    digest = next((task.outcome.digest for task in tasks if task.outcome), "")
    short = render_short(digest) if digest.startswith("sha256:") else ""  # plain processes have no image
    return f"{fit(board.image_of(tasks[0]), _LABEL_CELLS)} {short}".strip()


def _images(board: Board) -> Iterator[str]:
    builds = [build for build in board.builds.values() if build.finished]
    if not builds:
        return
    made = sum(1 for build in builds if build.finished and not build.finished.reused and not build.finished.error)
    failed = sum(1 for build in builds if build.finished and build.finished.error)
    yield (f"images: {made} built, {len(builds) - made - failed} reused" + (f", {failed} failed" if failed else ""))
    label_cells = min(max(len(build.label) for build in builds), 50)
    for build in builds:
        yield f"  {fit(build.label, label_cells):{label_cells}}   {fit(build_end(build), _REASON_CELLS)}"


def _task_dict(board: Board, task: Task) -> dict[str, Any]:
    outcome = task.outcome
    return {
        "task_id": task.key.task_id,
        "map_index": task.key.map_index,
        "try_number": task.try_number,
        "state": task.state.value,
        "reason": reason(task),
        "user_s": _rounded(user_s(outcome.times)) if outcome else None,
        "overhead_s": _rounded(overhead_s(outcome.times)) if outcome else None,
        "memory_peak_bytes": outcome.usage.memory_peak_bytes if outcome and outcome.usage else None,
        "cpu_s": outcome.usage.cpu_s if outcome and outcome.usage else None,
        "usage_source": outcome.usage.source.value if outcome and outcome.usage else None,
        "image": board.image_of(task),
        "digest": outcome.digest if outcome else "",
        "isolation": outcome.isolation if outcome else "",
    }


def _build_dict(build: Build) -> dict[str, Any]:
    end = build.finished
    assert end is not None
    return {
        "label": build.label,
        "digest": end.digest,
        "reused": end.reused,
        "seconds": round(end.seconds, 3),
        "error": end.error,
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)
