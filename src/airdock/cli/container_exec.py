"""`airdock container exec`: one more command in a running container."""

import os
from typing import Any

import click

from airdock.cli.attend import Signals
from airdock.cli.container_flags import (
    PASS_ON,
    check_terminal,
    open_input,
    process_options,
    stand_by,
    terminal_environment,
)
from airdock.cli.names import complete_containers
from airdock.cli.session import Session, pass_session

__all__ = ["exec_"]


@click.command("exec", context_settings=PASS_ON)
@click.argument("name", metavar="CONTAINER", shell_complete=complete_containers)
@click.argument("argv", metavar="COMMAND [ARG]...", nargs=-1, required=True, type=click.UNPROCESSED)
@process_options
@click.option("-d", "--detach", is_flag=True, help="Come back at once; it goes on.")
@click.option("--privileged", is_flag=True, help="Give it every capability of the container's namespaces.")
@pass_session
def exec_(
    session: Session,
    /,
    name: str,
    argv: tuple[str, ...],
    *,
    interactive: bool,
    tty: bool,
    detach: bool,
    privileged: bool,
    **options: Any,
) -> None:
    """Run one more command in a running container.

    \b
    Examples:
      airdock container exec -it web sh
      airdock container exec -u nobody web id
      airdock container exec -d web sh -c 'sleep 60; touch /tmp/later'
    """
    from airdock.containers.base import RunRequest  # help and completion go without it

    if not detach:
        check_terminal(interactive=interactive, tty=tty)
    env = terminal_environment(options.pop("env_files"), options.pop("env"), terminal=tty)
    request = RunRequest(argv=argv, env=env, terminal=tty, **options)
    with session.app() as app, Signals() as signals:
        if detach:
            with open_input(False) as stdin, open(os.devnull, "wb") as nothing:
                out = nothing.fileno()
                app.engine.exec(
                    name, request, stdin=stdin, stdout=out, stderr=out, detached=True, privileged=privileged
                )
            return
        with open_input(interactive) as stdin:
            running = app.engine.exec(name, request, stdin=stdin, stdout=1, stderr=2, privileged=privileged)
        stand_by(running, signals, interactive=interactive)
        code = running.wait()
    click.get_current_context().exit(code)
