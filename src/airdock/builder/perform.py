"""Doing one step: a command run, files copied, a folder made; each kept in the cache under all that decided it."""

import errno
from typing import Final

from airdock.builder.commands import run_command
from airdock.builder.copies import copy_files, make_folder
from airdock.builder.performer import Built, Performer
from airdock.builder.steps import CopyFiles, MakeFolder, RunCommand, Step
from airdock.errors import (
    BuildCancelledError,
    BuildError,
    DockerfileError,
    StepFailedError,
    UnsafeArchiveError,
)
from airdock.images.image import Layer

__all__ = ["perform"]

_NO_ROOM: Final = "make room there, or keep Airdock's files elsewhere (AIRDOCK_HOME)"


def perform(performer: Performer, step: Step, below: Built) -> tuple[Layer | None, bool]:
    """The layer that a step adds to the stage below it, None for none, and whether it was known.

    Raises `StepFailedError`, or `BuildError` for what can't be copied, with the line as `where`.
    """
    try:
        match step.action:
            case RunCommand():
                return run_command(performer, step, step.action, below)
            case CopyFiles():
                return copy_files(performer, step.action, below)
            case MakeFolder():
                return make_folder(performer, step.action, below)
            case None:
                return None, True
    except (BuildCancelledError, DockerfileError, StepFailedError):
        raise
    except (BuildError, UnsafeArchiveError) as error:
        raise BuildError(error.message, where=performer.where(step), hint=error.hint) from error
    except OSError as error:
        found = error.strerror or str(error)
        raise BuildError(
            f"expected to do {step.text[:200]!r}, found: {found}{f': {error.filename}' if error.filename else ''}",
            where=performer.where(step),
            hint=_NO_ROOM if error.errno in (errno.ENOSPC, errno.EDQUOT) else "",
        ) from error
