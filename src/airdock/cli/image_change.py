"""`airdock image tag|rm|prune`: what changes the names of images, and removes what nobody needs."""

from datetime import UTC, datetime

import click

from airdock.cli.confirm import confirm
from airdock.cli.errors import tell_before
from airdock.cli.names import complete_images
from airdock.cli.session import Session, pass_session
from airdock.cli.units import render_size
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
    from airdock.engine import HOST  # help and completion go without it

    with session.app() as app:
        if source.partition(":")[0] == HOST:
            app.engine.find(source)  # it's made when it's asked for
        app.images.tag(target, app.images.entry(source).digest)


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...", shell_complete=complete_images)
@click.option(
    "-f",
    "--force",
    is_flag=True,
    help="Also an id that has several names, and an image that is in use: it only loses its names.",
)
@click.option("--no-prune", is_flag=True, help="As Docker's; there are no images in between to keep.")
@pass_session
def rm(session: Session, images: tuple[str, ...], *, force: bool, no_prune: bool) -> None:
    """Remove images by name, id or digest: their names, and what no other image needs.

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
@click.option("-a", "--all", "unused", is_flag=True, help="All that no container stands on, also those with names.")
@click.option("--filter", "filters", multiple=True, metavar="KEY=VALUE", help="label=KEY[=VALUE], label!=…, until=AGE.")
@click.option("-f", "--force", is_flag=True, help="Ask nothing.")
@pass_session
def prune(session: Session, /, *, unused: bool, filters: tuple[str, ...], force: bool) -> None:
    """Remove images without a name, and layers that no image and no cached step needs.

    Images that lost their name to a newer one have none; so have host images from before an upgrade.

    \b
    Examples:
      airdock image prune
      airdock image prune -a -f --filter until=240h
    """
    from airdock.images.filters import PRUNE_FILTERS, make_filter, parse_filters

    with session.app() as app:
        passes = make_filter(app.images, parse_filters(filters, PRUNE_FILTERS), now=datetime.now(UTC))
        confirm(["all images that no container stands on" if unused else "all images without a name"], force=force)
        pruned = app.reclaim.prune_images(unused=unused, passes=passes)
    if pruned.lines():
        click.echo("\n".join(["Deleted Images:", *pruned.lines(), ""]))
    click.echo(f"Total reclaimed space: {render_size(pruned.freed)}")
