"""Breaking off what a build still does once one of its steps failed, or whoever asked for it gave up."""

import os
from typing import Self

from airdock.errors import BuildCancelledError

__all__ = ["Cancel"]


class Cancel:
    """Set once, from any thread. `fileno` is readable from then on, so that whoever waits for others can wait for it
    too. A context manager, which closes it."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe2(os.O_CLOEXEC)
        self._is_set = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._reading)
        os.close(self._writing)

    @property
    def is_set(self) -> bool:
        return self._is_set

    def fileno(self) -> int:
        return self._reading

    def set(self) -> None:
        """Break off; harmless when repeated."""
        if not self._is_set:
            self._is_set = True
            os.write(self._writing, b"x")

    def check(self) -> None:
        """Raise `BuildCancelledError` once it is set."""
        if self._is_set:
            raise BuildCancelledError
