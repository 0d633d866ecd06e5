"""A run as lines of plain text, for pipes, files and terminals that can't move their cursor."""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import click

from airdock.cli.board import Board, Task
from airdock.cli.tables import fit
from airdock.cli.units import render_seconds
from airdock.cli.words import Tail, build_end, did, paint, printable, stands
from airdock.model.outcome import Failed, Lost
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

if TYPE_CHECKING:
    from airdock.cli.summary import Summary

__all__ = ["PlainView", "failure"]

_STEP_CELLS = 100


class PlainView:
    """One line for each thing that happened, with the seconds since the beginning."""

    draws = False

    def __init__(
        self, *, tail: Tail | None = None, color: bool | None = None, output: bool = False, err: bool = False
    ) -> None:
        """`output` shows what build steps print too; `err` writes to stderr."""
        self._tail = tail
        self._output = output
        self._begun: set[tuple[str, int]] = set()
        self._echo = partial(click.echo, color=color, err=err)

    def show(self, event: Progress, board: Board, now: float) -> None:
        for line in self._lines(event, board):
            self._echo(f"{now:7.1f} s  {line}" if not line.startswith(" ") else f"{'':9}  {line}")

    def draw(self, board: Board, now: float) -> None:
        """Lines stay as they are."""

    def close(self, summary: "Summary | None") -> None:
        if summary is not None:
            self._echo(f"\n{summary.render()}")

    def _lines(self, event: Progress, board: Board) -> Iterator[str]:
        match event:
            case BuildStarted():
                yield f"image  {event.label}  building"
            case BuildStep():
                yield f"image  {board.builds[event.build].label}  {event.number}/{event.total} {self._step(event)}"
            case BuildOutput():
                if self._output:
                    yield f"       | {printable(event.line)}"
            case BuildFinished():
                yield f"image  {event.label}  {build_end(board.builds[event.build])}"
            case RunChanged(state=RunState.RUNNING):
                yield f"run    {event.dag_id} {event.run_id}  running"
            case Note():
                yield f"note   {printable(event.line)}"
            case TaskChanged():
                yield from self._task(event, board.tasks[event.key])

    def _step(self, event: BuildStep) -> str:
        begun = (event.build, event.number) in self._begun
        self._begun.add((event.build, event.number))
        text = "" if begun else fit(" ".join(event.text.split()), _STEP_CELLS)
        if event.seconds is None:
            return text
        end = "cached" if event.cached else f"done in {render_seconds(event.seconds)}"
        return f"{text}  {end}" if text else end

    def _task(self, event: TaskChanged, task: Task) -> Iterator[str]:
        if task.state is TaskState.NONE or (task.state is TaskState.SCHEDULED and not task.waiting_for):
            return
        if task.state is TaskState.QUEUED:
            return
        said = did(task) if event.outcome or task.state is TaskState.UPSTREAM_FAILED else ""
        yield f"task   {task.key.label}  {paint(stands(task), task.state)}" + (f"  {said}" if said else "")
        if event.outcome and self._tail:
            yield from (f"       {line}" for line in failure(task, self._tail))


def failure(task: Task, tail: Tail) -> Iterator[str]:
    """The end of a failed try's log and where the whole of it is; nothing for a try that didn't fail."""
    if not task.outcome or not isinstance(task.outcome.ending, Failed | Lost):
        return
    yield from (f"| {line}" for line in tail.read(task.key, task.try_number))
    path = tail.path(task.key, task.try_number)
    if path.exists():
        yield f"log: {path}"
