"""A group that imports a command when it is called, so that no command pays for another's imports."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

__all__ = ["LazyGroup"]


class LazyGroup(click.Group):
    """Commands by the place they are at: name → ("module:attribute", one line of help)."""

    def __init__(self, name: str | None = None, *, lazy: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        # Stand-ins, so that click knows the names and their help.
        kwargs["commands"] = {name: click.Command(name, short_help=about) for name, (_, about) in lazy.items()}
        super().__init__(name, **kwargs)
        self._places = {name: place for name, (place, _) in lazy.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table, which is the order of use."""
        return list(self.commands)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._places:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = self._places[cmd_name].partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.get_short_help_str(100)) for name, command in self.commands.items()])
