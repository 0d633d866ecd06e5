"""Staying with a container that has a monitor: its streams come over a line, and leaving it doesn't end it."""

import fcntl
import json
import os
import selectors
import signal
import struct
import sys
import termios
import tty
from collections.abc import Mapping
from typing import Any, Final

from airdock.cli.attend import Signals
from airdock.containers.detach_keys import DetachKeys
from airdock.containers.line import Line
from airdock.errors import ContainerError

__all__ = ["Attachment"]

_CHUNK: Final = 64 * 1024
_MOST_WAITING: Final = 256 * 1024


class Attachment:
    """One stay. `streams` are those that are printed, "stdout" and "stderr"; `detach_keys` are as typed.

    Without `sig_proxy`, and where the container has a terminal, whose keys are bytes, signals of ours leave it.
    """

    def __init__(
        self,
        line: Line,
        *,
        interactive: bool,
        terminal: bool,
        detach_keys: bytes,
        sig_proxy: bool = True,
        streams: tuple[str, ...] = ("stdout", "stderr"),
    ) -> None:
        self._line = line
        self._terminal = terminal
        self._stdin = sys.stdin.fileno() if interactive else -1
        self._keys = DetachKeys(detach_keys if terminal else b"")
        self._sig_proxy = sig_proxy
        self._has_terminal = os.isatty(0) or os.isatty(1)
        self._out = 1 if "stdout" in streams else -1
        self._err = 2 if "stderr" in streams else -1
        self._is_left = False
        self._news: Mapping[str, Any] | None = None

    def stay(self, signals: Signals) -> Mapping[str, Any] | None:
        """Come back when the container ended, with its `exit_code`, or None when it was left.

        Raises ContainerError where its monitor was killed.
        """
        signals.is_starting = False
        self._line.frames.sock.setblocking(False)
        modes = termios.tcgetattr(self._stdin) if self._terminal and self._stdin >= 0 else None
        try:
            if modes is not None:
                tty.setraw(self._stdin)
            if self._terminal:
                self._resize()
            return self._loop(signals)
        finally:
            if modes is not None:
                termios.tcsetattr(self._stdin, termios.TCSADRAIN, modes)

    def _loop(self, signals: Signals) -> Mapping[str, Any] | None:
        frames = self._line.frames
        with selectors.DefaultSelector() as selector:
            selector.register(frames, selectors.EVENT_READ)
            selector.register(signals, selectors.EVENT_READ)
            if self._stdin >= 0:
                self._watch_input(selector)
            self._hear()  # what came with the answer
            while self._news is None and not self._is_left:
                for key, _ in selector.select():
                    if key.fileobj is signals:
                        for number in signals.read():
                            self._pass_on(number)
                    elif key.fileobj is frames:
                        frames.flush()
                        frames.receive()
                        self._hear()
                    else:
                        self._read_input(selector)
                waits = selectors.EVENT_WRITE if frames.waiting_bytes else 0
                selector.modify(frames, selectors.EVENT_READ | waits)
                if frames.closed and self._news is None:
                    raise ContainerError("the container's monitor was killed, and the container with it")
            if self._is_left:
                frames.sock.setblocking(True)
                frames.send(b"D")
        return self._news

    def _hear(self) -> None:
        for kind, content in self._line.frames.take():
            if kind == b"O" and self._out >= 0:
                _write_all(self._out, content)
            elif kind == b"E" and self._err >= 0:
                _write_all(self._err, content)
            elif kind == b"X":
                self._news = json.loads(content)

    def _watch_input(self, selector: selectors.BaseSelector) -> None:
        try:
            selector.register(self._stdin, selectors.EVENT_READ)
        except PermissionError:  # a file, which is always readable: epoll_ctl(2)
            while content := os.read(self._stdin, _CHUNK):
                self._send_blocking(content)
            self._line.frames.send(b"C")

    def _send_blocking(self, content: bytes) -> None:
        self._line.frames.sock.setblocking(True)
        self._line.frames.send(b"I", content)
        self._line.frames.sock.setblocking(False)

    def _read_input(self, selector: selectors.BaseSelector) -> None:
        frames = self._line.frames
        if frames.waiting_bytes > _MOST_WAITING:
            return  # no more is read than the container takes
        try:
            typed = os.read(self._stdin, _CHUNK)
        except OSError:
            typed = b""  # the terminal is gone
        if not typed:
            selector.unregister(self._stdin)
            frames.send(b"C")
            return
        passed, self._is_left = self._keys.feed(typed)
        if passed:
            frames.send(b"I", passed)

    def _pass_on(self, number: int) -> None:
        if number == signal.SIGWINCH:
            self._resize()
        elif number == signal.SIGHUP and self._has_terminal:
            self._is_left = True  # ours is gone, which is no reason for the container to go
        elif self._sig_proxy and not self._terminal:
            self._line.frames.send(b"S", str(int(number)).encode())
        elif number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._is_left = True

    def _resize(self) -> None:
        if not self._terminal:
            return
        for descriptor in (1, 0):
            try:
                size = fcntl.ioctl(descriptor, termios.TIOCGWINSZ, bytes(8))
            except OSError:
                continue
            rows, columns = struct.unpack("HHHH", size)[:2]
            self._line.frames.send(b"W", json.dumps([rows, columns]).encode())
            return


def _write_all(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]
