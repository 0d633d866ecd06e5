"""`airdock runs cancel|mark|resume`: a run ends by a person's word, or goes on."""

import json

import click

from airdock.cli.names import complete_runs
from airdock.cli.session import Session, pass_session
from airdock.model.states import RUN_FINISHED, RunState

__all__ = ["cancel", "mark", "resume"]


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
@click.option("--plain", is_flag=True, help="Lines, also on a terminal.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per event, and a last one that sums up.")
@pass_session
def resume(session: Session, /, run_id: str, *, plain: bool, as_json: bool) -> None:
    """Finish a run that was stopped, killed or cleared, in the foreground; what succeeded stays.

    A scheduler that serves its DAG finishes it by itself.

    \b
    Examples:
      airdock runs resume manual__2026-01-31T02:00:00
    """
    from airdock.cli.run import run as run_file

    with session.app() as app:
        found = app.orchestrator.find_run(run_id)
        fileloc = app.orchestrator.dag_of(found.key).fileloc
    target = f"{fileloc}:{found.key.dag_id}"
    name = f"{found.key.dag_id}/{found.key.run_id}"
    click.get_current_context().invoke(run_file, target=target, resume=name, plain=plain, as_json=as_json)


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
