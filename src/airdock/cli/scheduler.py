"""`airdock scheduler` and `airdock up`: watch the DAG folder and run what is due, until told to stop."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import click

from airdock.cli.errors import tell
from airdock.cli.json_lines import render_event
from airdock.cli.session import Session, pass_session
from airdock.cli.signals import was_told_to_end
from airdock.cli.words import paint, printable, word
from airdock.clock import Clock, SystemClock
from airdock.model.outcome import Failed, Lost
from airdock.model.progress import BuildFinished, BuildStarted, Note, Progress, RunChanged, TaskChanged
from airdock.model.states import TaskState

__all__ = ["Lines", "render_line", "scheduler", "up"]

_UNTOLD = frozenset({TaskState.NONE, TaskState.SCHEDULED, TaskState.QUEUED})


def _flags(command: Callable[..., None]) -> Callable[..., None]:
    """What both commands take."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="One JSON object per event."),
        click.option("--parallelism", metavar="N", help="Tasks that run at one time."),
        click.option(
            "--executor", metavar="local|sequential", help="What runs tasks. [default: the setting core.executor]"
        ),
    ):
        command = option(command)
    return command


@click.command(short_help="Watch the DAG folder, and run what is due.")
@_flags
@pass_session
def scheduler(session: Session, /, *, executor: str | None, parallelism: str | None, as_json: bool) -> None:
    """Watch the folder `dags` of the home, load what changes there, and run what its schedules ask for.

    Each file is loaded, and each task runs, in a container of its own. Ctrl-C, or SIGTERM, stops the tasks that run;
    whoever starts next goes on with their runs. Several schedulers may share one database.

    \b
    Examples:
      airdock scheduler
      airdock --home /srv/airdock scheduler --parallelism 8
      airdock scheduler --json | jq -c 'select(.event == "run_changed")'
    """
    _serve(session, executor=executor, parallelism=parallelism, as_json=as_json)


@click.command(short_help="Start everything there is, in one process tree.")
@_flags
@pass_session
def up(session: Session, /, *, executor: str | None, parallelism: str | None, as_json: bool) -> None:
    """Start the scheduler, and with it whatever else serves DAGs, and stay until stopped.

    \b
    Examples:
      airdock up
      airdock --home /srv/airdock up
    """
    _serve(session, executor=executor, parallelism=parallelism, as_json=as_json)


def _serve(session: Session, *, executor: str | None, parallelism: str | None, as_json: bool) -> None:
    with session.app({"core.executor": executor, "core.parallelism": parallelism}) as app:
        app.open()
        server = app.server
        with _stopping(server.stop):
            tell(f"serving {app.config.home / 'dags'}; Ctrl-C stops")
            app.serve(report=Lines(as_json=as_json, clock=SystemClock()))


@contextmanager
def _stopping(stop: Callable[[], None]) -> Iterator[None]:
    """The first Ctrl-C, SIGTERM or SIGHUP stops in order; after it signals do what they did before."""
    kept: dict[int, Any] = {}

    def hear(number: int, frame: FrameType | None) -> None:
        restore()
        stop()

    def restore() -> None:
        while kept:
            signal.signal(*kept.popitem())

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        kept[number] = signal.signal(number, hear)
    try:
        if was_told_to_end():  # while all was made ready, at a moment in which that was dropped
            stop()
        yield
    finally:
        restore()


class Lines:
    """A `Report` that prints each event as a line, whichever thread tells it."""

    def __init__(self, *, as_json: bool, clock: Clock) -> None:
        self._as_json, self._clock = as_json, clock
        self._started = clock.monotonic()
        self._lock = threading.Lock()

    def __call__(self, event: Progress) -> None:
        if self._as_json:
            line = render_event(event, self._clock.monotonic() - self._started)
        elif said := render_line(event):
            line = f"{self._clock.now():%Y-%m-%d %H:%M:%S}  {said}"
        else:
            return
        with self._lock:
            click.echo(line)


def render_line(event: Progress) -> str:
    """An event in words, with the DAG and run it is of; empty for what isn't worth a line."""
    match event:
        case Note():
            return printable(event.line)
        case RunChanged():
            why = f": {event.reason}" if event.reason else ""
            state = TaskState(event.state.value) if event.state.value in set(TaskState) else TaskState.NONE
            return f"{event.dag_id} {event.run_id}  {paint(event.state.value, state)}{why}"
        case TaskChanged() if event.state not in _UNTOLD:
            number = f" (try {event.try_number})" if event.try_number > 1 else ""
            said = f"{event.key.dag_id} {event.key.run_id} {event.key.label}  {paint(word(event.state), event.state)}"
            return f"{said}{number}{_why(event)}"
        case BuildStarted():
            return f"image {event.label}  building"
        case BuildFinished() if not event.reused:
            return f"image {event.label}  " + (f"failed: {printable(event.error)}" if event.error else "built")
        case _:
            return ""


def _why(event: TaskChanged) -> str:
    ending = event.outcome.ending if event.outcome else None
    reason = ending.reason if isinstance(ending, Failed | Lost) else ""
    return f": {printable(' '.join(reason.split()))}" if reason else ""
