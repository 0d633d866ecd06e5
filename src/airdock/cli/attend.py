"""Staying with a container in the foreground: signals go in, its end comes out, a terminal is carried both ways.

One loop waits on four descriptors: the container's end, our signals, the pseudo terminal, and stdin. A signal is read
there like anything else, so it never interrupts a conversation with the launcher.
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
from typing import Any, Final, Protocol, Self

__all__ = ["Attended", "Signals", "Terminal", "attend", "open_terminal"]

_FORWARDED: Final = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
)
_URGENT: Final = (signal.SIGINT, signal.SIGTERM)
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
        for descriptor in (self._stdout, self._stdin) if self._stdin >= 0 else (self._stdout,):
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


class Signals:
    """Signals of ours on their way to a container.

    Handlers do nothing but count: the interpreter writes each number into a pipe, and `attend` reads it from there.
    Those that come before the container is there wait for it; who can't wait sends a second one.
    """

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._before: dict[int, Any] = {}
        self._wakeup = -1
        self._urgent = 0
        self.is_starting = True

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._arrived) for number in _FORWARDED}
        self._wakeup = signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._reading)
        os.close(self._writing)

    def fileno(self) -> int:
        return self._reading

    def read(self) -> list[int]:
        """What arrived; SIGKILL in place of the interrupt that is one too many."""
        numbers = list(os.read(self._reading, 256))
        return [signal.SIGKILL if n in _URGENT and self._urgent >= _INSISTENT else n for n in numbers]

    def _arrived(self, number: int, frame: FrameType | None) -> None:
        self._urgent += number in _URGENT
        if self.is_starting and self._urgent > 1:
            raise KeyboardInterrupt


def attend(container: Attended, *, signals: Signals, terminal: Terminal | None = None) -> None:
    """Come back when the container ended. Signals that we get in the meantime are its signals."""
    signals.is_starting = False
    with selectors.DefaultSelector() as selector:
        selector.register(container.fileno(), selectors.EVENT_READ)
        selector.register(signals, selectors.EVENT_READ)
        if terminal:
            terminal.register(selector)
        while True:
            ready = selector.select()
            for key, events in ready:
                if key.fileobj is signals:
                    for number in signals.read():
                        _pass_on(container, number, terminal)
                elif key.data:
                    key.data(selector, events)
            if any(key.fd == container.fileno() for key, _ in ready):
                break
        if terminal:
            terminal.drain()


def _pass_on(container: Attended, number: int, terminal: Terminal | None) -> None:
    if number != signal.SIGWINCH:
        container.signal(number)
    elif terminal:
        terminal.resize()


def _write_all(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]
