"""Which view shows what happens: a moving picture on a terminal, lines elsewhere, JSON for programs."""

import os
import sys
from functools import partial

import click

from airdock.cli.feed import View
from airdock.cli.json_lines import JsonView
from airdock.cli.plain import PlainView
from airdock.cli.words import ASCII, UNICODE, Tail

__all__ = ["make_view"]


def make_view(
    *,
    as_json: bool = False,
    plain: bool = False,
    color: bool | None = None,
    tail: Tail | None = None,
    err: bool = False,
    forced: bool = False,
) -> View:
    """The view for where the output goes: stdout, or stderr with `err` (JSON always goes to stdout).

    `forced` is for the moving picture, also where nobody seems to look.
    """
    stream = sys.stderr if err else sys.stdout
    if as_json:
        return JsonView()
    if plain or (not forced and (not stream.isatty() or os.environ.get("TERM", "dumb") == "dumb")):
        return PlainView(tail=tail, color=color, output=err, err=err)
    from rich.console import Console  # only a terminal needs it, and it costs 50 ms

    from airdock.cli.live import LiveView

    marks = UNICODE if (stream.encoding or "").lower().replace("-", "") == "utf8" else ASCII
    console = Console(file=stream, no_color=color is False, highlight=False, force_terminal=forced or None)
    return LiveView(console, marks=marks, echo=partial(click.echo, color=color, err=err), tail=tail)
