"""`airdock scheduler` and `airdock up`: watch the DAG folder and run what is due, until told to stop."""

import json
import signal
from types import FrameType
from typing import Any

import click

from airdock.cli.errors import tell
from airdock.cli.session import Session, pass_session
from airdock.model.progress import Note, Progress, RunChanged, TaskChanged
from airdock.model.states import FINISHED

__all__ = ["scheduler", "up"]

_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")


@click.command(short_help="Watch the DAG folder, and run what is due.")
@_JSON
@pass_session
def scheduler(session: Session, /, *, as_json: bool) -> None:
    """Watch the folder `dags` of the home, load what changes there, and run what its schedules ask for.

    Each file is loaded, and each task runs, in a container of its own. Ctrl-C, or SIGTERM, stops the tasks that run;
    whoever starts next goes on with their runs. Several schedulers may share one database.

    \b
    Examples:
      airdock scheduler
      airdock scheduler --json | jq 'select(.event == "run")'
    """
    _serve(session, as_json=as_json)


@click.command(short_help="Start everything there is, in one process tree.")
@_JSON
@pass_session
def up(session: Session, /, *, as_json: bool) -> None:
    """Start the scheduler, and with it whatever else serves DAGs, and stay until stopped.

    \b
    Examples:
      airdock up
      airdock --home /srv/airdock up
    """
    _serve(session, as_json=as_json)


def _serve(session: Session, *, as_json: bool) -> None:
    with session.app() as app:
        app.open()
        server = app.server

        def stop(_number: int, _frame: FrameType | None) -> None:
            server.stop()

        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        tell(f"serving {app.config.home / 'dags'}; Ctrl-C stops")
        try:
            app.serve(report=lambda progress: _say(progress, as_json=as_json))
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _say(progress: Progress, *, as_json: bool) -> None:
    row = _row(progress)
    if row is not None:
        click.echo(
            json.dumps(row) if as_json else " ".join(str(value) for name, value in row.items() if name != "event")
        )


def _row(progress: Progress) -> dict[str, Any] | None:
    """What is said of it; runs and ends of tasks, and what loading says."""
    match progress:
        case Note(line=line):
            return {"event": "note", "line": line}
        case RunChanged(dag_id=dag_id, run_id=run_id, state=state, at=at):
            return {"event": "run", "at": at.isoformat(timespec="seconds"), "run": f"{dag_id}/{run_id}", "state": state}
        case TaskChanged(key=key, state=state, at=at) if state in FINISHED:
            run = f"{key.dag_id}/{key.run_id}"
            return {
                "event": "task",
                "at": at.isoformat(timespec="seconds"),
                "run": run,
                "task": key.label,
                "state": state,
            }
        case _:
            return None
