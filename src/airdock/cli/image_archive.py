"""`airdock image save|load|import`: images into one file and back, and a root filesystem into an image."""

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from airdock.cli.meter import Meter
from airdock.cli.names import complete_images
from airdock.cli.parameters import read_epoch
from airdock.cli.session import Session, pass_session
from airdock.errors import ImageError
from airdock.files import open_atomic

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airdock.oci.reference import Reference

__all__ = ["import_image", "load", "save"]


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...", shell_complete=complete_images)
@click.option("-o", "--output", metavar="FILE", help="Write to FILE. [default: stdout]")
@click.option(
    "--format",
    "form",
    type=click.Choice(["docker", "oci"]),
    default="docker",
    show_default=True,
    help="'docker' is read by docker, podman, skopeo and OCI tools; 'oci' has the OCI layout alone.",
)
@click.option("--platform", metavar="OS/ARCH", help="Of images for several platforms, only this one.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
@pass_session
def save(
    session: Session, images: tuple[str, ...], *, output: str | None, form: str, platform: str | None, quiet: bool
) -> None:
    """Write images with their names into one tar archive, to FILE or stdout.

    A repository without a tag stands for all its tags. Equal images give equal archives.

    \b
    Examples:
      airdock image save -o chart.tar chart:1.0
      airdock image save chart plot | zstd > images.tar.zst
      airdock image save --format oci -o layout.tar chart
    """
    from airdock.engine import HOST
    from airdock.images.archive_save import save_images
    from airdock.oci.index import parse_platform

    wanted = parse_platform(platform) if platform else None
    with session.app() as app, _open_output(output) as file, Meter("saving", quiet=quiet) as meter:
        if any(name.partition(":")[0] == HOST for name in images):
            app.engine.find(HOST)  # it's made when it's asked for
        save_images(app.images, images, file, form=form, platform=wanted, moved=meter.set)


@click.command()
@click.option("-i", "--input", "source", metavar="FILE", help="Read from FILE. [default: stdin]")
@click.option("-t", "--tag", "tag", metavar="NAME[:TAG]", help="Name the image, where the archive gives it no name.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
@pass_session
def load(session: Session, *, source: str | None, tag: str | None, quiet: bool) -> None:
    """Take the images of an archive into the store: what 'docker save', 'podman save' and skopeo write, or OCI layouts.

    The archive may be packed with gzip, zstd, bzip2 or xz. All of its images come, or none.

    \b
    Examples:
      airdock image load -i chart.tar
      docker save chart | airdock image load
    """
    from airdock.images.archive_load import load_images

    with session.app() as app:
        with _open_input(source) as file, Meter("loading", quiet=quiet) as meter:
            loaded = load_images(app.images, file, read=meter.add)
        for image in loaded:
            names: list[Reference | str] = [*image.names]
            if not names and tag:
                app.images.tag(tag, image.digest)
                names = [tag]
            for name in names:
                click.echo(f"Loaded image: {name if isinstance(name, str) else name.familiar}")
            if not names:
                click.echo(f"Loaded image ID: {image.image_id}")


@click.command("import")
@click.argument("source", metavar="FILE|URL|-")
@click.argument("name", required=False, metavar="[NAME[:TAG]]")
@click.option("-c", "--change", "changes", multiple=True, metavar="INSTRUCTION", help="Apply a Dockerfile instruction.")
@click.option("-m", "--message", default="", metavar="TEXT", help="A comment for the image's history.")
@click.option("--platform", metavar="OS/ARCH", help="What the files are for. [default: this machine's]")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
@pass_session
def import_image(
    session: Session,
    /,
    source: str,
    name: str | None,
    *,
    changes: tuple[str, ...],
    message: str,
    **more: str | bool | None,
) -> None:
    """Make an image of one layer from a root filesystem's tar: a file, a web address, or '-' for stdin.

    The tar may be packed with gzip, zstd, bzip2 or xz. It prints the image's id.

    \b
    Instructions for --change: CMD ENTRYPOINT ENV EXPOSE HEALTHCHECK LABEL ONBUILD STOPSIGNAL USER VOLUME WORKDIR
    Examples:
      airdock image import rootfs.tar.gz debian:mine
      tar -C rootfs -c . | airdock image import -c 'CMD ["bash"]' - mine:1
      airdock image import https://example.com/rootfs.tar.xz mine:2
    """
    from airdock.builder.changes import apply_changes
    from airdock.images.archive_import import import_root
    from airdock.oci.index import parse_platform

    platform = parse_platform(str(more["platform"])) if more["platform"] else None
    with session.app() as app:
        with _open_source(source) as file, Meter("importing", quiet=bool(more["quiet"])) as meter:
            image = import_root(
                app.images,
                file,
                change=lambda config: apply_changes(config, changes),
                platform=platform,
                comment=message,
                source=source,
                epoch=read_epoch(os.environ),
                read=meter.add,
            )
        if name:
            app.images.tag(name, image.digest)
    click.echo(str(image.image_id))


@contextmanager
def _open_output(path: str | None) -> "Iterator[BinaryIO]":
    if path in (None, "-"):
        if sys.stdout.isatty():
            raise ImageError("expected stdout to be a file or a pipe, found a terminal", hint="give a file with -o")
        yield sys.stdout.buffer
        return
    assert path is not None
    target = Path(path)
    if target.exists() and not target.is_file():
        with target.open("wb") as file:  # a pipe or a device can't be replaced
            yield file
        return
    with open_atomic(target, durable=False) as file:
        yield file  # type: ignore[misc]  # IO[bytes] of os.fdopen is a BinaryIO


@contextmanager
def _open_input(path: str | None) -> "Iterator[BinaryIO]":
    if path in (None, "-"):
        if sys.stdin.isatty():
            raise ImageError("expected an archive on stdin, found a terminal", hint="give a file with -i")
        yield sys.stdin.buffer
        return
    assert path is not None
    try:
        with Path(path).open("rb") as file:
            yield file
    except (FileNotFoundError, IsADirectoryError) as error:
        raise ImageError(f"expected an archive, found: {error.strerror}", where=path) from error


@contextmanager
def _open_source(source: str) -> "Iterator[BinaryIO]":
    if source.startswith(("http://", "https://")):
        from airdock.images.archive_import import open_address

        with open_address(source) as file:
            yield file
        return
    with _open_input(source) as file:
        yield file
