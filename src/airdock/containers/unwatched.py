"""Ending containers that have no monitor: those that run in the foreground of another command."""

import contextlib
import os
import select
import signal

from airdock.runtime.kill import kill_container
from airdock.runtime.state import ContainerState

__all__ = ["send_signal", "stop_process", "wait_gone"]


def send_signal(state: ContainerState, number: int) -> None:
    """A signal to who has no monitor: pid 1 passes it on, SIGKILL ends everybody."""
    if number == signal.SIGKILL:
        kill_container(state)
        return
    with contextlib.suppress(ProcessLookupError):
        descriptor = os.pidfd_open(state.pid)
        try:
            if state.alive:
                signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)


def stop_process(state: ContainerState, number: int, grace_s: float) -> None:
    """Send a signal, and kill it `grace_s` seconds later; negative waits without end."""
    send_signal(state, number)
    if not wait_gone(state, grace_s if grace_s >= 0 else None):
        kill_container(state)


def wait_gone(state: ContainerState, timeout_s: float | None) -> bool:
    """Whether a container is gone within a time; None waits without end."""
    try:
        descriptor = os.pidfd_open(state.pid)
    except (ProcessLookupError, OSError):
        return True
    try:
        if not state.alive:
            return True
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(None if timeout_s is None else timeout_s * 1000))
    finally:
        os.close(descriptor)
