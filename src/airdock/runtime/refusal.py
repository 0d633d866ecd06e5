"""A step of making a container that the kernel refused: told by the launcher, explained by its owner.

The launcher is in namespaces of its own, from where the machine looks different; the switch that is off is looked for
by the owner, who is still outside.
"""

import errno
import os
from pathlib import Path

from airdock.errors import IsolationError

__all__ = ["RefusedError", "explain_refusal"]


class RefusedError(Exception):
    """`step` is one of `probe_attempt.STEPS`, or another place; `number` is the errno, `detail` what was tried."""

    def __init__(self, number: int | None, step: str, detail: str = "") -> None:
        number = number or errno.EIO
        super().__init__(f"{step}: {os.strerror(number)}{f' ({detail})' if detail else ''}")
        self.number = number
        self.step = step
        self.detail = detail


def explain_refusal(error: RefusedError, home: Path) -> IsolationError:
    """The refusal with the switch that is off, and how to turn it on. Takes some 40 ms."""
    from airdock.runtime.probe import explain, gather  # only refusals pay for this import

    explained = explain(error.number, error.step, gather(home=str(home)))
    if error.detail:
        explained = IsolationError(f"{explained.message} ({error.detail})", where=explained.where, hint=explained.hint)
    return explained
