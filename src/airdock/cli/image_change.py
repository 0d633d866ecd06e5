"""`airdock image tag|rm|prune`: what changes the names of images, and removes what nobody needs."""

import click

from airdock.cli.errors import tell_before
from airdock.cli.names import complete_images
from airdock.cli.session import Session, pass_session
from airdock.errors import AirdockError, ImageError

__all__ = ["prune", "rm", "tag"]


@click.command()
@click.argument("source", shell_complete=complete_images)
@click.argument("target")
@pass_session
def tag(session: Session, source: str, target: str) -> None:
    """Give the image SOURCE one more name, TARGET.

    \b
    Example:
      airdock image tag chart registry.example.com/team/chart:1.0
    """
    with session.app() as app:
        app.images.tag(target, app.engine.find(source).digest)


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...", shell_complete=complete_images)
@click.option(
    "-f",
    "--force",
    is_flag=True,
    help="Also an id that has several names, and an image that is in use: it only loses its names.",
)
@pass_session
def rm(session: Session, images: tuple[str, ...], *, force: bool) -> None:
    """Remove images: their names, and what no other image needs.

    \b
    Examples:
      airdock image rm chart:old
      airdock image rm -f 3f2a1b9c8d7e
    """
    failed: AirdockError | None = None
    with session.app() as app:
        for name in images:
            try:
                lines = app.images.remove(name, force=force)
            except ImageError as error:
                failed = tell_before(failed, error)
                continue
            click.echo("\n".join(lines))
    if failed:
        raise failed


@click.command()
@pass_session
def prune(session: Session) -> None:
    """Remove images without a name, and layers that no image needs.

    Images that lost their name to a newer one have none; so have host images from before an upgrade.
    """
    with session.app() as app:
        for line in app.images.prune():
            click.echo(line)
