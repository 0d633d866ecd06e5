"""Runs a container's health check beside it, one probe at a time, without ever waiting for one."""

import contextlib
import os
import selectors
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from airdock.containers.health import Health, HealthCheck, Probe
from airdock.errors import AirdockError
from airdock.runtime.exec import Execution, start_exec
from airdock.runtime.state import ContainerState

__all__ = ["Probing"]

_MOST_OUTPUT: Final = 4096
_TIMED_OUT: Final = -1


class Probing:
    """The probes of one run of a container. `changed` is told what is known after each; `due_s` is when to call `act`,
    by the monotonic clock."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        check: HealthCheck,
        state: ContainerState,
        changed: Callable[[Health], None],
    ) -> None:
        self._selector = selector
        self._check = check
        self._state = state
        self._changed = changed
        self._since = time.monotonic()
        self._running: Execution | None = None
        self._output = b""
        self._reading = -1
        self._begun = ""
        self.health = Health()
        self.due_s = self._since + self.health.wait_s(check, uptime_s=0)

    def act(self) -> None:
        """Begin the next probe, or end one that takes too long."""
        if self._running is None:
            self._begin()
        else:
            self._end(self._running)
            self._note(_TIMED_OUT, f"Health check exceeded timeout ({self._check.timeout_s:g}s)")

    def close(self) -> None:
        """Give up a probe that runs; its container has ended, and so has it."""
        if self._running is not None:
            self._end(self._running)

    def _end(self, running: Execution) -> None:
        self._forget(running)
        running.signal(signal.SIGKILL)
        running.wait()
        self._running = None

    def _begin(self) -> None:
        self._begun = _now()
        self._output = b""
        self._reading, writing = os.pipe2(os.O_CLOEXEC)
        nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._running = start_exec(
                self._state, argv=self._check.argv, stdin=nothing, stdout=writing, stderr=writing
            )
        except AirdockError as error:
            os.close(self._reading)
            self._reading = -1
            self._note(error.exit_code, error.message)
            return
        finally:
            os.close(writing)
            os.close(nothing)
        os.set_blocking(self._reading, False)
        self._selector.register(self._reading, selectors.EVENT_READ, self._read)
        self._selector.register(self._running.fileno(), selectors.EVENT_READ, self._ended)
        self.due_s = time.monotonic() + self._check.timeout_s

    def _read(self) -> None:
        try:
            printed = os.read(self._reading, _MOST_OUTPUT)
        except BlockingIOError:
            return
        if not printed:
            self._selector.unregister(self._reading)
        self._output = (self._output + printed)[:_MOST_OUTPUT]

    def _ended(self) -> None:
        assert self._running is not None
        with contextlib.suppress(BlockingIOError):
            self._output = (self._output + os.read(self._reading, _MOST_OUTPUT))[:_MOST_OUTPUT]
        self._forget(self._running)
        code = self._running.wait()
        self._running = None
        self._note(code, self._output.decode(errors="replace"))

    def _forget(self, running: Execution) -> None:
        for descriptor in (self._reading, running.fileno()):
            if descriptor in self._selector.get_map():
                self._selector.unregister(descriptor)
        if self._reading >= 0:
            os.close(self._reading)
            self._reading = -1

    def _note(self, exit_code: int, output: str) -> None:
        uptime_s = time.monotonic() - self._since
        probe = Probe(start=self._begun, end=_now(), exit_code=exit_code, output=output)
        self.health = self.health.after(probe, self._check, uptime_s=uptime_s)
        self.due_s = time.monotonic() + self.health.wait_s(self._check, uptime_s=uptime_s)
        self._changed(self.health)


def _now() -> str:
    return datetime.now(UTC).isoformat()
