"""Values of the flags of `airdock image build`, read as Docker's builder reads them."""

import os
from collections.abc import Iterable
from pathlib import Path

import click

__all__ = ["complete_targets", "read_contexts", "read_pairs", "read_secrets", "read_sockets", "read_ulimits"]


def complete_targets(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The stages of the Dockerfile that the command line has so far; none where it can't be read."""
    from airdock.builder.dockerfile import parse_dockerfile
    from airdock.errors import AirdockError

    folder = Path(ctx.params.get("context") or ".")
    try:
        text = Path(ctx.params.get("dockerfile") or folder / "Dockerfile").read_text()
        stages = parse_dockerfile(text).stages
    except (OSError, UnicodeDecodeError, AirdockError):
        return []
    names = [stage.start.alias for stage in stages if stage.start.alias]
    return [name for name in names if name.startswith(incomplete.lower())]


def read_pairs(items: Iterable[str], flag: str) -> dict[str, str]:
    """NAME=VALUE each."""
    found = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not name or not equals:
            raise click.BadParameter(f"expected NAME=VALUE, got {item!r}.", param_hint=flag)
        found[name] = value
    return found


def read_secrets(items: Iterable[str]) -> dict[str, bytes]:
    """`id=NAME[,src=FILE|,env=VARIABLE]`: by id, what the file or the variable holds.

    Without a source the variable of that name is taken where there is one, else the file.
    """
    found = {}
    for item in items:
        keys = _keys(item, "--secret")
        unknown = set(keys) - {"id", "src", "source", "env", "type"}
        if unknown or "id" not in keys:
            raise click.BadParameter(f"expected id=NAME,src=FILE or id=NAME,env=VARIABLE, got {item!r}.")
        name = keys["id"]
        source = keys.get("src") or keys.get("source", "")
        variable = keys.get("env", "")
        if not source and not variable:
            variable = name if name in os.environ and keys.get("type") != "file" else ""
            source = "" if variable else name
        if variable:
            if variable not in os.environ:
                raise click.BadParameter(f"expected the variable {variable} for the secret {name}, found none.")
            found[name] = os.fsencode(os.environ[variable])
        else:
            found[name] = _read(source, name)
    return found


def read_sockets(items: Iterable[str]) -> dict[str, str]:
    """`default` or `ID=SOCKET`: the sockets of agents by id."""
    found = {}
    for item in items:
        name, _, path = item.partition("=")
        path = path or os.environ.get("SSH_AUTH_SOCK", "")
        if not path:
            raise click.BadParameter(
                f"expected an agent for {item!r}, but SSH_AUTH_SOCK is not set; start one: eval $(ssh-agent)."
            )
        found[name] = str(Path(path).absolute())
    return found


def read_contexts(items: Iterable[str]) -> dict[str, str]:
    """NAME=VALUE each; folders become absolute paths."""
    found = read_pairs(items, "--build-context")
    for name, value in found.items():
        if "://" not in value and not value.startswith("target:"):
            if not Path(value).is_dir():
                raise click.BadParameter(f"expected a folder for the context {name}, found nothing at {value}.")
            found[name] = str(Path(value).absolute())
        elif value.startswith("oci-layout://"):
            found[name] = f"oci-layout://{Path(value.removeprefix('oci-layout://')).absolute()}"
    return found


def read_ulimits(items: Iterable[str]) -> tuple[str, ...]:
    """NAME=SOFT[:HARD] each."""
    given = tuple(items)
    if not given:
        return ()
    from airdock.runtime.confinement import parse_ulimit

    for item in given:
        try:
            parse_ulimit(item)
        except ValueError as error:
            raise click.BadParameter(f"{error}.", param_hint="--ulimit") from error
    return given


def _keys(item: str, flag: str) -> dict[str, str]:
    import csv  # few builds have such flags

    found = {}
    for part in next(csv.reader([item]), []):
        key, equals, value = part.partition("=")
        if not equals:
            raise click.BadParameter(f"expected key=value pairs with commas, got {item!r}.", param_hint=flag)
        found[key.strip().lower()] = value
    return found


def _read(source: str, name: str) -> bytes:
    try:
        return Path(source).expanduser().read_bytes()
    except OSError as error:
        raise click.BadParameter(
            f"expected a file for the secret {name} at {source}, found: {error.strerror}."
        ) from error
