"""What a container prints, handed on as it comes."""

import os
import selectors
from collections.abc import Callable
from typing import Final, Self

from airdock.runtime.launcher import Container

__all__ = ["OutputPipe"]

_READ_BYTES: Final = 64 * 1024


class OutputPipe:
    """A context manager; `writing` is for the container's stdout and stderr, `nothing` is an empty stdin."""

    def __init__(self, output: Callable[[bytes], None]) -> None:
        self._output = output
        self.nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._reading, self.writing = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._reading, False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in (self.nothing, self._reading, self.writing):
            os.close(descriptor)

    def pump(self, container: Container, *, cancel: int = -1) -> bool:
        """Hand on what is printed until the container has ended; what outlives it can't print any more.

        Gives up, with False, once the descriptor `cancel` is readable; the container goes on then.
        """
        ends = {container.fileno(), cancel}
        with selectors.DefaultSelector() as selector:
            for descriptor in (self._reading, *(end for end in ends if end >= 0)):
                selector.register(descriptor, selectors.EVENT_READ)
            ready: set[int] = set()
            while not ready & ends:
                ready = {key.fd for key, _ in selector.select()}
                self._read()
        self._read()
        return container.fileno() in ready

    def _read(self) -> None:
        try:
            while piece := os.read(self._reading, _READ_BYTES):
                self._output(piece)
        except BlockingIOError:
            pass
