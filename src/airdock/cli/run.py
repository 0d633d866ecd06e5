"""`airdock run`: one DAG file, run in the foreground, shown while it runs and summed up at its end."""

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from airdock.cli.board import Board
from airdock.cli.errors import tell
from airdock.cli.feed import Feed
from airdock.cli.json_lines import JsonView
from airdock.cli.names import complete_runs
from airdock.cli.session import Session, pass_session
from airdock.cli.summary import Summary
from airdock.cli.views import make_view
from airdock.cli.words import Tail
from airdock.clock import SystemClock
from airdock.errors import AirdockError
from airdock.model.progress import Note
from airdock.model.states import RUN_FINISHED, RunState

if TYPE_CHECKING:
    from datetime import datetime

    from airdock.app import App, RunSummary

__all__ = ["parse_conf", "parse_target", "run"]


@click.command(short_help="Run a DAG file, every task in its own container.")
@click.argument("target", metavar="FILE[:DAG_ID]", type=click.Path(path_type=str))
@click.option("--conf", metavar="JSON", help="What the run is given, as a JSON object: dag_run.conf.")
@click.option("--executor", metavar="local|sequential", help="What runs tasks. [default: the setting core.executor]")
@click.option("--parallelism", metavar="N", help="Tasks that run at one time.")
@click.option(
    "--resume",
    metavar="RUN",
    shell_complete=complete_runs,
    help="Finish this run, which was stopped or killed; what succeeded stays.",
)
@click.option(
    "--isolation",
    metavar="container|process",
    help="'process' runs tasks as plain processes where containers can't be had: with no walls between them.",
)
@click.option("--plain", is_flag=True, help="Lines, also on a terminal.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per event, and a last one that sums up.")
@pass_session
def run(
    session: Session,
    /,
    target: str,
    *,
    conf: str | None,
    resume: str | None,
    plain: bool,
    as_json: bool,
    logical_date: "datetime | None" = None,
    **flags: str | None,
) -> None:
    """Run the DAG in FILE once: build what its tasks need, run each in its own container, show it all live.

    FILE is a Python file, or a folder with one DAG file in it; DAG_ID chooses where a file has several. The exit
    code is 0 only when the run succeeded. Stopped with Ctrl-C, or by a crash, a run can be finished with --resume; a
    run that came to its end, also a failed one, stays as it is.

    \b
    Examples:
      airdock run examples/library_conflict
      airdock run etl.py:nightly --conf '{"day": "2026-01-31"}' --parallelism 4
      airdock run etl.py --resume manual__2026-01-31T02:00:00
      airdock run etl.py --json | jq 'select(.event == "summary") | .tasks[] | {task_id, user_s, overhead_s}'
    """
    given = parse_conf(conf)
    path, dag_id = parse_target(target)
    context = click.get_current_context()
    settings = {
        "core.executor": flags["executor"],
        "core.parallelism": flags["parallelism"],
        "isolation.mode": flags["isolation"],
    }
    with session.app(settings) as app:
        app.open()
        tail = Tail(folder=app.config.home / "logs", lines=app.config.logging.tail_lines)
        view = make_view(as_json=as_json, plain=plain, color=context.color, tail=tail)
        feed = Feed(view, clock=SystemClock(), names=_names(app))
        if resume is not None and (state := app.orchestrator.find_run(resume).state) in RUN_FINISHED:
            feed(Note(line=f"this run ended before, {state.value}: nothing is left to resume"))
        try:
            ended = app.run_file(path, dag_id=dag_id, conf=given, resume=resume, logical_date=logical_date, report=feed)
        except (KeyboardInterrupt, SystemExit):
            feed.close()
            _tell_stopped(feed.board, target)
            raise
        except AirdockError as error:
            feed.close()
            if isinstance(view, JsonView):
                view.error(error)
            raise
        except BaseException:
            feed.close()
            raise
        feed.board.labels |= {**_names(app), **feed.board.labels}
        feed.close(lambda board: _summary(board, ended, feed.elapsed_s, tail, target))
    context.exit(0 if ended.state is RunState.SUCCESS else 1)


def parse_target(text: str) -> tuple[Path, str | None]:
    """The file or folder, and the DAG's id where one is given. A path that is there may have colons."""
    if Path(text).exists():
        return Path(text), None
    path, colon, dag_id = text.rpartition(":")
    return (Path(path), dag_id) if colon and dag_id and "/" not in dag_id else (Path(text), None)


def parse_conf(text: str | None) -> dict[str, Any]:
    """What `--conf` gives; BadParameter where it isn't a JSON object."""
    if text is None:
        return {}
    try:
        value = json.loads(text)
    except ValueError as error:
        raise click.BadParameter(
            f"expected a JSON object, got text that isn't JSON: {error}.", param_hint="--conf"
        ) from error
    if not isinstance(value, dict):
        raise click.BadParameter(f"expected a JSON object, got {type(value).__name__} {text}.", param_hint="--conf")
    return value


def _names(app: "App") -> dict[str, str]:
    """What images are called, by digest: those that no build of this run told of, such as the host's."""
    rows = app.images.list() if app.is_isolated else ()
    return {str(row.digest): row.repository + (f":{row.tag}" if row.tag != "latest" else "") for row in rows if row.tag}


def _again(target: str, run_id: str) -> str:
    return f"airdock run {shlex.quote(target)} --resume {shlex.quote(run_id)}"


def _tell_stopped(board: Board, target: str) -> None:
    if board.run is None:
        tell("stopped before the run began")
    else:
        tell(f"stopped: run {board.run.run_id}\n  finish it with: {_again(target, board.run.run_id)}")


def _summary(board: Board, ended: "RunSummary", seconds: float, tail: Tail, target: str) -> Summary:
    return Summary(
        board=board,
        dag_id=ended.key.dag_id,
        run_id=ended.key.run_id,
        state=ended.state,
        seconds=seconds,
        isolation=ended.isolation,
        workspace=ended.workspace,
        tail=tail,
        again=_again(target, ended.key.run_id),
        last=ended.last,
    )
