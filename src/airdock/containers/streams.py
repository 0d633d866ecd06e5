"""A container's standard streams on the monitor's side: read, kept in the log, handed to whoever is attached."""

import contextlib
import fcntl
import os
import selectors
import struct
import termios
from collections.abc import Callable
from typing import Final

from airdock.containers.log_write import LogWriter

__all__ = ["Streams"]

_READ_BYTES: Final = 64 * 1024
_MOST_WAITING: Final = 256 * 1024
_KINDS: Final = {"stdout": b"O", "stderr": b"E"}


class Streams:
    """One run of a container. `theirs` are the descriptors that it is started with; `started` closes them here.

    `output` is called with a frame's kind and what was printed. With `terminal` the streams are one, which `started`
    is given.
    """

    def __init__(
        self,
        selector: selectors.BaseSelector,
        log: LogWriter,
        output: Callable[[bytes, bytes], None],
        *,
        terminal: bool,
        open_stdin: bool,
    ) -> None:
        self._selector = selector
        self._log = log
        self._output = output
        self._readers: dict[int, str] = {}
        self._typed = bytearray()
        self._input = -1
        self._ends_input = False
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        self.theirs = [null, null, null]
        if terminal:
            return
        if open_stdin:
            self.theirs[0], self._input = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(self._input, False)
        for number, stream in ((1, "stdout"), (2, "stderr")):
            reading, self.theirs[number] = os.pipe2(os.O_CLOEXEC)
            self._read_from(reading, stream)
        if open_stdin:
            os.close(null)

    @property
    def is_full(self) -> bool:
        """Whether the container has to read before it is given more input."""
        return len(self._typed) >= _MOST_WAITING

    def started(self, terminal: int) -> None:
        """The container has its ends; `terminal` is ours of its terminal, or -1."""
        for descriptor in set(self.theirs):
            os.close(descriptor)
        self.theirs = []
        if terminal >= 0:
            self._input = os.dup(terminal)
            os.set_blocking(self._input, False)
            self._read_from(os.dup(terminal), "stdout")

    def pump(self, descriptor: int) -> None:
        """Read what a stream has; to be called when it is readable."""
        try:
            printed = os.read(descriptor, _READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            printed = b""  # nobody has the terminal's inner end any more
        if not printed:
            self._drop(descriptor)
            return
        stream = self._readers[descriptor]
        self._output(_KINDS[stream], printed)
        if self._log.write(stream, printed):
            self._output(b"L", b"")

    def drain(self) -> None:
        """Read all that is left once the container has ended: nobody writes any more."""
        for descriptor in list(self._readers):
            while descriptor in self._readers:
                try:
                    before = os.read(descriptor, _READ_BYTES)
                except OSError:
                    before = b""
                if not before:
                    break
                stream = self._readers[descriptor]
                self._output(_KINDS[stream], before)
                self._log.write(stream, before)
        self._log.flush()
        self._output(b"L", b"")

    def hold(self, wait: bool) -> None:
        """Stop reading while somebody who is attached doesn't keep up, or go on."""
        for descriptor in self._readers:
            known = descriptor in self._selector.get_map()
            if wait and known:
                self._selector.unregister(descriptor)
            elif not wait and not known:
                self._selector.register(descriptor, selectors.EVENT_READ, lambda d=descriptor: self.pump(d))

    def type(self, content: bytes) -> None:
        """Give the container input, as it takes it."""
        if self._input >= 0:
            self._typed += content
            self._write()

    def end_input(self) -> None:
        """No more input follows; a terminal has no such end."""
        self._ends_input = True
        if not self._typed:
            self._close_input()

    def resize(self, rows: int, columns: int) -> None:
        """Give the terminal its size. Harmless where there is none."""
        if self._input >= 0:
            with contextlib.suppress(OSError):
                fcntl.ioctl(self._input, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def close(self) -> None:
        self._typed.clear()
        for descriptor in {*self.theirs}:
            os.close(descriptor)
        self.theirs = []
        for descriptor in list(self._readers):
            self._drop(descriptor)
        if self._input >= 0:
            self._unwatch(self._input)
            os.close(self._input)
            self._input = -1

    def _close_input(self) -> None:
        if self._input >= 0 and not os.isatty(self._input):
            self._unwatch(self._input)
            os.close(self._input)
            self._input = -1

    def _write(self) -> None:
        try:
            while self._typed:
                del self._typed[: os.write(self._input, self._typed)]
        except BlockingIOError:
            if self._input not in self._selector.get_map():
                self._selector.register(self._input, selectors.EVENT_WRITE, self._write)
            return
        except OSError:
            self._typed.clear()  # nobody is there to read it
        self._unwatch(self._input)
        if self._ends_input:
            self._close_input()

    def _read_from(self, descriptor: int, stream: str) -> None:
        os.set_blocking(descriptor, False)
        self._readers[descriptor] = stream
        self._selector.register(descriptor, selectors.EVENT_READ, lambda: self.pump(descriptor))

    def _drop(self, descriptor: int) -> None:
        self._unwatch(descriptor)
        del self._readers[descriptor]
        os.close(descriptor)

    def _unwatch(self, descriptor: int) -> None:
        if descriptor in self._selector.get_map():
            self._selector.unregister(descriptor)
