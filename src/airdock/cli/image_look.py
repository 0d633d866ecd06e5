"""`airdock image ls|inspect|history`: what images there are, and what they are made of."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

from airdock.cli.names import complete_images
from airdock.cli.session import Session, pass_session
from airdock.cli.tables import Column, render_table
from airdock.cli.template import render_documents, render_rows
from airdock.cli.units import render_age, render_short, render_size

if TYPE_CHECKING:
    from airdock.app import App
    from airdock.images.image import Image, ImageRow
    from airdock.oci.digest import Digest

__all__ = ["history", "image_row", "inspect", "list_images"]

_NONE: Final = "<none>"
_TITLES: Final = {
    "Repository": "REPOSITORY",
    "Tag": "TAG",
    "Digest": "DIGEST",
    "ID": "IMAGE ID",
    "CreatedAt": "CREATED AT",
    "CreatedSince": "CREATED",
    "Size": "SIZE",
    "SharedSize": "SHARED SIZE",
    "UniqueSize": "UNIQUE SIZE",
    "ContentSize": "CONTENT SIZE",
    "Platform": "PLATFORM",
    "Containers": "CONTAINERS",
    "Portable": "PORTABLE",
}
_TABLE: Final = "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"
_TABLE_WITH_DIGESTS: Final = "table {{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"
_HISTORY_TITLES: Final = {
    "ID": "IMAGE",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "CreatedBy": "CREATED BY",
    "Size": "SIZE",
    "Comment": "COMMENT",
}
_HISTORY: Final = "table {{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}"
_LONGEST_COMMAND: Final = 45


@click.command("ls")
@click.argument("repository", required=False, metavar="[NAME[:TAG]]", shell_complete=complete_images)
@click.option("-a", "--all", "everything", is_flag=True, help="As Docker's; there are no images in between to hide.")
@click.option("-q", "--quiet", is_flag=True, help="Ids only.")
@click.option("--digests", is_flag=True, help="A column with digests.")
@click.option("-f", "--filter", "filters", multiple=True, metavar="KEY=VALUE", help="Only some; may be given again.")
@click.option("--no-trunc", is_flag=True, help="Whole ids.")
@click.option("--tree", is_flag=True, help="Each image with its platforms, and what it takes on disk and to send.")
@click.option(
    "--format", "template", metavar="TEMPLATE", help="json, '{{.Repository}}', or 'table {{.ID}}\\t{{.Size}}'."
)
@pass_session
def list_images(session: Session, /, repository: str | None, *, filters: tuple[str, ...], **shown: Any) -> None:
    """List images, the newest first; with NAME[:TAG] or a pattern of it, only those.

    \b
    Filters: dangling=true|false label=KEY[=VALUE] before=IMAGE since=IMAGE reference=PATTERN until=AGE
    Fields for --format: Repository Tag Digest ID CreatedAt CreatedSince Size SharedSize UniqueSize ContentSize
    Platform Containers Portable ('no' for what stands on folders of this machine, as the host image does)
    Examples:
      airdock image ls
      airdock image ls 'team/*' --digests
      airdock image ls --filter dangling=true -q
      airdock image ls --format '{{.Repository}}:{{.Tag}} {{.Size}} of which own {{.UniqueSize}}'
    """
    from airdock.images.filters import FILTERS, make_filter, matches_name, parse_filters

    with session.app() as app:
        passes = make_filter(app.images, parse_filters(filters, FILTERS), now=datetime.now(UTC))
        listed = [row for row in app.images.list() if repository is None or matches_name(row, repository)]
        listed = [row for row in listed if passes(row)]
        asked = shown["tree"] or "Containers" in (shown["template"] or "") or shown["template"] == "json"
        users = app.reclaim.users() if asked else {}
    _print_images(listed, users, **shown)


def _print_images(
    listed: Sequence["ImageRow"],
    users: "Mapping[Digest, int]",
    *,
    everything: bool,
    quiet: bool,
    digests: bool,
    no_trunc: bool,
    tree: bool,
    template: str | None,
) -> None:
    rows = [image_row(row, whole=no_trunc, containers=_count(row, users)) for row in listed]
    if quiet:
        text = "\n".join(row["ID"] for row in rows)
    elif tree and template is None:
        text = _render_tree(listed, users, whole=no_trunc)
    else:
        chosen = None if template == "table" else template
        text = render_rows(rows, chosen or (_TABLE_WITH_DIGESTS if digests else _TABLE), _TITLES)
    if text:
        click.echo(text)
    if template is None and not quiet and sys.stderr.isatty():
        bound = sum(row["Portable"] == "no" for row in rows)
        if bound:
            click.echo(f"not portable, made on this machine's own folders: {bound} of {len(rows)}", err=True)


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...", shell_complete=complete_images)
@click.option("-f", "--format", "template", metavar="TEMPLATE", help="json, or a template such as '{{.Config.Env}}'.")
@click.option("--platform", metavar="OS/ARCH", help="Of an image for several platforms, this one.")
@pass_session
def inspect(session: Session, images: tuple[str, ...], *, template: str | None, platform: str | None) -> None:
    """Print all there is to know of images, as a JSON array in Docker's form.

    \b
    Examples:
      airdock image inspect host
      airdock image inspect --format '{{json .Config.Labels}}' chart
      airdock image inspect -f '{{range .Config.Env}}{{println .}}{{end}}' chart
    """
    from airdock.oci.index import parse_platform

    wanted = parse_platform(platform) if platform else None
    with session.app() as app:
        found = [(app.images.find(name, platform=wanted) if wanted else app.engine.find(name), name) for name in images]
        rows = app.images.list()
        documents = [_inspected(one, name, rows, app) for one, name in found]
    click.echo(render_documents(documents, template))


@click.command()
@click.argument("image", shell_complete=complete_images)
@click.option("-q", "--quiet", is_flag=True, help="Ids only.")
@click.option("--no-trunc", is_flag=True, help="Whole commands and ids.")
@click.option("-H", "--human/--no-human", default=True, show_default=True, help="Sizes and times for people.")
@click.option("--platform", metavar="OS/ARCH", help="Of an image for several platforms, this one.")
@click.option(
    "--format", "template", metavar="TEMPLATE", help="json, '{{.CreatedBy}}', or 'table {{.ID}}\\t{{.Size}}'."
)
@pass_session
def history(
    session: Session,
    /,
    image: str,
    *,
    quiet: bool,
    no_trunc: bool,
    human: bool,
    platform: str | None,
    template: str | None,
) -> None:
    """Show how an image came about, the last step first.

    \b
    Fields for --format: ID CreatedSince CreatedAt CreatedBy Size Comment
    Examples:
      airdock image history chart
      airdock image history --no-trunc --format '{{.CreatedBy}}' chart
    """
    from airdock.oci.index import parse_platform

    with session.app() as app:
        found = app.images.find(image, platform=parse_platform(platform)) if platform else app.engine.find(image)
        rows = list(_history(app, found, whole=no_trunc, human=human))
    if quiet:
        click.echo("\n".join(row["ID"] for row in rows))
    else:
        chosen = None if template == "table" else template
        click.echo(render_rows(rows, chosen or _HISTORY, _HISTORY_TITLES))


def _history(app: "App", found: "Image", *, whole: bool, human: bool) -> Iterator[dict[str, str]]:
    sizes = [app.images.room.layer_size(layer.diff_id, layer.descriptor) for layer in found.layers]
    entries = list(found.config.history)
    layers = sum(not entry.empty_layer for entry in entries)
    left = sizes if layers == len(sizes) else []  # a history that counts other layers says nothing about their sizes
    top = str(found.image_id) if whole else render_short(str(found.image_id))
    for number, entry in enumerate(reversed(entries)):
        size = 0 if entry.empty_layer or not left else left.pop()
        command = " ".join(entry.created_by.split())
        created = datetime.fromisoformat(entry.created) if entry.created else None
        since = f"{render_age(datetime.now(UTC) - created)} ago" if created else "N/A"
        at = created.isoformat() if created else ""
        yield {
            "ID": top if number == 0 else "<missing>",
            "CreatedSince": since if human else at,
            "CreatedAt": at,
            "CreatedBy": command
            if whole or len(command) <= _LONGEST_COMMAND
            else f"{command[: _LONGEST_COMMAND - 1]}…",
            "Size": render_size(size) if human else str(size),
            "Comment": entry.comment,
        }


def image_row(row: "ImageRow", *, whole: bool, containers: int = 0) -> dict[str, str]:
    """The fields of an image for `--format`."""
    from airdock.oci.index import render_platform

    return {
        "Repository": row.repository or _NONE,
        "Tag": row.tag or _NONE,
        "Digest": str(row.digest) or _NONE,
        "ID": str(row.image_id) if whole else render_short(str(row.image_id)),
        "CreatedAt": row.created.isoformat(" ", "seconds"),
        "CreatedSince": f"{render_age(datetime.now(UTC) - row.created)} ago",
        "Size": render_size(row.size),
        "SharedSize": render_size(row.shared_size),
        "UniqueSize": render_size(row.unique_size),
        "ContentSize": render_size(row.content_size),
        "Platform": ", ".join(render_platform(each.platform) for each in row.platforms),
        "Containers": str(containers),
        "Portable": "yes" if _is_portable(row) else "no",
    }


def _render_tree(listed: Iterable["ImageRow"], users: "Mapping[Digest, int]", *, whole: bool) -> str:
    from airdock.oci.index import render_platform

    def short(digest: str) -> str:
        return digest if whole else render_short(digest)

    lines: list[list[str]] = []
    for row in listed:
        used = str(_count(row, users) or "")
        sizes = [render_size(row.size + row.content_size), render_size(row.content_size)]
        lines.append([row.name or _NONE, short(str(row.digest)), *sizes, used])
        for number, part in enumerate(row.platforms, 1):
            branch = "└─" if number == len(row.platforms) else "├─"
            sizes = [render_size(part.size + part.content_size), render_size(part.content_size)]
            lines.append([f"{branch} {render_platform(part.platform)}", short(str(part.image_id)), *sizes, ""])
    titles = ("IMAGE", "ID", "DISK USAGE", "CONTENT SIZE", "CONTAINERS")
    return render_table([Column(title, right=title not in ("IMAGE", "ID")) for title in titles], lines)


def _count(row: "ImageRow", users: "Mapping[Digest, int]") -> int:
    """How many containers stand on an image."""
    return sum(users.get(digest, 0) for digest in {row.digest, *(part.digest for part in row.platforms)})


def _is_portable(row: "ImageRow | Image") -> bool:
    from airdock.engine import HOST_LABEL  # help and completion go without it

    return HOST_LABEL not in row.labels


def _inspected(found: "Image", name: str, rows: Iterable["ImageRow"], app: "App") -> dict[str, Any]:
    mine = [row for row in rows if found.digest in (row.digest, *(part.digest for part in row.platforms))]
    config: Mapping[str, Any] = found.config.to_json()
    sizes = [app.images.room.layer_size(layer.diff_id, layer.descriptor) for layer in found.layers]
    arrived = max((row.created for row in mine), default=None)
    document = {
        "Id": str(found.image_id),
        "RepoTags": [f"{row.repository}:{row.tag}" for row in mine if row.repository and row.tag],
        "RepoDigests": sorted({f"{row.repository}@{row.digest}" for row in mine if row.repository}),
        "Comment": config["history"][-1].get("comment", "") if config.get("history") else "",
        "Created": config.get("created"),
        "Author": config.get("author", ""),
        "Architecture": config.get("architecture"),
        "Variant": config.get("variant", ""),
        "Os": config.get("os"),
        "Size": sum(sizes),
        "Portable": _is_portable(found),
        "Config": config.get("config") or {},
        "RootFS": {"Type": "layers", "Layers": config["rootfs"]["diff_ids"]},
        "Metadata": {"LastTagTime": arrived.isoformat() if arrived else None},
        "Descriptor": {
            "mediaType": found.manifest.media_type,
            "digest": str(found.digest),
            "size": app.images.blob_path(found.digest).stat().st_size,
        },
        "Manifest": json.loads(json.dumps(found.manifest.to_json())),
    }
    if not document["Variant"]:
        del document["Variant"]
    return document
