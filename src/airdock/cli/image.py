"""`airdock image`: Docker's verbs, flags and columns for images."""

import json
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from airdock.cli.errors import tell_before
from airdock.cli.feed import Feed
from airdock.cli.names import complete_images
from airdock.cli.parameters import to_env
from airdock.cli.session import Session, pass_session
from airdock.cli.template import render_rows
from airdock.cli.units import render_age, render_short, render_size
from airdock.cli.views import make_view
from airdock.clock import SystemClock
from airdock.errors import AirdockError, BuildError, ImageError

if TYPE_CHECKING:
    from airdock.builder.base import BuildRequest
    from airdock.images.image import Image, ImageRow

__all__ = ["image"]

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


@click.group()
def image() -> None:
    """Build, list, tag, inspect and remove images.

    Images live in the home folder (see 'airdock config'); no daemon and no registry is asked.
    """


@image.command()
@click.argument("context", metavar="PATH")
@click.option("-t", "--tag", "tags", multiple=True, metavar="NAME[:TAG]", help="Name the image; may be given again.")
@click.option(
    "-f", "--file", "dockerfile", metavar="FILE", help="The Dockerfile. [default: PATH/Dockerfile; - is stdin]"
)
@click.option(
    "--build-arg",
    "args",
    multiple=True,
    callback=to_env,
    metavar="NAME[=VALUE]",
    help="Set an ARG; may be given again.",
)
@click.option("--target", metavar="STAGE", help="Build up to this stage only.")
@click.option("--no-cache", is_flag=True, help="Run every step, whatever ran before.")
@click.option("--network", type=click.Choice(["host", "none"]), default="host", show_default=True, help="For RUN.")
@click.option("-q", "--quiet", is_flag=True, help="Print the image id only.")
@click.option("--plain", is_flag=True, help="Progress as lines, also on a terminal.")
@click.option("--json", "as_json", is_flag=True, help="Progress as one JSON object per line, on stdout.")
@click.pass_context
def build(ctx: click.Context, /, context: str, *, quiet: bool, plain: bool, as_json: bool, **options: Any) -> None:
    """Build an image from a Dockerfile and the files in PATH.

    Progress goes to stderr; stdout gets the id of the image. PATH may be '-': then the Dockerfile comes from stdin
    and there are no files to copy.

    \b
    Examples:
      airdock image build -t chart examples/library_conflict/chart
      airdock image build -f Dockerfile.dev --build-arg VERSION=3 --target test .
      printf 'FROM host\\nRUN echo hello > /hello' | airdock image build -t hello -
    """
    session = ctx.ensure_object(Session)
    request = _request(context, **options)
    feed = Feed(make_view(as_json=as_json, plain=plain, color=ctx.color, err=True), clock=SystemClock())
    with session.app() as app:
        app.open()  # it gets ready while we do
        try:
            made = app.engine.build(request, _ignore if quiet else feed)
        finally:
            feed.close()
    if as_json:
        tags = list(request.tags)
        click.echo(json.dumps({"event": "image", "id": made.image_id, "digest": made.digest, "tags": tags}))
    else:
        click.echo(made.image_id)


@image.command("ls")
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


@image.command()
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


@image.command()
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


@image.command()
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


@image.command()
@pass_session
def prune(session: Session) -> None:
    """Remove images without a name, and layers that no image needs.

    Images that lost their name to a newer one have none; so have host images from before an upgrade.
    """
    with session.app() as app:
        for line in app.images.prune():
            click.echo(line)


def _ignore(event: object) -> None:
    """For --quiet."""


def _request(context: str, *, dockerfile: str | None, args: Mapping[str, str], **more: Any) -> "BuildRequest":
    from airdock.builder.base import BuildRequest  # the other commands go without it

    folder = None if context == "-" else Path(context)
    if folder is not None and not folder.is_dir():
        raise BuildError(
            f"expected a folder with a Dockerfile, found {'a file' if folder.exists() else 'nothing'}",
            where=context,
            hint="give the folder, and the file with -f",
        )
    if folder is None or dockerfile == "-":
        text, name = sys.stdin.read(), "<stdin>"
    else:
        path = Path(dockerfile) if dockerfile else folder / "Dockerfile"
        text, name = _read(path), str(path)
    return BuildRequest(
        dockerfile=text,
        name=name,
        context=folder and folder.absolute(),
        args=args,
        label=(more["tags"] or (name,))[0],
        **more,
    )


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise BuildError(f"expected a Dockerfile that can be read, found: {why}", where=str(path)) from error


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
