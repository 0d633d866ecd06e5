"""What becomes of a task's environment: the contract of whoever makes it, and what comes out."""

from pathlib import Path
from typing import Protocol

from airdock.model.environment import Environment
from airdock.record import record

__all__ = ["Environments", "Prepared"]


@record
class Prepared:
    """An environment that is there.

    `digest` is the image's manifest digest, or "process:<key>" of a virtual environment. `reused` says that nothing
    had to be made. `python` is the version of the Python that tasks find in it, where it is known.
    """

    digest: str
    reused: bool
    python: tuple[int, int, int] | None = None


class Environments(Protocol):
    """Makes environments."""

    def prepare(self, environment: Environment, *, where: str, dag_folder: Path | None = None) -> Prepared:
        """Make the environment, unless it is there; blocks until it is.

        May be called from several threads: equal environments are made once, different ones side by side. `where` names
        who needs it, for errors. Raises EnvironmentFailedError, with everything that was begun cleared away.
        """
        ...
