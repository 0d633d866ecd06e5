"""`airdock container cp|diff|export|commit`: a container's files, in Docker's words."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import click

from airdock.cli.errors import tell
from airdock.cli.names import complete_containers
from airdock.cli.session import Session, pass_session
from airdock.cli.units import render_size

__all__ = ["commit", "cp", "diff", "export"]


@click.command()
@click.argument("source", metavar="CONTAINER:SRC_PATH|SRC_PATH|-", shell_complete=complete_containers)
@click.argument("target", metavar="DEST_PATH|CONTAINER:DEST_PATH|-", shell_complete=complete_containers)
@click.option("-a", "--archive", is_flag=True, help="Keep owners and set-user-id bits.")
@click.option("-L", "--follow-link", "follow", is_flag=True, help="Copy what a link at SRC_PATH leads to.")
@click.option("-q", "--quiet", is_flag=True, help="Don't say what was copied.")
@pass_session
def cp(session: Session, /, source: str, target: str, *, archive: bool, follow: bool, quiet: bool) -> None:
    """Copy files between a container and this machine; the container may run or not.

    A folder goes into a folder that is there, and becomes DEST_PATH where nothing is; /. at its end means what is in
    it. With - a tar is read from stdin, or written to stdout. What comes here belongs to you, what goes there to root.

    \b
    Examples:
      airdock container cp web:/var/log/app.log .
      airdock container cp ./conf/. web:/etc/app
      airdock container cp web:/data - | tar t
    """
    here, there = _split(source), _split(target)
    if bool(here[0]) == bool(there[0]):
        raise click.UsageError("expected one CONTAINER:PATH and one path of this machine.")
    with session.app() as app:
        files = app.engine.files
        if here[0] and target == "-":
            if sys.stdout.isatty():
                raise click.UsageError("expected stdout to go to a file or a program, found a terminal.")
            files.stream_out(here[0], here[1], sys.stdout.buffer.write, follow=follow)
            return
        if source == "-":
            files.extract(there[0], sys.stdin.buffer, there[1])
            return
        if here[0]:
            count = files.copy_out(here[0], here[1], target, follow=follow, archive=archive)
        else:
            count = files.copy_in(there[0], source, there[1], follow=follow, archive=archive)
    if not quiet:
        tell(f"Successfully copied {render_size(count)} to {target}")


@click.command()
@click.argument("name", metavar="CONTAINER", shell_complete=complete_containers)
@pass_session
def diff(session: Session, /, name: str) -> None:
    """Say what a container changed in its files: A added, C changed, D deleted.

    \b
    Examples:
      airdock container diff web
      airdock container diff web | grep ^D
    """
    with session.app() as app:
        for kind, path in app.engine.files.changes(name):
            click.echo(f"{kind} {path}")


@click.command()
@click.argument("name", metavar="CONTAINER", shell_complete=complete_containers)
@click.option("-o", "--output", metavar="FILE", help="Write to FILE instead of stdout.")
@pass_session
def export(session: Session, /, name: str, *, output: str | None) -> None:
    """Write a container's root as a tar, without its volumes.

    \b
    Examples:
      airdock container export web -o web.tar
      airdock container export web | airdock image import - web:flat
    """
    with session.app() as app, _open_output(output) as file:
        app.engine.files.export(name, file.write)


@click.command()
@click.argument("name", metavar="CONTAINER", shell_complete=complete_containers)
@click.argument("reference", metavar="[REPOSITORY[:TAG]]", required=False)
@click.option("-a", "--author", default="", metavar="TEXT", help="Who made it.")
@click.option("-m", "--message", default="", metavar="TEXT", help="What was changed.")
@click.option("-c", "--change", "changes", multiple=True, metavar="INSTRUCTION", help="Apply a Dockerfile instruction.")
@click.option("-p", "--pause/--no-pause", default=True, help="Stop a running container meanwhile.  [default: pause]")
@pass_session
def commit(
    session: Session,
    /,
    name: str,
    *,
    reference: str | None,
    author: str,
    message: str,
    changes: tuple[str, ...],
    pause: bool,
) -> None:
    """Make an image of a container: its image, what it wrote, and how it was started.

    \b
    Instructions for --change: CMD ENTRYPOINT ENV EXPOSE HEALTHCHECK LABEL ONBUILD STOPSIGNAL USER VOLUME WORKDIR
    Examples:
      airdock container commit web web:tried
      airdock container commit -c 'CMD ["serve"]' -m "with the patch" web web:patched
    """
    from airdock.builder.changes import apply_changes

    with session.app() as app:
        image = app.engine.files.commit(
            name,
            author=author,
            message=message,
            change=lambda config: apply_changes(config, changes),
            pause=pause,
        )
        if reference:
            app.images.tag(reference, image.digest)
        click.echo(f"sha256:{image.image_id.hex}")


def _split(text: str) -> tuple[str, str]:
    """CONTAINER:PATH as (container, path); the container is empty for a path of this machine.

    As with Docker, what begins with a slash or a dot is a path, whatever colons are in it.
    """
    name, colon, path = text.partition(":")
    if not colon or text.startswith(("/", "./", "../")) or "/" in name:
        return "", text
    return name, path or "/"


@contextmanager
def _open_output(path: str | None) -> Iterator[IO[bytes]]:
    if path is None:
        if sys.stdout.isatty():
            raise click.UsageError("expected stdout to go to a file or a program, found a terminal; or give -o FILE.")
        yield sys.stdout.buffer
        return
    from airdock.files import open_atomic

    with open_atomic(Path(path).absolute(), durable=False) as file:
        yield file
