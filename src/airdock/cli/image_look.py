"""`airdock image ls|inspect`: what images there are, and what they are made of."""

import json
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

from airdock.cli.names import complete_images
from airdock.cli.session import Session, pass_session
from airdock.cli.template import render_rows
from airdock.cli.units import render_age, render_short, render_size

if TYPE_CHECKING:
    from airdock.images.image import Image, ImageRow

__all__ = ["inspect", "list_images"]

_NONE: Final = "<none>"
_TITLES: Final = {
    "Repository": "REPOSITORY",
    "Tag": "TAG",
    "Digest": "DIGEST",
    "ID": "IMAGE ID",
    "CreatedAt": "CREATED AT",
    "CreatedSince": "CREATED",
    "Size": "SIZE",
    "Portable": "PORTABLE",
}
_TABLE: Final = "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"
_TABLE_WITH_DIGESTS: Final = "table {{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"


@click.command("ls")
@click.argument("repository", required=False, shell_complete=complete_images)
@click.option("-q", "--quiet", is_flag=True, help="Ids only.")
@click.option("--digests", is_flag=True, help="A column with digests.")
@click.option("--no-trunc", is_flag=True, help="Whole ids.")
@click.option(
    "--format", "template", metavar="TEMPLATE", help="json, '{{.Repository}}', or 'table {{.ID}}\\t{{.Size}}'."
)
@pass_session
def list_images(
    session: Session, repository: str | None, *, quiet: bool, digests: bool, no_trunc: bool, template: str | None
) -> None:
    """List images, the newest first; with REPOSITORY[:TAG], only those.

    \b
    Fields for --format: Repository Tag Digest ID CreatedAt CreatedSince Size Portable ('no' for what stands on
    folders of this machine, as the host image does)
    Examples:
      airdock image ls
      airdock image ls python --digests
      airdock image ls --format '{{.Repository}}:{{.Tag}} {{.Size}}'
    """
    with session.app() as app:
        listed = [row for row in app.images.list() if repository is None or _matches(row, repository)]
    rows = [_row(row, whole=no_trunc) for row in listed]
    if quiet:
        text = "\n".join(row["ID"] for row in rows)
    else:
        text = render_rows(rows, template or (_TABLE_WITH_DIGESTS if digests else _TABLE), _TITLES)
    if text:
        click.echo(text)
    if (
        template is None
        and not quiet
        and sys.stderr.isatty()
        and (bound := sum(not _is_portable(row) for row in listed))
    ):
        click.echo(f"not portable, made on this machine's own folders: {bound} of {len(listed)}", err=True)


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...", shell_complete=complete_images)
@pass_session
def inspect(session: Session, images: tuple[str, ...]) -> None:
    """Print all there is to know of images, as a JSON array in Docker's form.

    \b
    Example:
      airdock image inspect host
    """
    with session.app() as app:
        found = [app.engine.find(name) for name in images]
        rows = app.images.list()
    click.echo(json.dumps([_inspected(one, rows) for one in found], indent=4))


def _matches(row: "ImageRow", wanted: str) -> bool:
    name, colon, tag = wanted.rpartition(":")
    if not colon or "/" in tag:
        return row.repository == wanted
    return row.repository == name and row.tag == tag


def _row(row: "ImageRow", *, whole: bool) -> dict[str, str]:
    return {
        "Repository": row.repository or _NONE,
        "Tag": row.tag or _NONE,
        "Digest": str(row.digest) or _NONE,
        "ID": str(row.image_id) if whole else render_short(str(row.image_id)),
        "CreatedAt": row.created.isoformat(" ", "seconds"),
        "CreatedSince": f"{render_age(datetime.now(UTC) - row.created)} ago",
        "Size": render_size(row.size),
        "Portable": "yes" if _is_portable(row) else "no",
    }


def _is_portable(row: "ImageRow | Image") -> bool:
    from airdock.engine import HOST_LABEL  # help and completion go without it

    return HOST_LABEL not in row.labels


def _inspected(found: "Image", rows: Iterable["ImageRow"]) -> dict[str, Any]:
    mine = [row for row in rows if row.digest == found.digest]
    config: Mapping[str, Any] = found.config.to_json()
    return {
        "Id": str(found.image_id),
        "RepoTags": [f"{row.repository}:{row.tag}" for row in mine if row.repository and row.tag],
        "RepoDigests": sorted({f"{row.repository}@{row.digest}" for row in mine if row.repository}),
        "Created": config.get("created"),
        "Architecture": config.get("architecture"),
        "Os": config.get("os"),
        "Size": max((row.size for row in mine), default=0),
        "Portable": _is_portable(found),
        "Config": config.get("config") or {},
        "RootFS": {"Type": "layers", "Layers": config["rootfs"]["diff_ids"]},
    }
