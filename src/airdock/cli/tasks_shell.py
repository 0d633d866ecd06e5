"""`airdock tasks shell`: a shell where a task runs."""

import os
import sys
from collections.abc import Sequence

import click

from airdock.cli.dag_target import find_dag
from airdock.cli.names import complete_dags
from airdock.cli.session import Session, pass_session
from airdock.errors import DagError

__all__ = ["shell"]


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("target", metavar="FILE[:DAG_ID]|DAG_ID", shell_complete=complete_dags)
@click.argument("task_id", metavar="TASK")
@click.argument("command", metavar="[COMMAND]...", nargs=-1, type=click.UNPROCESSED)
@pass_session
def shell(session: Session, /, target: str, task_id: str, command: Sequence[str]) -> None:
    """Open a shell in a container as a task's: its image, made where need be, and its limits.

    Nothing of the task is run. What is written there is gone afterwards.

    \b
    Examples:
      airdock tasks shell etl.py train
      airdock tasks shell nightly load python -c 'import pandas; print(pandas.__version__)'
    """
    with session.app() as app:
        dag = find_dag(app, target)
        try:
            task = dag.task(task_id)
        except KeyError:
            names = ", ".join(each.task_id for each in dag.tasks)
            raise DagError(f"DAG {dag.dag_id!r} has no task {task_id!r}", hint=f"it has: {names}") from None
        app.open()
        digest = app.environments.prepare(task.environment, where=f"task {task_id}").digest
        home = str(app.config.home)
    flags = ["--rm", "-i", *(["-t"] if sys.stdin.isatty() and sys.stdout.isatty() else [])]
    if task.resources.memory_bytes:
        flags += ["--memory", str(task.resources.memory_bytes)]
    for name, value in task.env.items():
        flags += ["-e", f"{name}={value}"]
    words = list(command) or ["/bin/sh"]
    argv = [sys.executable, "-m", "airdock", "--home", home, "container", "run", *flags, str(digest), *words]
    sys.stdout.flush()
    os.execv(sys.executable, argv)  # noqa: S606 - our own program, with arguments of our own
