"""`airdock image pull|push|login|logout`: images from registries and to them, and who we are there."""

import json
import sys
from typing import TYPE_CHECKING

import click

from airdock.cli.names import complete_images
from airdock.cli.session import Session, pass_session
from airdock.errors import ImageError

if TYPE_CHECKING:
    from airdock.oci.descriptor import Platform

__all__ = ["login", "logout", "pull", "push"]

_HUB = "docker.io"
_PLATFORM = click.option("--platform", metavar="OS/ARCH", help="Of an image for several platforms, this one.")
_QUIET = click.option("-q", "--quiet", is_flag=True, help="No progress.")
_PLAIN = click.option("--plain", is_flag=True, help="Progress as lines, also on a terminal.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Progress as one JSON object per line, on stdout.")


@click.command()
@click.argument("name", metavar="NAME[:TAG|@DIGEST]")
@click.option("-a", "--all-tags", is_flag=True, help="All tags of the repository.")
@_PLATFORM
@click.option("--no-unpack", is_flag=True, help="Leave its layers packed: to push or save it, not to run it.")
@_QUIET
@_PLAIN
@_JSON
@pass_session
def pull(
    session: Session,
    name: str,
    *,
    all_tags: bool,
    platform: str | None,
    no_unpack: bool,
    quiet: bool,
    plain: bool,
    as_json: bool,
) -> None:
    """Fetch an image from its registry: what is missing of it, verified and unpacked on the way.

    Without a registry in its name that is docker.io. A download that broke off goes on where it was. Logins are
    Docker's (see 'airdock image login'); mirrors and registries with plain HTTP are settings (see 'airdock config').

    \b
    Examples:
      airdock image pull python:3.12-slim
      airdock image pull --platform linux/arm64 registry.example.com/team/chart:1.0
      airdock image pull -a localhost:5000/chart
    """
    from airdock.cli.transfer_view import TransferView

    wanted = _platform(platform)
    with session.app() as app:
        app.open()  # it gets ready while we do
        transfers = app.transfers
        with TransferView("pulling", form=_form(quiet=quiet, plain=plain, as_json=as_json)) as view:
            names = [f"{name}:{tag}" for tag in transfers.tags(name, tell=view)] if all_tags else [name]
            if not names:
                raise ImageError(f"expected tags of {name} in its registry, found none")
            for each in names:
                image = transfers.pull(each, platform=wanted, unpack=not no_unpack, tell=view)
                if as_json:
                    said = {"event": "pulled", "name": each, "id": image.image_id, "digest": image.digest}
                    click.echo(json.dumps(said))
                else:
                    click.echo(f"{_full_name(each)} {image.digest}" if not quiet else _full_name(each))


@click.command()
@click.argument("name", metavar="NAME[:TAG]", shell_complete=complete_images)
@click.option("-a", "--all-tags", is_flag=True, help="All tags of the repository that are here.")
@_PLATFORM
@_QUIET
@_PLAIN
@_JSON
@pass_session
def push(
    session: Session, name: str, *, all_tags: bool, platform: str | None, quiet: bool, plain: bool, as_json: bool
) -> None:
    """Send an image to the registry that its name says: only what isn't there, as it is stored.

    Nothing is packed again. Blobs that another repository of the registry has are taken over from there. An image that
    stands on this machine's folders (as the host image does) runs nowhere else and is refused.

    \b
    Examples:
      airdock image tag chart registry.example.com/team/chart:1.0
      airdock image push registry.example.com/team/chart:1.0
    """
    from airdock.cli.transfer_view import TransferView

    wanted = _platform(platform)
    with session.app() as app:
        transfers = app.transfers
        names = transfers.names(name) if all_tags else [name]
        with TransferView("pushing", form=_form(quiet=quiet, plain=plain, as_json=as_json)) as view:
            for each in names:
                digest = transfers.push(each, platform=wanted, tell=view)
                if as_json:
                    click.echo(json.dumps({"event": "pushed", "name": each, "digest": digest}))
                else:
                    click.echo(f"{_full_name(each)} {digest}" if not quiet else _full_name(each))


@click.command()
@click.argument("registry", default=_HUB, metavar="[REGISTRY]")
@click.option("-u", "--username", metavar="NAME", help="The user name; asked for on a terminal if left out.")
@click.option("-p", "--password", metavar="PASSWORD", help="The password. Others can see it: rather --password-stdin.")
@click.option("--password-stdin", is_flag=True, help="Read the password from stdin.")
@pass_session
def login(session: Session, registry: str, *, username: str | None, password: str | None, password_stdin: bool) -> None:
    """Log in to a registry (docker.io if none is named), and remember it where Docker does.

    The login is tried first. It goes to ~/.docker/config.json (DOCKER_CONFIG and REGISTRY_AUTH_FILE count), readable by
    this account only, or to the credential helper that the file names.

    \b
    Examples:
      airdock image login -u ada registry.example.com
      airdock image login -u ada --password-stdin registry.example.com < token
    """
    from airdock.remote.base import Login

    registry = _registry(registry)
    if password_stdin:
        if password is not None or username is None:
            raise click.UsageError("expected --username, and no --password, with --password-stdin")
        password = sys.stdin.readline().rstrip("\r\n")
    elif password is not None:
        click.echo("warning: a password in a command can be seen by others: rather --password-stdin", err=True)
    with session.app() as app:
        if username is None:
            username = click.prompt("Username", err=True)
        if password is None:
            if not sys.stdin.isatty():
                raise click.UsageError("expected --password-stdin, since stdin is no terminal")
            password = click.prompt("Password", hide_input=True, err=True)
        where = app.transfers.login(registry, Login(username=username, password=password))
    click.echo(f"Login Succeeded: {registry}, kept in {where}")


@click.command()
@click.argument("registry", default=_HUB, metavar="[REGISTRY]")
@pass_session
def logout(session: Session, registry: str) -> None:
    """Forget the login of a registry (docker.io if none is named).

    \b
    Example:
      airdock image logout registry.example.com
    """
    registry = _registry(registry)
    with session.app() as app:
        was_known = app.transfers.logout(registry)
    click.echo(f"Removed the login of {registry}" if was_known else f"Not logged in to {registry}")


def _form(*, quiet: bool, plain: bool, as_json: bool) -> str:
    return "json" if as_json else "quiet" if quiet else "plain" if plain else "auto"


def _platform(text: str | None) -> "Platform | None":
    if text is None:
        return None
    from airdock.oci.index import parse_platform

    return parse_platform(text)


def _full_name(name: str) -> str:
    from airdock.oci.reference import parse_reference

    return str(parse_reference(name).with_default_tag())


def _registry(text: str) -> str:
    """A registry's name, however it is written."""
    host = text.removeprefix("https://").removeprefix("http://").partition("/")[0]
    if not host:
        raise click.UsageError(f"expected a registry as HOST[:PORT], got {text!r}")
    return _HUB if host in ("index.docker.io", "registry-1.docker.io") else host
