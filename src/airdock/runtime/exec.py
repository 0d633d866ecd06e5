"""One more command in a running container, from any process of its account.

    caller                        helper                                command
    start_process ──────────────▶ works out what it may keep
    moves it into the cgroup ───▶ joins namespaces by pidfd
                                  fork ────────────────────────────────▶ in the container's pid namespace
    `failed` closes: it runs                                             gives up privileges, executes
    signals ── control ─────────▶ passes them on
    exit status ◀── control ───── waits for it

The helper (`exec_helper`) is a process of its own because setns(2) into a user namespace takes a single thread and is
for good. When the caller dies the control socket closes, and the command is killed; when the container ends, so does
the command.
"""

import json
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from airdock.errors import ContainerError, UnknownContainerError
from airdock.runtime.cgroups import open_cgroup
from airdock.runtime.freeze import is_frozen
from airdock.runtime.offspring import start_process
from airdock.runtime.shed import GO, NEWS_EXIT
from airdock.runtime.spec import USER_ANNOTATION
from airdock.runtime.state import ContainerState
from airdock.runtime.wire import load_error, receive_descriptors

__all__ = ["Execution", "exec_in", "start_exec"]


class Execution:
    """A command that runs beside a container's own. `wait` must be called; it frees everything but `terminal`."""

    def __init__(self, pid: int, control: socket.socket, terminal: int) -> None:
        self._pid = pid
        self._control = control
        self._exit_code: int | None = None
        self.terminal = terminal
        """The master of its terminal, or -1; the caller closes it."""

    def fileno(self) -> int:
        """Readable once the command has ended."""
        return self._control.fileno()

    def signal(self, number: int) -> None:
        """Send a signal to the command. Harmless after its end."""
        try:
            self._control.send(bytes([number]), socket.MSG_NOSIGNAL)
        except OSError:
            pass  # it has just ended

    def wait(self) -> int:
        """The exit code, 128+n for signal n."""
        if self._exit_code is None:
            try:
                news = self._control.recv(16)
            except ConnectionResetError:
                news = self._control.recv(16)  # a signal came too late to be read; what was sent before is still here
            self._control.close()
            os.waitpid(self._pid, 0)
            status = NEWS_EXIT.unpack(news)[1] if news else signal.SIGKILL
            code = os.waitstatus_to_exitcode(status)
            self._exit_code = code if code >= 0 else 128 - code
        return self._exit_code


def exec_in(state: ContainerState, *, argv: Sequence[str], **options: Any) -> int:
    """Run a command in a running container to its end; `options` are those of `start_exec`. Gives the exit code."""
    running = start_exec(state, argv=argv, **options)
    if running.terminal >= 0:
        os.close(running.terminal)
    return running.wait()


def start_exec(
    state: ContainerState,
    *,
    argv: Sequence[str],
    env: Mapping[str, str] | None = None,
    cwd: str = "",
    user: str = "",
    terminal: bool = False,
    stdin: int,
    stdout: int,
    stderr: int,
    detached: bool = False,
    privileged: bool = False,
) -> Execution:
    """Start a command in a running container; comes back once it was executed.

    Folder, user and variables are the container's where they aren't given; `env` is laid over its variables. One that
    is `detached` goes on when its caller ends; one that is `privileged` has every capability of the container's
    namespaces and no filter. Raises UnknownContainerError when the container doesn't run, CommandNotFoundError,
    NotExecutableError, ContainerError.
    """
    if not state.alive:
        raise UnknownContainerError(
            f"expected container {state.name or state.id[:12]} to be running, found it {state.current_status}"
        )
    if is_frozen(state):
        raise ContainerError(
            f"expected container {state.name or state.id[:12]} to go on, found it paused",
            hint=f"airdock container unpause {state.name or state.id[:12]}",
        )
    control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    failed, failed_write = os.pipe2(os.O_CLOEXEC)
    try:
        with theirs:
            process = _process(state, argv, env or {}, cwd, user, terminal)
            arguments = {
                "state": state.to_dict(),
                "process": process | {"detached": detached, "privileged": privileged},
            }
            lines = [theirs.fileno(), failed_write, stdin, stdout, stderr]
            pid = start_process("airdock.runtime.exec_helper:serve_exec", arguments, lines)
        open_cgroup(state.cgroups).attach(pid)  # takes the kernel up to 10 ms, in which the helper has things to do
        control.send(GO)
        os.close(failed_write)
        failed_write = -1
        return _await_start(pid, control, failed)
    except BaseException:
        control.close()
        raise
    finally:
        os.close(failed)
        if failed_write >= 0:
            os.close(failed_write)


def _await_start(pid: int, control: socket.socket, failed: int) -> Execution:
    answer = b""
    while part := os.read(failed, 1 << 16):
        answer += part
    if answer:
        os.waitpid(pid, 0)
        raise load_error(json.loads(answer[4:]))
    data, descriptors = receive_descriptors(control, 16)
    if data[:1] != b"T":
        os.waitpid(pid, 0)
        raise ContainerError("the container ended before the command was executed")
    return Execution(pid, control, descriptors[0] if descriptors else -1)


def _process(
    state: ContainerState, argv: Sequence[str], env: Mapping[str, str], cwd: str, user: str, terminal: bool
) -> dict[str, Any]:
    own = state.config["process"]
    notes = state.config.get("annotations", {})
    return {
        "args": list(argv),
        "env": [*own.get("env", ()), *(f"{name}={value}" for name, value in env.items())],
        "cwd": cwd or own["cwd"],
        "user": own["user"],
        "named_user": user or notes.get(USER_ANNOTATION, ""),
        "terminal": terminal,
    }
