"""`airdock image build`: a Dockerfile and a folder become an image."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from airdock.cli.feed import Feed
from airdock.cli.parameters import to_env
from airdock.cli.session import Session
from airdock.cli.views import make_view
from airdock.clock import SystemClock
from airdock.errors import BuildError

if TYPE_CHECKING:
    from airdock.builder.base import BuildRequest

__all__ = ["build"]


@click.command()
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
