"""The helper of `exec`: enters a container and becomes the parent of the command there.

A module of its own, which only the helper imports, while its caller waits for the kernel to move it into the cgroup.
"""

import contextlib
import fcntl
import os
import select
import signal
import socket
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

from airdock.errors import UnknownContainerError
from airdock.runtime.capabilities import CAPABILITIES
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
from airdock.runtime.shed import (
    GO,
    NEWS_EXIT,
    NOT_STARTED,
    close_others,
    drop_stdio,
    fail,
    forbid_imports,
    own_keyring,
)
from airdock.runtime.spec import SECCOMP_ANNOTATION
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
from airdock.runtime.wire import send_with_descriptors

__all__ = ["serve_exec"]

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
        if not os.read(control, len(GO)):
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
