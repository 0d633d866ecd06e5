"""`airdock tasks logs`: the log of a try, from the file that its supervisor writes."""

import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from airdock.cli.names import complete_runs, complete_tasks
from airdock.cli.session import Session, pass_session
from airdock.cli.words import printable
from airdock.errors import AirdockError, ConfigError
from airdock.model.states import is_finished
from airdock.runner.logs import log_path, tail

if TYPE_CHECKING:
    from airdock.app import App
    from airdock.model.keys import TaskKey
    from airdock.store.records import Instance

__all__ = ["follow_log", "logs"]

_LABEL: Final = re.compile(r"(?P<task>.*?)(?:\[(?P<index>\d+)\])?")
_PAUSE_S: Final = 0.2
_NAMED: Final = 5


@click.command()
@click.argument("run_id", metavar="RUN", shell_complete=complete_runs)
@click.argument("label", metavar="TASK[INDEX]", shell_complete=complete_tasks)
@click.option("--try", "try_number", metavar="N", type=click.IntRange(min=1), help="Which try. [default: the latest]")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is printed, through retries, until the task ends.")
@click.option("-n", "--tail", "lines", metavar="N", type=click.IntRange(min=0), help="Only the last lines.")
@click.option("-t", "--timestamps", is_flag=True, help="When each line was printed.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line: try, at, text.")
@pass_session
def logs(
    session: Session,
    /,
    run_id: str,
    label: str,
    *,
    try_number: int | None,
    follow: bool,
    lines: int | None,
    timestamps: bool,
    as_json: bool,
) -> None:
    """Print what a task printed; of a mapped task, TASK[INDEX] is one instance.

    \b
    Examples:
      airdock tasks logs manual__2026-01-31T02:00:00 extract
      airdock tasks logs manual__2026-01-31T02:00:00 'square[3]' --try 1
      airdock tasks logs weather/manual__2026-01-31T02:00:00 extract -f -n 20
    """
    with session.app() as app:
        row = _find(app, run_id, label)
        number = try_number or row.try_number
        path = log_path(app.config.home / "logs", row.key.attempt(max(number, 1)))
        if not follow and not path.exists():
            raise _no_log(row, number)
        show = _Show(number, timestamps=timestamps, as_json=as_json)
        skipped = 0
        if lines is not None:
            for line in tail(path, lines):
                show(line)
            skipped = path.stat().st_size if path.exists() else 0
        if lines is None or follow:
            _print(app, row, number, show, skipped, follow=follow and try_number is None)


def _print(app: "App", row: "Instance", number: int, show: "_Show", start: int, *, follow: bool) -> None:
    while True:
        path = log_path(app.config.home / "logs", row.key.attempt(max(number, 1)))

        def is_over(number: int = number) -> bool:
            now = _load(app, row.key)
            return now is None or is_finished(now.state) or now.try_number > max(number, 1) or not follow

        for line in follow_log(path, is_over=is_over, pause=threading.Event().wait, start=start):
            show(line)
        now = _load(app, row.key)
        if not follow or now is None or now.try_number <= max(number, 1):
            return
        number, start = max(number, 1) + 1, 0
        show.begin(number)


def follow_log(
    path: Path, *, is_over: Callable[[], bool], pause: Callable[[float], object], start: int = 0
) -> Iterator[str]:
    """The lines of a log that grows, from byte `start`, until `is_over` and all was read; it may come only later."""
    position, partial = start, b""
    while True:
        over = is_over()  # before the last read: what was printed until then is in the file
        try:
            with path.open("rb") as file:
                file.seek(position)
                while data := file.read(1 << 16):
                    position += len(data)
                    *whole, partial = (partial + data).split(b"\n")
                    yield from (line.decode("utf-8", "replace") for line in whole)
        except FileNotFoundError:
            pass
        if over:
            break
        pause(_PAUSE_S)
    if partial:
        yield partial.decode("utf-8", "replace")


class _Show:
    """Prints lines; on a terminal without what would move its cursor."""

    def __init__(self, number: int, *, timestamps: bool, as_json: bool) -> None:
        self._number, self._timestamps, self._as_json = max(number, 1), timestamps, as_json
        self._is_terminal = os.isatty(1)

    def begin(self, number: int) -> None:
        """Lines of this try follow."""
        self._number = number
        if not self._as_json:
            click.echo(f"--- try {number} ---", err=True)

    def __call__(self, line: str) -> None:
        at, _, text = line.partition("Z ")
        if self._as_json:
            click.echo(json.dumps({"try": self._number, "at": f"{at}Z", "text": text}))
            return
        text = line if self._timestamps else text
        click.echo(printable(text) if self._is_terminal else text)


def _find(app: "App", run_id: str, label: str) -> "Instance":
    run = app.orchestrator.find_run(run_id)
    match = _LABEL.fullmatch(label)
    assert match is not None
    rows = app.orchestrator.states(run.key)
    of_task = [row for row in rows if row.key.task_id == match["task"]]
    if not of_task:
        names = sorted({row.key.task_id for row in rows})
        raise AirdockError(f"the run has no task {match['task']!r}", where=run_id, hint=f"it has: {', '.join(names)}")
    index = int(match["index"]) if match["index"] else None
    if index is None and len(of_task) == 1:
        return of_task[0]
    found = next((row for row in of_task if row.key.map_index == index), None)
    if found is None:
        shown = ", ".join(row.key.label for row in of_task[:_NAMED])
        more = f" and {len(of_task) - _NAMED} more" if len(of_task) > _NAMED else ""
        raise ConfigError(f"expected one instance of {match['task']!r}, found {label!r}", hint=f"it has: {shown}{more}")
    return found


def _load(app: "App", key: "TaskKey") -> "Instance | None":
    return next((row for row in app.orchestrator.states(key.run) if row.key == key), None)


def _no_log(row: "Instance", number: int) -> AirdockError:
    if not row.try_number:
        hint = "airdock tasks states says what it waits for" if not is_finished(row.state) else ""
        return AirdockError(f"{row.key.label} didn't run: it is {row.state.value}", hint=hint)
    return AirdockError(f"{row.key.label} has no log of try {number}", hint=f"it had tries 1 to {row.try_number}")
