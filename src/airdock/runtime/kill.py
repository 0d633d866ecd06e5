"""Ends a container that another process started, and proves that it is gone."""

import os
import select
import signal

from airdock.errors import ContainerError
from airdock.runtime.state import ContainerState, is_alive

__all__ = ["kill_container"]


def kill_container(state: ContainerState, *, timeout_s: float = 10.0) -> None:
    """Kill a container's pid 1, and with it every process inside; comes back once it is gone.

    The kernel reaps a pid namespace before it lets its pid 1 go, so nothing of it is left then. A container that has
    ended already is fine. Raises ContainerError where it doesn't go within `timeout_s`.
    """
    try:
        descriptor = os.pidfd_open(state.pid)
    except ProcessLookupError:
        return
    try:
        # The pid may have been used again before the descriptor was opened; afterwards it can't be.
        if not is_alive(state.pid, state.pid_start):
            return
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        if not poll.poll(timeout_s * 1000):
            raise ContainerError(
                f"expected container {state.id[:12]} to be gone after a kill, found process {state.pid} alive",
                where=f"after {timeout_s:g} s",
            )
    finally:
        os.close(descriptor)
