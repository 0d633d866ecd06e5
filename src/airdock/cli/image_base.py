"""`airdock image make-base`: a Debian base from Debian's own archive."""

import os
import sys
import tempfile
from pathlib import Path

import click

from airdock.cli.parameters import read_epoch
from airdock.cli.session import Session, pass_session

__all__ = ["make_base"]


@click.command("make-base")
@click.argument("suite", type=click.Choice(["bookworm", "bullseye", "trixie"]))
@click.option("--python", is_flag=True, help="With Debian's Python, pip and venv.")
@click.option("--mirror", default="", metavar="URL", help="A mirror of Debian. [default: deb.debian.org and security]")
@click.option("-t", "--tag", "tags", multiple=True, metavar="NAME[:TAG]", help="Another name; may be given again.")
@click.option("-q", "--quiet", is_flag=True, help="Print the image's id only.")
@pass_session
def make_base(
    session: Session, /, suite: str, *, python: bool, mirror: str, tags: tuple[str, ...], quiet: bool
) -> None:
    """Make a small Debian image from Debian's archive; no registry is asked.

    It is called as Dockerfiles call it: debian:SUITE-slim and debian:SUITE, with --python python:3.N-slim-SUITE and
    python:3.N-slim (bullseye has 3.9, bookworm 3.11, trixie 3.13). The same state of the archive gives the same image;
    SOURCE_DATE_EPOCH says how young its files may be. It needs mmdebstrap, and root or an account with id ranges.

    \b
    Examples:
      airdock image make-base bookworm
      airdock image make-base trixie --python -t company/python:3.13
      airdock image make-base bookworm --mirror http://snapshot.debian.org/archive/debian/20260101T000000Z
      AIRDOCK__ENVIRONMENTS__BASE=python:3.11-slim airdock run dag.py
    """
    from airdock.environments import debian

    request = debian.BaseRequest(suite=suite, python=python, mirror=mirror, tags=tags, epoch=read_epoch(os.environ))
    with session.app() as app, tempfile.TemporaryDirectory(prefix="airdock-base-") as work:
        Path(work).chmod(0o755)  # unpacked packages are worked on by other ids of the account
        image = debian.make_base(
            app.images,
            request,
            mapping=app.images.calls.mapping,
            work=Path(work),
            environ=os.environ,
            output=_ignore if quiet else _show,
        )
    click.echo(str(image.image_id))


def _show(line: bytes) -> None:
    sys.stderr.buffer.write(line)
    sys.stderr.flush()


def _ignore(line: bytes) -> None:
    """For --quiet."""
