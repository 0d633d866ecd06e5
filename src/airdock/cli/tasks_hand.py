"""`airdock tasks clear|mark`: let tasks of a run begin anew, or say how they ended."""

import json
from collections.abc import Sequence
from typing import Final

import click

from airdock.cli.confirm import confirm
from airdock.cli.names import complete_runs, complete_tasks
from airdock.cli.session import Session, pass_session
from airdock.cli.tables import Column, render_table
from airdock.model.states import TaskState

__all__ = ["clear", "mark"]

_COLUMNS: Final = (Column("RUN"), Column("TASK"))


@click.command()
@click.argument("run_id", metavar="RUN", shell_complete=complete_runs)
@click.argument("task_ids", metavar="[TASK|GROUP]...", nargs=-1, shell_complete=complete_tasks)
@click.option("-i", "--index", "indexes", metavar="N", type=int, multiple=True, help="Only this instance; repeatable.")
@click.option("--upstream", is_flag=True, help="And all that they waited for.")
@click.option("--downstream", is_flag=True, help="And all that waits for them.")
@click.option("--past", is_flag=True, help="And the same of the DAG's earlier runs.")
@click.option("--future", is_flag=True, help="And the same of the DAG's later runs.")
@click.option("--only-failed", is_flag=True, help="Only those that failed.")
@click.option("--only-running", is_flag=True, help="Only those that run, which are stopped.")
@click.option("--latest", is_flag=True, help="And go on with the DAG's newest version.")
@click.option("--dry-run", is_flag=True, help="Only say which would begin anew.")
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
@click.option("--json", "as_json", is_flag=True, help="A JSON array.")
@pass_session
def clear(
    session: Session,
    /,
    run_id: str,
    task_ids: Sequence[str],
    *,
    indexes: Sequence[int],
    upstream: bool,
    downstream: bool,
    past: bool,
    future: bool,
    only_failed: bool,
    only_running: bool,
    latest: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Let tasks of a run begin anew, all without any named, with the setups and teardowns that belong to them.

    Their tries are kept, and each may be tried as often again as the DAG says. A scheduler that serves the DAG works
    on them; airdock run FILE --resume RUN does it in the foreground. A run goes on with the version of its DAG that
    it began with, but for --latest: then it has the tasks of the version that was loaded last.

    \b
    Examples:
      airdock tasks clear manual__2026-01-31T02:00:00 load --downstream
      airdock tasks clear nightly/scheduled__2026-01-31T00:00:00+00:00 --only-failed --yes
    """
    with session.app() as app:
        hands, run = app.orchestrator.hands, app.orchestrator.find_run(run_id)
        given = {
            "map_indexes": indexes,
            "upstream": upstream,
            "downstream": downstream,
            "past": past,
            "future": future,
            "only_failed": only_failed,
            "only_running": only_running,
            "latest": latest,
        }
        found = hands.clear(run, task_ids, dry_run=True, **given)  # type: ignore[arg-type]
        names = [(each.run.run_id, key.label) for each in found for key in each.instances]
        if names and not dry_run:
            confirm([f"what {label} of {name} ended in" for name, label in names], force=yes)
        if (names or latest) and not dry_run:
            hands.clear(run, task_ids, **given)  # type: ignore[arg-type]
    if as_json:
        click.echo(json.dumps([{"run_id": name, "task": label} for name, label in names], indent=2))
    else:
        click.echo(render_table(_COLUMNS, [list(row) for row in names]))


@click.command()
@click.argument("run_id", metavar="RUN", shell_complete=complete_runs)
@click.argument("task_ids", metavar="TASK|GROUP...", nargs=-1, required=True, shell_complete=complete_tasks)
@click.argument("state", type=click.Choice(["success", "failed", "skipped"]))
@click.option("--json", "as_json", is_flag=True, help="A JSON array.")
@pass_session
def mark(session: Session, /, run_id: str, task_ids: Sequence[str], state: str, *, as_json: bool) -> None:
    """Say how tasks of a run ended; what runs of them is stopped, and the run goes on accordingly.

    \b
    Examples:
      airdock tasks mark manual__2026-01-31T02:00:00 load success
    """
    with session.app() as app:
        run = app.orchestrator.find_run(run_id)
        changed = app.orchestrator.hands.mark_tasks(run, task_ids, TaskState(state))
    told = [{"run_id": key.run_id, "task": key.label, "state": state} for key in changed]
    click.echo(json.dumps(told, indent=2) if as_json else "\n".join(key.label for key in changed))
