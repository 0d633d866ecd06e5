"""What every command shares: the global flags, the settings, and the app made from them when first needed."""

from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from airdock.config import Config, load_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airdock.app import App

__all__ = ["DockerCommand", "Session", "pass_session"]


class Session:
    """One call of the command line.

    `color` is None where the terminal decides. `failure_code` is the exit code of a failure that has none of its own.
    """

    def __init__(self) -> None:
        self.home: str | None = None
        self.color: bool | None = None
        self.failure_code: int | None = None

    def config(self, flags: Mapping[str, str | None] | None = None) -> Config:
        """The settings, with a command's own flags over them."""
        return load_config(flags={"home": self.home, **(flags or {})})

    @contextmanager
    def app(self, flags: Mapping[str, str | None] | None = None) -> "Iterator[App]":
        """The wired parts, closed when the block ends."""
        config = self.config(flags)
        from airdock.app import App  # help, completion and `config` go without it

        with App(config) as app:
            yield app


pass_session = click.make_pass_decorator(Session, ensure=True)


class DockerCommand(click.Command):
    """A command whose exit code is the container's, so its own failures need one of Docker's: 125."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: object
    ) -> click.Context:
        session = parent.find_object(Session) if parent else None
        if session:
            session.failure_code = 125
        return super().make_context(info_name, args, parent=parent, **extra)
