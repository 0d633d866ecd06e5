"""A run as a picture that redraws itself: images being made, tasks and where they stand."""

from collections.abc import Callable
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from airdock.cli.board import Board, Build, Task, counts, peak
from airdock.cli.plain import failure
from airdock.cli.summary import Summary
from airdock.cli.units import render_memory, render_seconds
from airdock.cli.words import Marks, Tail, build_end, colour, did, printable, stands, word
from airdock.model.progress import BuildFinished, Note, Progress, TaskChanged
from airdock.model.states import TaskState, is_finished
from airdock.model.usage import Usage

__all__ = ["LiveView", "frame"]

_TURNS_PER_S: Final = 10
_FEW_ROWS: Final = 6
_NAME_CELLS: Final = 36
_STATE_CELLS: Final = 40

_BUSY: Final = frozenset({TaskState.RUNNING, TaskState.QUEUED, TaskState.RESTARTING})
_BAD: Final = frozenset({TaskState.FAILED, TaskState.UPSTREAM_FAILED})
_IDLE: Final = frozenset({TaskState.SKIPPED, TaskState.REMOVED})


class LiveView:
    """Draws on a terminal at most ten times a second; what must stay (a failure, the summary) is printed above it."""

    draws = True

    def __init__(
        self, console: Console, *, marks: Marks, echo: Callable[[str], None], tail: Tail | None = None
    ) -> None:
        self._console = console
        self._marks = marks
        self._echo = echo
        self._tail = tail
        self._live: Live | None = None

    def show(self, event: Progress, board: Board, now: float) -> None:
        if isinstance(event, Note):
            self._say(Text(printable(event.line), style="bright_black"))
        if isinstance(event, BuildFinished) and event.error:
            self._say(Text(f"{self._marks.bad} {event.label}: {build_end(board.builds[event.build])}", style="red"))
        if isinstance(event, TaskChanged) and event.outcome and self._tail:
            task = board.tasks[event.key]
            if lines := list(failure(task, self._tail)):
                self._say(Text(f"{self._marks.bad} {task.key.label}: {did(task)}", style="red"))
                self._say(Text("\n".join(f"  {line}" for line in lines)))

    def draw(self, board: Board, now: float) -> None:
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, transient=True, redirect_stdout=False)
            self._live.start()
        self._live.update(frame(board, now, marks=self._marks, height=self._console.size.height), refresh=True)

    def close(self, summary: Summary | None) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
        if summary is not None:
            self._echo(summary.render())

    def _say(self, text: Text) -> None:
        self._console.print(text, soft_wrap=True)


def frame(board: Board, now: float, *, marks: Marks, height: int) -> RenderableType:
    """One picture, at most `height` lines high: what is under way first, what is done counted where room is short."""
    room = max(height - 5, 2 * _FEW_ROWS)
    parts: list[RenderableType] = [_head(board, now)]
    if board.builds:
        parts.append(_builds(board, now, marks, room if not board.tasks else max(room // 3, _FEW_ROWS)))
    if board.builds and board.tasks:
        parts.append(Text())
    if board.tasks:
        left = room - (min(len(board.builds), max(room // 3, _FEW_ROWS)) if board.builds else 0)
        parts.append(_tasks(board, now, marks, max(left, _FEW_ROWS)))
    return Group(*parts)


def _head(board: Board, now: float) -> Text:
    run = board.run
    name = f"{run.dag_id} {run.run_id}  {run.state.value}" if run else "preparing"
    return Text.assemble((name, "bold"), f"  {render_seconds(now)}", no_wrap=True, overflow="ellipsis")


def _grid() -> Table:
    """Five columns; the last takes what is left and gives way first."""
    table = Table.grid(padding=(0, 2, 0, 0), pad_edge=False, expand=True)
    table.add_column(width=1)
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=_NAME_CELLS)
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=_STATE_CELLS)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    return table


def _turn(marks: Marks, now: float) -> str:
    return marks.busy[int(now * _TURNS_PER_S) % len(marks.busy)]


def _builds(board: Board, now: float, marks: Marks, room: int) -> Table:
    table = _grid()
    builds = sorted(board.builds.values(), key=lambda build: build.finished is not None)
    shown = builds if len(builds) <= room else builds[: room - 1]
    for build in shown:
        table.add_row(*_build_row(build, now, marks))
        # Steps have rows of their own where there is nothing else to show.
        if build.running and len(builds) == 1 and not board.tasks:
            _add_steps(table, build, now, marks, room)
    if hidden := len(builds) - len(shown):
        table.add_row("", f"and {hidden} more images", style="bright_black")
    return table


def _add_steps(table: Table, build: Build, now: float, marks: Marks, room: int) -> None:
    """The steps that run, and what they printed last, the youngest left out where room is short."""
    running = sorted(build.running.values(), key=lambda one: one.step.number)
    lines = max(room // len(running) - 1, 0)
    for one in running[:room]:
        text = f"{one.step.number}/{one.step.total} {' '.join(one.step.text.split())}"
        table.add_row(Text(_turn(marks, now), "cyan"), "", "", render_seconds(now - one.since), Text(text))
        for line in list(one.output)[-lines:] if lines else ():
            table.add_row("", "", "", "", Text(f"  {printable(line)}", "bright_black"))


def _build_row(build: Build, now: float, marks: Marks) -> tuple[RenderableType, ...]:
    if build.finished is None:
        step = build.step
        text = f"{step.number}/{step.total} {' '.join(step.text.split())}" if step else "building"
        said = f"{text}  {printable(build.output)}" if build.output else text
        if len(build.running) > 1 and step:
            said = f"{build.ended}/{step.total} steps done, {len(build.running)} at once"
        cached = f"{build.cached} cached" if build.cached else ""
        seconds = render_seconds(now - build.since)
        return Text(_turn(marks, now), "cyan"), Text(build.label), cached, seconds, Text(said)
    end = build.finished
    mark, shade = (Text(marks.bad, "red"), "red") if end.error else (Text(marks.good, "green"), "bright_black")
    return mark, Text(build.label), "", "", Text(build_end(build), shade)


def _tasks(board: Board, now: float, marks: Marks, room: int) -> Table:
    table = _grid()
    rows = board.groups()
    shown = rows if len(rows) <= room else sorted(rows, key=_urgency)[: room - 1]
    for tasks in shown:
        table.add_row(*(_task_row(board, tasks[0], now, marks) if len(tasks) == 1 else _many(board, tasks, now, marks)))
    if hidden := len(rows) - len(shown):
        table.add_row("", f"and {hidden} more tasks", style="bright_black")
    return table


def _urgency(tasks: list[Task]) -> int:
    states = {task.state for task in tasks}
    if states & _BAD:
        return 0
    if states & _BUSY:
        return 1
    return 3 if all(is_finished(state) for state in states) else 2


def _mark(states: set[TaskState], now: float, marks: Marks) -> Text:
    if states & _BAD:
        return Text(marks.bad, "red")
    if states & _BUSY:
        return Text(_turn(marks, now), "cyan")
    if states <= _IDLE:
        return Text(marks.skipped, "bright_black")
    if all(is_finished(state) for state in states):
        return Text(marks.good, "green")
    return Text(marks.waiting, "bright_black")


def _task_row(board: Board, task: Task, now: float, marks: Marks) -> tuple[RenderableType, ...]:
    usage = task.outcome.usage if task.outcome else None
    times = task.outcome.times if task.outcome else None
    seconds = ""
    if times and times.started and times.ended and is_finished(task.state):
        seconds = render_seconds((times.ended - times.started).total_seconds())
    elif task.state is TaskState.RUNNING:
        seconds = render_seconds(now - task.since)
    return (
        _mark({task.state}, now, marks),
        Text(task.key.label),
        Text(stands(task), colour(task.state) or ""),
        seconds,
        _use(usage, board.image_of(task)),
    )


def _many(board: Board, tasks: list[Task], now: float, marks: Marks) -> tuple[RenderableType, ...]:
    counted, most = counts(tasks), peak(tasks)
    said = Text(", ").join(Text(f"{count} {word(state)}", colour(state) or "") for state, count in counted.items())
    name = f"{tasks[0].key.task_id} [{len(tasks)}]"
    return _mark(set(counted), now, marks), Text(name), said, "", _use(most, board.image_of(tasks[0]))


def _use(usage: Usage | None, image: str) -> Text:
    memory = f"{render_memory(usage.memory_peak_bytes):>8}  " if usage else ""
    return Text(f"{memory}{image}", "bright_black")
