"""One more command in a running container, from any process of its account.

    caller                        helper                                command
    start_process ──────────────▶ works out what it may keep
    moves it into the cgroup ───▶ joins namespaces by pidfd
                                  fork ────────────────────────────────▶ in the container's pid namespace
    `failed` closes: it runs                                             gives up privileges, executes
    signals ── control ─────────▶ passes them on
    exit status ◀── control ───── waits for it

The helper is a process of its own because setns(2) into a user namespace takes a single thread and is for good. When
the caller dies the control socket closes, and the command is killed; when the container ends, so does the command.
"""

import contextlib
import fcntl
import json
import os
import select
import signal
import socket
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

from airdock.errors import ContainerError, UnknownContainerError
from airdock.runtime.capabilities import CAPABILITIES
from airdock.runtime.cgroups import open_cgroup
from airdock.runtime.command import (
    Privileges,
    drop_privileges,
    enter_folder,
    execute,
    make_environment,
    make_privileges,
    restore_signals,
    take_stdio,
)
from airdock.runtime.freeze import is_frozen
from airdock.runtime.offspring import start_process
from airdock.runtime.shed import NEWS_EXIT, NOT_STARTED, close_others, drop_stdio, fail, forbid_imports, own_keyring
from airdock.runtime.spec import SECCOMP_ANNOTATION, USER_ANNOTATION
from airdock.runtime.state import ContainerState, is_alive
from airdock.runtime.syscalls import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    Syscalls,
)
from airdock.runtime.title import set_title
from airdock.runtime.users import find_user
from airdock.runtime.wire import load_error, receive_descriptors, send_with_descriptors

__all__ = ["Execution", "exec_in", "serve_exec", "start_exec"]

_NAMESPACES: Final = {
    "user": CLONE_NEWUSER,
    "mnt": CLONE_NEWNS,
    "pid": CLONE_NEWPID,
    "ipc": CLONE_NEWIPC,
    "uts": CLONE_NEWUTS,
    "cgroup": CLONE_NEWCGROUP,
    "net": CLONE_NEWNET,
}
_SIGNALFD_INFO_BYTES: Final = 128
_GO: Final = b"G"
"""To the helper: it is in the container's cgroup."""


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
            pid = start_process("airdock.runtime.exec:serve_exec", arguments, lines)
        open_cgroup(state.cgroups).attach(pid)  # takes the kernel up to 10 ms, in which the helper has things to do
        control.send(_GO)
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


def serve_exec(descriptors: list[int], *, state: Mapping[str, Any], process: Mapping[str, Any]) -> NoReturn:
    """Be the helper; never returns."""
    control, failed, *stdio = descriptors
    try:
        # Where we were forked they may be the standard three themselves, which are given up soon.
        stdio = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3) for descriptor in stdio]
        os.setsid()
        set_title("airdock-exec")
        close_others([control, failed, *stdio])
        known = ContainerState.from_dict(state)
        calls = Syscalls()
        config = _with_every_privilege(known.config) if process["privileged"] else known.config
        privileges = make_privileges(config, can_set_groups=known.mapping != "one")
        target = _open_target(known)
        flags = _different_namespaces(known.command_pid)
        forbid_imports()
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        drop_stdio()
        if not os.read(control, len(_GO)):
            os._exit(NOT_STARTED)
        calls.hide_memory()
        own_keyring(calls)
        calls.setns(target, flags)
        if flags & CLONE_NEWUSER:
            calls.set_ids(0, 0, () if known.mapping != "one" else None)
        pid = calls.fork()
        if pid == 0:
            _become(calls, control, failed, stdio, process, privileges)
        os.close(failed)
        os._exit(_attend(pid, socket.socket(fileno=control), calls, detached=process["detached"]))
    except BaseException as error:
        fail(failed, error)


def _with_every_privilege(config: Mapping[str, Any]) -> dict[str, Any]:
    linux = {name: value for name, value in config["linux"].items() if name != "seccomp"}
    names = ("bounding", "effective", "permitted")
    process = {**config["process"], "capabilities": {name: list(CAPABILITIES) for name in names}}
    notes = {**config.get("annotations", {}), SECCOMP_ANNOTATION: "unconfined"}
    return {**config, "linux": linux, "process": process, "annotations": notes}


def _open_target(state: ContainerState) -> int:
    """The command's process, not pid 1: that one is a fork of the launcher, whose memory is hidden even from us."""
    descriptor = os.pidfd_open(state.command_pid)
    if not is_alive(state.command_pid, state.command_start):
        raise UnknownContainerError(f"expected container {state.id[:12]} to be running, found its command ended")
    return descriptor


def _different_namespaces(pid: int) -> int:
    flags = 0
    for name, flag in _NAMESPACES.items():
        if os.readlink(f"/proc/{pid}/ns/{name}") != os.readlink(f"/proc/self/ns/{name}"):
            flags |= flag
    return flags


def _become(
    calls: Syscalls,
    control: int,
    failed: int,
    stdio: Sequence[int],
    process: Mapping[str, Any],
    privileges: Privileges,
) -> NoReturn:
    try:
        user = find_user(process["user"], process["named_user"])
        terminal = calls.open_terminal("/dev/pts") if process["terminal"] else None
        line = socket.socket(fileno=control)
        send_with_descriptors(line, b"T", [terminal[0]] if terminal else [])
        take_stdio(stdio, user, terminal[1] if terminal else -1)
        enter_folder(process["cwd"])
        drop_privileges(calls, user, privileges, calls.die_with_parent)
        restore_signals()
        execute(calls, process["args"], make_environment(process["env"], user.home))
    except BaseException as error:
        fail(failed, error)


def _attend(command: int, control: socket.socket, calls: Syscalls, *, detached: bool) -> int:
    """Pass signals on and wait for the end; without a caller the command ends too, if it isn't detached."""
    close_others([control.fileno()])
    events = calls.signalfd(frozenset({signal.SIGCHLD}))
    poll = select.poll()
    poll.register(events, select.POLLIN)
    poll.register(control, select.POLLIN)
    while True:
        for descriptor, _ in poll.poll():
            if descriptor == events:
                os.read(events, _SIGNALFD_INFO_BYTES)
                pid, status = os.waitpid(command, os.WNOHANG)
                if pid:
                    with contextlib.suppress(OSError):  # who started it may be gone
                        control.send(NEWS_EXIT.pack(b"X", status), socket.MSG_NOSIGNAL)
                    return 0
                continue
            news = control.recv(16)
            if not news:
                poll.unregister(control)
                if detached:
                    continue
            os.kill(command, news[0] if news else signal.SIGKILL)
