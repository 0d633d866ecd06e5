"""`airdock system df|prune|info`: what the disk holds, getting it back, and what there is."""

import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

from airdock import __version__
from airdock.cli.confirm import confirm
from airdock.cli.session import Session, pass_session
from airdock.cli.template import render_documents, render_rows
from airdock.cli.units import render_age, render_short, render_size

if TYPE_CHECKING:
    from airdock.app import App
    from airdock.containers.known import Known
    from airdock.reclaim import UsageRow

__all__ = ["system"]

_TITLES: Final = {
    "Type": "TYPE",
    "TotalCount": "TOTAL",
    "Active": "ACTIVE",
    "Size": "SIZE",
    "Reclaimable": "RECLAIMABLE",
}
_TABLE: Final = "table {{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}"
_IMAGE_TITLES: Final = {
    "Repository": "REPOSITORY",
    "Tag": "TAG",
    "ID": "IMAGE ID",
    "CreatedSince": "CREATED",
    "Size": "SIZE",
    "SharedSize": "SHARED SIZE",
    "UniqueSize": "UNIQUE SIZE",
    "Containers": "CONTAINERS",
}
_CONTAINER_TITLES: Final = {
    "ID": "CONTAINER ID",
    "Image": "IMAGE",
    "Size": "SIZE",
    "Status": "STATUS",
    "Names": "NAMES",
}
_VOLUME_TITLES: Final = {"Name": "VOLUME NAME", "Links": "LINKS", "Size": "SIZE"}
_CACHE_TITLES: Final = {
    "ID": "CACHE ID",
    "CacheType": "CACHE TYPE",
    "Size": "SIZE",
    "LastUsedSince": "LAST USED",
    "InUse": "IN USE",
}


@click.group()
def system() -> None:
    """See what takes room on the disk, and get it back."""


@system.command()
@click.option("-v", "--verbose", is_flag=True, help="Every image, container and cached step.")
@click.option("--format", "template", metavar="TEMPLATE", help="json, or '{{.Type}} {{.Size}}'.")
@pass_session
def df(session: Session, /, *, verbose: bool, template: str | None) -> None:
    """Say how much of the disk images, containers, volumes and the build cache take, and how much could be had back.

    An image is in use while a container stands on it; what came of pulls that broke off counts with images. Cached
    steps count with what no image has. Sizes of unpacked layers are those of their archives.

    \b
    Fields for --format: Type TotalCount Active Size Reclaimable
    Examples:
      airdock system df
      airdock system df -v
      airdock system df --format json
    """
    with session.app() as app:
        if verbose:
            text = _render_verbose(app, template)
        else:
            rows = [_usage_row(row) for row in app.reclaim.usage()]
            text = render_rows(rows, _TABLE if template in (None, "table") else str(template), _TITLES)
    click.echo(text)


@system.command()
@click.option("-a", "--all", "unused", is_flag=True, help="Also images with names that no container stands on.")
@click.option("--volumes", is_flag=True, help="Also volumes without a name that no container has.")
@click.option("-f", "--force", is_flag=True, help="Ask nothing.")
@click.option("--filter", "filters", multiple=True, metavar="KEY=VALUE", help="label=… and until=AGE.")
@pass_session
def prune(session: Session, /, *, unused: bool, volumes: bool, force: bool, filters: tuple[str, ...]) -> None:
    """Remove what nobody uses: containers that don't run, networks, images without a name, cached build steps, and
    what came of pulls that broke off.

    Environments that tasks ran in, and packages downloaded for them, go when nobody used them for the days that
    the setting environments.keep_days says. What a build or a container at work needs stays.

    \b
    Examples:
      airdock system prune
      airdock system prune -a --volumes -f
      airdock system prune -a -f --filter until=240h
    """
    from airdock.images.filters import PRUNE_FILTERS, make_filter, parse_filters, parse_until

    with session.app() as app:
        given, now = parse_filters(filters, PRUNE_FILTERS), datetime.now(UTC)
        passes = make_filter(app.images, given, now=now)
        until = parse_until(given["until"][-1], now) if "until" in given else None
        days = app.config.environments.keep_days
        images = "all images that no container stands on" if unused else "all images without a name"
        wanted = [
            "all containers that don't run",
            "all networks that no container is on",
            images,
            "all cached build steps that no image has",
        ]
        confirm([*wanted, f"environments and downloads unused for {days} days"], force=force)
        gone, freed = app.reclaim.prune_containers(_containers(given, until))
        lines = ["Deleted Containers:", *gone, ""] if gone else []
        networks = [] if filters else app.networks.prune()
        lines += ["Deleted Networks:", *(one.name for one in networks), ""] if networks else []
        emptied = app.engine.volumes.prune() if volumes else []
        lines += ["Deleted Volumes:", *(one.name for one, _ in emptied), ""] if emptied else []
        freed += sum(size for _, size in emptied)
        pruned = app.reclaim.prune_environments() + app.reclaim.prune_images(unused=unused, passes=passes)
        freed += pruned.freed + app.reclaim.prune_cache(until=until) + app.reclaim.prune_downloads(until=until)
    if pruned.lines():
        lines += ["Deleted Images:", *pruned.lines(), ""]
    click.echo("\n".join([*lines, f"Total reclaimed space: {render_size(freed)}"]))


@system.command()
@click.option("-f", "--format", "template", metavar="TEMPLATE", help="json, or '{{.Driver}}'.")
@pass_session
def info(session: Session, /, *, template: str | None) -> None:
    """Say what this Airdock is, what it stands on, and what it holds.

    What the machine can and can't do is told by: airdock doctor

    \b
    Examples:
      airdock system info
      airdock system info --format '{{.ImageStore}}'
    """
    with session.app() as app:
        document = _info(app)
    if template is not None:
        click.echo(render_documents([document], template))
        return
    width = max(map(len, document)) + 1
    for name, value in document.items():
        click.echo(f"{name + ':':{width}} {value if isinstance(value, str | int) else json.dumps(value)}")


def _containers(filters: Mapping[str, Sequence[str]], until: datetime | None) -> Callable[["Known"], bool]:
    """Which containers the filters mean: by labels, and by when they were made."""

    def passes(known: "Known") -> bool:
        labels = known.record.labels if known.record else {}
        wanted = all(_has(labels, text) for text in filters.get("label", ()))
        unwanted = any(_has(labels, text) for text in filters.get("label!", ()))
        made = datetime.fromisoformat(known.state.created)
        return wanted and not unwanted and (until is None or made < until)

    return passes


def _has(labels: Mapping[str, str], text: str) -> bool:
    key, equals, value = text.partition("=")
    return key in labels and (not equals or labels[key] == value)


def _info(app: "App") -> dict[str, Any]:
    statuses = [known.status for known in app.engine.containers.list()]
    images = {row.digest for row in app.images.list()}
    return {
        "ServerVersion": __version__,
        "Home": str(app.config.home),
        "ImageStore": str(app.images.root),
        "Images": len(images),
        "Containers": len(statuses),
        "ContainersRunning": sum(status in ("running", "restarting") for status in statuses),
        "ContainersPaused": statuses.count("paused"),
        "ContainersStopped": sum(status in ("created", "exited", "dead") for status in statuses),
        "Driver": "overlay",
        "LayerCompression": app.config.images.compression,
        "Ids": {"root": "all", "ranges": "ranges of /etc/subuid", "one": "one"}[app.images.calls.mapping],
        "KernelVersion": platform.release(),
        "OSType": platform.system().lower(),
        "Architecture": platform.machine(),
        "NCPU": len(os.sched_getaffinity(0)),
        "MemTotal": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "PythonVersion": platform.python_version(),
    }


def _usage_row(row: "UsageRow") -> dict[str, str]:
    share = f" ({100 * row.reclaimable // row.size}%)" if row.size else ""
    return {
        "Type": row.kind,
        "TotalCount": str(row.total),
        "Active": str(row.active),
        "Size": render_size(row.size),
        "Reclaimable": render_size(row.reclaimable) + share,
    }


def _render_verbose(app: "App", template: str | None) -> str:
    from airdock.cli.image_look import image_row

    users = app.reclaim.users()
    images = [
        image_row(row, whole=False, containers=sum(users.get(part.digest, 0) for part in row.platforms))
        for row in app.images.list()
    ]
    containers = [
        {
            "ID": render_short(known.id),
            "Image": known.state.image,
            "Size": render_size(app.reclaim.container_size(known)),
            "Status": known.status,
            "Names": known.name,
        }
        for known in app.engine.containers.list()
    ]
    cache = [
        {
            "ID": row.id[:12],
            "CacheType": row.kind,
            "Size": render_size(row.size),
            "LastUsedSince": f"{render_age(datetime.now(UTC) - row.used)} ago",
            "InUse": "true" if row.in_use else "false",
        }
        for row in app.reclaim.cache_rows()
    ]
    volumes = [
        {"Name": row.name, "Links": str(row.links), "Size": render_size(row.size)} for row in app.reclaim.volume_rows()
    ]
    if template is not None:
        document = {"Images": images, "Containers": containers, "Volumes": volumes, "BuildCache": cache}
        return render_documents([document], template)
    parts = [
        ("Images space usage:", render_rows(images, _table(_IMAGE_TITLES), _IMAGE_TITLES)),
        ("Containers space usage:", render_rows(containers, _table(_CONTAINER_TITLES), _CONTAINER_TITLES)),
        ("Local Volumes space usage:", render_rows(volumes, _table(_VOLUME_TITLES), _VOLUME_TITLES)),
        ("Build cache usage:", render_rows(cache, _table(_CACHE_TITLES), _CACHE_TITLES)),
    ]
    return "\n\n".join(f"{title}\n\n{table}" for title, table in parts)


def _table(titles: Sequence[str] | dict[str, str]) -> str:
    return "table " + "\t".join(f"{{{{.{name}}}}}" for name in titles)
