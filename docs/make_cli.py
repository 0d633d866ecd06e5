"""Writes docs/cli.md from the help texts of the command: `python docs/make_cli.py`."""

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
    parts = [HEAD, *(_section(names, command) for names, command in _commands(airdock, (PROGRAM,)))]
    return "\n".join(parts)


def _commands(command: click.Command, names: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield names, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from _commands(below, (*names, name))


def _section(names: tuple[str, ...], command: click.Command) -> str:
    context = command.make_context(" ".join(names), [], resilient_parsing=True, terminal_width=100)
    return f"{'#' * min(len(names) + 1, 4)} {' '.join(names)}\n\n```text\n{command.get_help(context)}\n```\n"


if __name__ == "__main__":
    Path(__file__).with_name("cli.md").write_text(render())
