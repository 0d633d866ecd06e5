"""`airdock container ps`, `inspect`, `port` and whatever else only looks."""

from datetime import UTC, datetime
from typing import Any

import click

from airdock.cli.container_rows import TABLE, TABLE_WITH_SIZE, TITLES, make_row
from airdock.cli.errors import render_error, tell, tell_before
from airdock.cli.names import complete_containers
from airdock.cli.session import Session, pass_session
from airdock.cli.template import render_documents, render_rows
from airdock.cli.units import render_size
from airdock.containers.known import EVERY_ADDRESS
from airdock.errors import AirdockError, ContainerError, UnknownContainerError

__all__ = ["inspect", "port", "ps"]


@click.command()
@click.option("-a", "--all", "every", is_flag=True, help="Also those that don't run.")
@click.option("-q", "--quiet", is_flag=True, help="Ids only.")
@click.option("-n", "--last", type=int, default=-1, metavar="N", help="The last N made, also those that don't run.")
@click.option("-l", "--latest", is_flag=True, help="The last one made.")
@click.option("-s", "--size", "sized", is_flag=True, help="How much they wrote.")
@click.option("--no-trunc", is_flag=True, help="Whole ids and commands.")
@click.option(
    "-f",
    "--filter",
    "filters",
    multiple=True,
    metavar="KEY=VALUE",
    help="Only some: id, name, status, exited, health, label, ancestor, network, volume, before, since.",
)
@click.option("--format", "template", metavar="TEMPLATE", help="json, '{{.Names}}', or 'table {{.ID}}\\t{{.Status}}'.")
@pass_session
def ps(
    session: Session,
    /,
    *,
    every: bool,
    quiet: bool,
    last: int,
    latest: bool,
    sized: bool,
    no_trunc: bool,
    filters: tuple[str, ...],
    template: str | None,
) -> None:
    """List containers, the newest first: the running ones, or all.

    \b
    Fields for --format: ID Image Command CreatedAt RunningFor State Status Ports Names Size Labels Mounts
    LocalVolumes Networks
    Examples:
      airdock container ps -a
      airdock container ps --filter status=exited --filter label=team=data
      airdock container ps --format '{{.Names}}: {{.Status}}'
    """
    from airdock.containers.choose import FILTERS, choose, parse_container_filters

    wanted = parse_container_filters(filters, FILTERS)
    last = 1 if latest else last
    now = datetime.now(UTC)
    with session.app() as app:
        containers = app.engine.containers
        found = list(choose(containers.list(), wanted, find=containers.find, now=now))
        if last >= 0:
            found = found[:last]
        elif not (every or "status" in wanted or "exited" in wanted):
            found = [known for known in found if known.is_running]
        sizes = {known.id: render_size(containers.size(known.id)) for known in found} if sized else {}
    rows = [make_row(known, now, whole=no_trunc, size=sizes.get(known.id, "")) for known in found]
    if quiet:
        text = "\n".join(row["ID"] for row in rows)
    else:
        text = render_rows(rows, template or (TABLE_WITH_SIZE if sized else TABLE), TITLES)
    if text:
        click.echo(text)


@click.command()
@click.argument("names", metavar="CONTAINER...", nargs=-1, required=True, shell_complete=complete_containers)
@click.option("-f", "--format", "template", metavar="TEMPLATE", help="json, or a template such as '{{.State.Status}}'.")
@click.option("-s", "--size", "sized", is_flag=True, help="How much they wrote.")
@pass_session
def inspect(session: Session, /, names: tuple[str, ...], *, template: str | None, sized: bool) -> None:
    """Print all there is to know of containers, in the shape of Docker's API.

    \b
    Examples:
      airdock container inspect web
      airdock container inspect -f '{{.State.ExitCode}}' job
    """
    from airdock.containers.inspect import inspect_container

    failed: AirdockError | None = None
    documents: list[dict[str, Any]] = []
    with session.app() as app:
        containers = app.engine.containers
        for name in names:
            try:
                known = containers.find(name)
            except UnknownContainerError as error:
                failed = tell_before(failed, error)
                continue
            containers.tidy([known])
            size = {"SizeRw": containers.size(known.id)} if sized else {}
            documents.append({**inspect_container(known), **size})
    text = render_documents(documents, template)
    if text:
        click.echo(text)
    if failed:
        tell(render_error(failed), color=session.color)
        click.get_current_context().exit(1)


@click.command()
@click.argument("name", metavar="CONTAINER", shell_complete=complete_containers)
@click.argument("wanted", metavar="[PORT[/PROTOCOL]]", required=False)
@pass_session
def port(session: Session, /, name: str, *, wanted: str | None) -> None:
    """Say where a running container's ports are reached.

    \b
    Examples:
      airdock container port web
      airdock container port web 80/tcp
    """
    with session.app() as app:
        known = app.engine.containers.find(name)
    network = (known.life.network if known.life and known.is_running else None) or {}
    reached = {
        f"{entry['container_port']}/{entry['protocol']}": f"{entry['host_ip'] or EVERY_ADDRESS}:{entry['host_port']}"
        for entry in network.get("published", ())
    }
    if wanted is None:
        for inside, outside in reached.items():
            click.echo(f"{inside} -> {outside}")
        return
    asked = wanted if "/" in wanted else f"{wanted}/tcp"
    if asked not in reached:
        raise ContainerError(f"expected a published port of {known.name}, found {', '.join(reached) or 'none'}")
    click.echo(reached[asked])
