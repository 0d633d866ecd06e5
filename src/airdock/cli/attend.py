"""Staying with a container in the foreground: signals go in, its end comes out, a terminal is carried both ways.

One loop waits on four descriptors: the container's end, our signals, the pseudo terminal, and stdin. Signal handlers
do nothing themselves: the interpreter writes each number into a pipe that the loop reads, so a signal never
interrupts a conversation with the launcher.
"""

import fcntl
import os
import selectors
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final, Protocol

__all__ = ["Attended", "Terminal", "attend", "open_terminal"]

_FORWARDED: Final = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
)
_INSISTENT: Final = 3
"""How many SIGINTs or SIGTERMs it takes to kill a container that ignores them, as with Docker."""
_CHUNK: Final = 64 * 1024

_Act = Callable[[selectors.BaseSelector, int], None]


class Attended(Protocol):
    """A running program: its descriptor is readable once it ended."""

    def fileno(self) -> int: ...

    def signal(self, number: int) -> None: ...


class Terminal:
    """A container's pseudo terminal: what it prints goes to our stdout, what is typed here goes in.

    `outside` is our end of it, and stays the caller's to close.
    """

    def __init__(self, outside: int, *, interactive: bool) -> None:
        self.outside = outside
        os.set_blocking(outside, False)
        self._stdin = sys.stdin.fileno() if interactive else -1
        self._stdout = sys.stdout.fileno()
        self._typed = b""
        self._stdin_ended = not interactive
        self._modes = termios.tcgetattr(self._stdin) if interactive else None

    def take(self) -> None:
        """Make our own terminal raw: the one inside does the editing, and Ctrl-C is a byte like any other."""
        if self._stdin >= 0:
            tty.setraw(self._stdin)
        self.resize()

    def resize(self) -> None:
        """Give the terminal inside the size of ours."""
        for descriptor in (self._stdout, self._stdin):
            try:
                size = fcntl.ioctl(descriptor, termios.TIOCGWINSZ, bytes(8))
            except OSError:
                continue
            fcntl.ioctl(self.outside, termios.TIOCSWINSZ, size)
            return

    def close(self) -> None:
        """Give our own terminal back as it was. May be called twice."""
        if self._modes is not None:
            termios.tcsetattr(self._stdin, termios.TCSADRAIN, self._modes)
            self._modes = None

    def register(self, selector: selectors.BaseSelector) -> None:
        """Say what is to be waited for."""
        self._watch(selector, self.outside, selectors.EVENT_READ, self._pump)
        if self._stdin >= 0:
            self._watch(selector, self._stdin, selectors.EVENT_READ, self._read_typed)

    def drain(self) -> None:
        """Print what the container left behind."""
        try:
            while self._print():
                pass
        except BlockingIOError:
            pass

    def _pump(self, selector: selectors.BaseSelector, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            self._write_typed(selector)
        if events & selectors.EVENT_READ:
            try:
                if not self._print():
                    self._watch(selector, self.outside, 0, self._pump)
            except BlockingIOError:
                pass

    def _print(self) -> int:
        """Print what there is; 0 when nobody has the inner end any more. Raises BlockingIOError for nothing yet."""
        try:
            printed = os.read(self.outside, _CHUNK)
        except BlockingIOError:
            raise
        except OSError:
            return 0
        _write_all(self._stdout, printed)
        return len(printed)

    def _read_typed(self, selector: selectors.BaseSelector, events: int) -> None:
        typed = os.read(self._stdin, _CHUNK)
        if not typed:
            self._watch(selector, self._stdin, 0, self._read_typed)
            self._stdin_ended = True
        self._typed += typed
        self._write_typed(selector)

    def _write_typed(self, selector: selectors.BaseSelector) -> None:
        try:
            self._typed = self._typed[os.write(self.outside, self._typed) :] if self._typed else b""
        except BlockingIOError:
            pass
        except OSError:
            self._typed = b""  # nobody is there to read it
        waits = selectors.EVENT_WRITE if self._typed else 0
        self._watch(selector, self.outside, selectors.EVENT_READ | waits, self._pump)
        if not self._stdin_ended:
            # No more is read than the container takes.
            self._watch(selector, self._stdin, 0 if waits else selectors.EVENT_READ, self._read_typed)

    def _watch(self, selector: selectors.BaseSelector, descriptor: int, events: int, act: _Act) -> None:
        known = descriptor in selector.get_map()
        if events and known:
            selector.modify(descriptor, events, act)
        elif events:
            selector.register(descriptor, events, act)
        elif known:
            selector.unregister(descriptor)


@contextmanager
def open_terminal(outside: int, *, interactive: bool) -> Iterator[Terminal]:
    """Our terminal joined to a container's; it is as it was when the block ends."""
    terminal = Terminal(outside, interactive=interactive)
    try:
        terminal.take()
        yield terminal
    finally:
        terminal.close()


def attend(container: Attended, *, terminal: Terminal | None = None) -> None:
    """Come back when the container ended. Signals that we get in the meantime are its signals."""
    with selectors.DefaultSelector() as selector, _signals() as arrived:
        selector.register(container.fileno(), selectors.EVENT_READ)
        selector.register(arrived, selectors.EVENT_READ)
        if terminal:
            terminal.register(selector)
        insisted = 0
        while True:
            ready = selector.select()
            for key, events in ready:
                if key.fd == arrived:
                    for number in os.read(arrived, 256):
                        insisted += number in (signal.SIGINT, signal.SIGTERM)
                        _pass_on(container, number, terminal, insisted=insisted >= _INSISTENT)
                elif key.data:
                    key.data(selector, events)
            if any(key.fd == container.fileno() for key, _ in ready):
                break
        if terminal:
            terminal.drain()


def _pass_on(container: Attended, number: int, terminal: Terminal | None, *, insisted: bool) -> None:
    if number == signal.SIGWINCH:
        if terminal:
            terminal.resize()
    else:
        container.signal(signal.SIGKILL if insisted else number)


@contextmanager
def _signals() -> Iterator[int]:
    """A descriptor from which the numbers of arriving signals can be read."""
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    before = {number: signal.signal(number, _nothing) for number in _FORWARDED}
    wakeup = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    try:
        yield reading
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reading)
        os.close(writing)


def _nothing(number: int, frame: FrameType | None) -> None:
    """The number is in the pipe."""


def _write_all(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]
