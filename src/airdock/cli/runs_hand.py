"""`airdock runs cancel|mark`: a run ends by a person's word."""

import json

import click

from airdock.cli.names import complete_runs
from airdock.cli.session import Session, pass_session
from airdock.model.states import RUN_FINISHED, RunState

__all__ = ["cancel", "mark"]


@click.command()
@click.argument("run_id", metavar="RUN", shell_complete=complete_runs)
@click.option("--json", "as_json", is_flag=True, help="The task instances that were ended, as a JSON array.")
@pass_session
def cancel(session: Session, /, run_id: str, *, as_json: bool) -> None:
    """End a run as failed: what runs is stopped, what waits is skipped.

    A run that has ended stays as it is.

    \b
    Examples:
      airdock runs cancel manual__2026-01-31T02:00:00
    """
    with session.app() as app:
        run = app.orchestrator.find_run(run_id)
        ended = [] if run.state in RUN_FINISHED else app.orchestrator.hands.mark_run(run, RunState.FAILED)
    if as_json:
        click.echo(json.dumps([key.label for key in ended], indent=2))
    else:
        click.echo(run.key.run_id if run.state not in RUN_FINISHED else f"{run.key.run_id} has ended: {run.state}")


@click.command()
@click.argument("run_id", metavar="RUN", shell_complete=complete_runs)
@click.argument("state", type=click.Choice(["success", "failed"]))
@click.option("--json", "as_json", is_flag=True, help="The task instances that were changed, as a JSON array.")
@pass_session
def mark(session: Session, /, run_id: str, state: str, *, as_json: bool) -> None:
    """Say that a run succeeded, with all its tasks, or failed; what runs of it is stopped.

    \b
    Examples:
      airdock runs mark manual__2026-01-31T02:00:00 success
    """
    with session.app() as app:
        run = app.orchestrator.find_run(run_id)
        changed = app.orchestrator.hands.mark_run(run, RunState(state))
    click.echo(json.dumps([key.label for key in changed], indent=2) if as_json else f"{run.key.run_id}: {state}")
