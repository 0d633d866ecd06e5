"""`airdock container exec`: one more command in a running container."""

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
@pass_session
def exec_(
    session: Session, /, name: str, argv: tuple[str, ...], *, interactive: bool, tty: bool, **options: Any
) -> None:
    """Run one more command in a running container.

    \b
    Examples:
      airdock container exec -it web sh
      airdock container exec -u nobody web id
    """
    from airdock.engine import RunRequest  # help and completion go without it

    check_terminal(interactive=interactive, tty=tty)
    env = terminal_environment(options.pop("env_files"), options.pop("env"), terminal=tty)
    request = RunRequest(argv=argv, env=env, terminal=tty, **options)
    with session.app() as app, Signals() as signals:
        with open_input(interactive) as stdin:
            running = app.engine.exec(name, request, stdin=stdin, stdout=1, stderr=2)
        stand_by(running, signals, interactive=interactive)
        code = running.wait()
    click.get_current_context().exit(code)
