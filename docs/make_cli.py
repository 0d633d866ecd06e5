"""Writes docs/cli.md from the help texts of the command: `python docs/make_cli.py`."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from airdock.cli.main import PROGRAM, airdock

__all__ = ["render"]

HEAD = f"""# The `{PROGRAM}` command

Made from the commands' own help by `python docs/make_cli.py`.
"""


def render() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(_section(context) for context in _contexts(airdock, PROGRAM, None))])


def _contexts(command: click.Command, name: str, parent: click.Context | None) -> Iterator[click.Context]:
    """The command's context and those of all below it; with its parent, which says what help is called."""
    context = command.make_context(name, [], parent=parent, resilient_parsing=True, terminal_width=100)
    yield context
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            below = command.get_command(context, each)
            assert below is not None
            yield from _contexts(below, each, context)


def _section(context: click.Context) -> str:
    names = context.command_path
    return f"{'#' * min(names.count(' ') + 2, 4)} {names}\n\n```text\n{context.command.get_help(context)}\n```\n"


if __name__ == "__main__":
    if sys.argv[1:] == ["-"]:
        sys.stdout.write(render())
    else:
        Path(__file__).with_name("cli.md").write_text(render())
