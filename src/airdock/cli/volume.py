"""`airdock volume create|ls|inspect|rm|prune`, in Docker's words."""

from typing import TYPE_CHECKING, Final

import click

from airdock.cli.confirm import confirm
from airdock.cli.errors import render_error, tell, tell_before
from airdock.cli.names import complete_volumes
from airdock.cli.session import Session, pass_session
from airdock.cli.template import render_documents, render_rows
from airdock.cli.units import render_size
from airdock.errors import AirdockError, VolumeError

if TYPE_CHECKING:
    from airdock.containers.volumes import Volume

__all__ = ["volume"]

_TITLES: Final = {
    "Driver": "DRIVER",
    "Name": "VOLUME NAME",
    "Scope": "SCOPE",
    "Mountpoint": "MOUNTPOINT",
    "Labels": "LABELS",
}
_TABLE: Final = "table {{.Driver}}\t{{.Name}}"
_FILTERS: Final = ("dangling", "driver", "label", "name")
_PRUNE_FILTERS: Final = ("all", "label")


@click.group()
def volume() -> None:
    """Keep files of containers when these are gone.

    A volume is made when a container first names it (-v NAME:/path), or here. Fresh ones get what the image has there.
    """


@volume.command()
@click.argument("name", required=False, default="")
@click.option("-d", "--driver", type=click.Choice(["local"]), default="local", help="Who keeps it.", show_default=True)
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="Something to find it by.")
@pass_session
def create(session: Session, /, name: str, *, driver: str, labels: tuple[str, ...]) -> None:
    """Make a volume, and print its name; one that is there stays as it is.

    \b
    Examples:
      airdock volume create data
      airdock volume create --label team=etl
    """
    pairs = dict(text.partition("=")[::2] for text in labels)
    with session.app() as app:
        click.echo(app.engine.volumes.create(name, labels=pairs).name)


@volume.command()
@click.option("-q", "--quiet", is_flag=True, help="Names only.")
@click.option("-f", "--filter", "filters", multiple=True, metavar="KEY=VALUE", help="dangling, driver, label or name.")
@click.option("--format", "template", metavar="TEMPLATE", help="json, or '{{.Name}}: {{.Mountpoint}}'.")
@pass_session
def ls(session: Session, /, *, quiet: bool, filters: tuple[str, ...], template: str | None) -> None:
    """List volumes by name.

    \b
    Fields for --format: Driver Name Scope Mountpoint Labels
    Examples:
      airdock volume ls
      airdock volume ls -f dangling=true -q
    """
    with session.app() as app:
        volumes = app.engine.volumes
        used = volumes.users()
        found = [one for one in volumes.list() if all(_passes(one, text, one.name in used) for text in filters)]
    rows = [_row(one) for one in found]
    text = "\n".join(row["Name"] for row in rows) if quiet else render_rows(rows, template or _TABLE, _TITLES)
    if text:
        click.echo(text)


@volume.command()
@click.argument("names", metavar="VOLUME...", nargs=-1, required=True, shell_complete=complete_volumes)
@click.option("-f", "--format", "template", metavar="TEMPLATE", help="json, or '{{.Mountpoint}}'.")
@pass_session
def inspect(session: Session, /, names: tuple[str, ...], *, template: str | None) -> None:
    """Say everything about volumes.

    \b
    Examples:
      airdock volume inspect data
      airdock volume inspect -f '{{.Mountpoint}}' data
    """
    with session.app() as app:
        documents = [_document(app.engine.volumes.find(name)) for name in names]
    click.echo(render_documents(documents, template))


@volume.command()
@click.argument("names", metavar="VOLUME...", nargs=-1, required=True, shell_complete=complete_volumes)
@click.option("-f", "--force", is_flag=True, help="One that isn't there is fine.")
@pass_session
def rm(session: Session, /, names: tuple[str, ...], *, force: bool) -> None:
    """Remove volumes that no container has.

    \b
    Examples:
      airdock volume rm data
      airdock volume rm $(airdock volume ls -q -f dangling=true)
    """
    failed: AirdockError | None = None
    with session.app() as app:
        for name in names:
            try:
                app.engine.volumes.remove(name, force=force)
            except VolumeError as error:
                failed = tell_before(failed, error)
                continue
            click.echo(name)
    if failed:
        tell(render_error(failed), color=session.color)
        click.get_current_context().exit(1)


@volume.command()
@click.option("-a", "--all", "every", is_flag=True, help="Also those with names.")
@click.option("--filter", "filters", multiple=True, metavar="KEY=VALUE", help="label=KEY[=VALUE], label!=…, all=true.")
@click.option("-f", "--force", is_flag=True, help="Don't ask.")
@pass_session
def prune(session: Session, /, *, every: bool, force: bool, filters: tuple[str, ...]) -> None:
    """Remove volumes without a name that no container has.

    \b
    Examples:
      airdock volume prune
      airdock volume prune -af
      airdock volume prune -af --filter label!=keep
    """
    from airdock.images.filters import parse_filters

    given = parse_filters(filters, _PRUNE_FILTERS)
    every = every or given.get("all", ["false"])[-1].lower() in ("true", "1")

    def passes(one: "Volume") -> bool:
        labels = (("label", True), ("label!", False))
        return all(_has_label(one, text) == wanted for key, wanted in labels for text in given.get(key, ()))

    what = "all volumes that no container has" if every else "volumes without a name that no container has"
    confirm([what], force=force)
    with session.app() as app:
        removed = app.engine.volumes.prune(every=every, passes=passes)
    if removed:
        click.echo("Deleted Volumes:\n" + "".join(f"{one.name}\n" for one, _ in removed))
    click.echo(f"Total reclaimed space: {render_size(sum(size for _, size in removed))}")


def _row(one: "Volume") -> dict[str, str]:
    return {
        "Driver": "local",
        "Name": one.name,
        "Scope": "local",
        "Mountpoint": one.path,
        "Labels": ",".join(f"{key}={value}" for key, value in sorted(_labels(one).items())),
    }


def _labels(one: "Volume") -> dict[str, str]:
    """Docker marks volumes without a name by a label too."""
    return {**one.labels, **({"com.docker.volume.anonymous": ""} if one.is_anonymous else {})}


def _document(one: "Volume") -> dict[str, object]:
    return {
        "CreatedAt": one.created,
        "Driver": "local",
        "Labels": _labels(one),
        "Mountpoint": one.path,
        "Name": one.name,
        "Options": dict(one.options) or None,
        "Scope": "local",
    }


def _passes(one: "Volume", text: str, is_used: bool) -> bool:
    key, equals, value = text.partition("=")
    if not equals or key not in _FILTERS:
        raise click.UsageError(f"expected a filter by one of {', '.join(_FILTERS)} as KEY=VALUE, found {text!r}.")
    if key == "dangling":
        return is_used != (value.lower() in ("true", "1"))
    if key == "label":
        return _has_label(one, value)
    return value in one.name if key == "name" else value == "local"


def _has_label(one: "Volume", text: str) -> bool:
    name, has_value, wanted = text.partition("=")
    return name in _labels(one) and (not has_value or _labels(one)[name] == wanted)
