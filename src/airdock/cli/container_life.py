"""`airdock container rm` and whatever else changes the life of containers."""

import click

from airdock.cli.errors import render_error, tell, tell_before
from airdock.cli.names import complete_containers
from airdock.cli.session import Session, pass_session
from airdock.errors import AirdockError, ContainerError

__all__ = ["rm"]


@click.command()
@click.argument("names", metavar="CONTAINER...", nargs=-1, required=True, shell_complete=complete_containers)
@click.option("-f", "--force", is_flag=True, help="Kill it first if it runs.")
@pass_session
def rm(session: Session, /, names: tuple[str, ...], *, force: bool) -> None:
    """Remove containers that ended, with what they wrote.

    \b
    Examples:
      airdock container rm web
      airdock container rm -f $(airdock container ps -aq)
    """
    failed: AirdockError | None = None
    with session.app() as app:
        for name in names:
            try:
                app.engine.remove(name, force=force)
            except ContainerError as error:
                failed = tell_before(failed, error)
                continue
            click.echo(name)
    if failed:
        tell(render_error(failed), color=session.color)
        click.get_current_context().exit(1)  # as Docker's, whatever the reason
