"""`airdock runs`: what ran, when, and how it ended; and what runs now."""

import json
import threading
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from airdock.cli.errors import tell
from airdock.cli.follow import follow, make_board
from airdock.cli.names import complete_dags, complete_runs
from airdock.cli.runs_hand import cancel, mark, resume
from airdock.cli.runs_words import is_stopped, run_dict, run_state, took_s
from airdock.cli.session import Session, pass_session
from airdock.cli.tables import Column, render_table
from airdock.cli.units import render_age, render_seconds
from airdock.cli.words import Tail
from airdock.model.states import RunState

if TYPE_CHECKING:
    from airdock.app import App
    from airdock.cli.board import Board
    from airdock.cli.summary import Summary
    from airdock.store.records import Run

__all__ = ["runs"]

_COLUMNS = (Column("RUN"), Column("DAG"), Column("STATE"), Column("CREATED"), Column("TOOK", right=True))


@click.group()
def runs() -> None:
    """Look at runs, and end them."""


runs.add_command(cancel)
runs.add_command(mark)
runs.add_command(resume)


@runs.command("list")
@click.option("--dag", "dag_id", metavar="DAG_ID", help="Only runs of this DAG.", shell_complete=complete_dags)
@click.option("--state", type=click.Choice([each.value for each in RunState]), help="Only runs in this state.")
@click.option(
    "-n", "--limit", metavar="N", type=click.IntRange(min=1), default=100, show_default=True, help="How many."
)
@click.option("--json", "as_json", is_flag=True, help="A JSON array.")
@pass_session
def list_runs(session: Session, *, dag_id: str | None, state: str | None, limit: int, as_json: bool) -> None:
    """List runs, the newest first.

    One that is "stopped" was interrupted or killed; airdock run FILE --resume RUN finishes it.

    \b
    Examples:
      airdock runs list
      airdock runs list --dag weather --state failed --json
    """
    with session.app() as app:
        found = app.orchestrator.runs(dag_id=dag_id, state=RunState(state) if state else None, limit=limit)
    if as_json:
        click.echo(json.dumps([run_dict(row) for row in found], indent=2))
    else:
        now = datetime.now(UTC)
        click.echo(render_table(_COLUMNS, [_cells(row, now) for row in found]))
        if not found:
            tell("there is no such run\n  do: airdock run FILE, or airdock dags trigger DAG_ID")


@runs.command()
@click.argument("run_id", metavar="RUN", shell_complete=complete_runs)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@pass_session
def show(session: Session, /, run_id: str, *, as_json: bool) -> None:
    """Say how a run stands, or how it ended: its tasks with times and memory, failures, logs.

    RUN is a run id, or DAG_ID/RUN_ID where several DAGs have a run of that id.

    \b
    Examples:
      airdock runs show manual__2026-01-31T02:00:00
      airdock runs show weather/manual__2026-01-31T02:00:00 --json | jq .tasks
    """
    with session.app() as app:
        run = app.orchestrator.find_run(run_id)
        summary = _summary(app, run, make_board(app.orchestrator, run.key))
        due = [
            {"name": each.alert["name"], "due": each.due.isoformat()} for each in app.orchestrator.deadlines(run.key)
        ]
    if as_json:
        click.echo(json.dumps({**summary.to_dict(), **run_dict(run), "deadlines": due}, indent=2))
    else:
        click.echo(summary.render())


@runs.command()
@click.argument("run_id", metavar="RUN", shell_complete=complete_runs)
@click.option("--every", "every_s", metavar="SECONDS", type=click.FloatRange(min=0.05), default=0.5, show_default=True)
@click.option("--plain", is_flag=True, help="Lines, also on a terminal.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per event, and a last one that sums up.")
@pass_session
def watch(session: Session, /, run_id: str, *, every_s: float, plain: bool, as_json: bool) -> None:
    """Follow a run that another process works on, live, until it ends.

    Ctrl-C stops the watching, not the run. The exit code is 0 only when the run succeeded.

    \b
    Examples:
      airdock runs watch manual__2026-01-31T02:00:00
      airdock runs watch nightly/scheduled__2026-01-31T00:00:00 --json | jq -c 'select(.event == "task_changed")'
    """
    from airdock.cli.feed import Feed
    from airdock.cli.views import make_view
    from airdock.clock import SystemClock

    context = click.get_current_context()
    with session.app() as app:
        key = app.orchestrator.find_run(run_id).key
        tail = Tail(folder=app.config.home / "logs", lines=app.config.logging.tail_lines)
        view = make_view(as_json=as_json, plain=plain, color=context.color, tail=tail)
        feed = Feed(view, clock=SystemClock())
        try:
            with closing(follow(app.orchestrator, key, pause=threading.Event().wait, every_s=every_s)) as events:
                for event in events:
                    feed(event)
        except BaseException:
            feed.close()
            raise
        run = app.orchestrator.find_run(f"{key.dag_id}/{key.run_id}")
        feed.close(lambda board: _summary(app, run, board))
    context.exit(0 if run.state is RunState.SUCCESS else 1)


def _summary(app: "App", run: "Run", board: "Board") -> "Summary":
    from airdock.cli.summary import Summary

    home = app.config.home
    again = f"airdock run FILE --resume {run.key.run_id}" if is_stopped(run) else ""
    took = took_s(run)
    since = (datetime.now(UTC) - run.started).total_seconds() if run.started else 0.0
    return Summary(
        board=board,
        dag_id=run.key.dag_id,
        run_id=run.key.run_id,
        state=run.state,
        seconds=since if took is None else took,
        isolation=app.config.isolation.mode,
        tail=Tail(folder=home / "logs", lines=app.config.logging.tail_lines),
        again=again,
    )


def _cells(row: "Run", now: datetime) -> list[str]:
    took = took_s(row)
    return [
        row.key.run_id,
        row.key.dag_id,
        run_state(row),
        f"{render_age(now - row.created)} ago",
        render_seconds(took) if took is not None else "",
    ]
