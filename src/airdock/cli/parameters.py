"""Values of flags, read as Docker reads them; each raises click.BadParameter, which click completes with the flag."""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import click

from airdock.cli.units import parse_size

__all__ = ["load_env_file", "parse_env", "read_epoch", "to_env", "to_hostname", "to_name", "to_size"]

_NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}")
_HOSTNAME: Final = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,63}")
_SHOWN: Final = 40


def to_size(text: str) -> int:
    """Bytes of "512m"."""
    try:
        return parse_size(text)
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from error


def to_name(text: str) -> str:
    """A container's name, with the characters and the length that Docker and host names allow."""
    if text and not _NAME.fullmatch(text):
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
        raise click.BadParameter(f"expected letters, digits, '_', '.' and '-', at most 128, got {shown!r}.")
    return text


def to_hostname(text: str) -> str:
    """A name that the kernel and files of hosts can hold: sethostname(2), hostname(7)."""
    if text and not _HOSTNAME.fullmatch(text):
        raise click.BadParameter(f"expected letters, digits, '.', '-' and '_', at most 64, got {text[:_SHOWN]!r}.")
    return text


def parse_env(items: Iterable[str]) -> dict[str, str]:
    """NAME=VALUE each, or NAME for this machine's own value, left out where it has none."""
    given: dict[str, str] = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not name:
            raise click.BadParameter(f"expected NAME=VALUE or NAME, got {item!r}.")
        if equals:
            given[name] = value
        elif name in os.environ:
            given[name] = os.environ[name]
    return given


def to_env(ctx: click.Context, param: click.Parameter, items: tuple[str, ...]) -> dict[str, str]:
    """`parse_env` as the callback of a flag."""
    return parse_env(items)


def read_epoch(environ: Mapping[str, str]) -> int | None:
    """SOURCE_DATE_EPOCH in seconds, None where it isn't set (reproducible-builds.org/specs/source-date-epoch)."""
    text = environ.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return None
    if not text.isdigit():
        raise click.UsageError(f"expected SOURCE_DATE_EPOCH to be a whole number of seconds, got {text!r}.")
    return int(text)


def load_env_file(path: Path) -> dict[str, str]:
    """NAME=VALUE lines; blank lines and those that begin with # say nothing, quotes mean themselves."""
    lines = (line.lstrip() for line in path.read_text().splitlines())
    return parse_env(line for line in lines if line and not line.startswith("#"))
