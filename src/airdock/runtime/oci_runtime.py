"""Another OCI runtime, such as runc, in the place of our own setting-up: the same namespaces around it, the same spec.

A container's first process is ours in any case: it has the user namespace, the cgroup and a pid namespace whose end is
the end of everything. Within that, instead of setting the inside up itself, its child attaches the root and what is
bound to it at places that the runtime can reach, writes the bundle, and calls `create` and `start`. What differs from
our own launcher: the command is pid 1 of a further pid namespace, so that it gets no signal which it doesn't handle.

    /tmp (a tmpfs of this mount namespace only)
      rootfs/        the overlay
      binds/<n>      what the launcher opened
      config.json    the configuration, without what is done already
      state/         the runtime's own

Source: opencontainers/runtime-spec, runtime.md; runc(8), runc-create(8).
"""

import json
import os
import platform
import signal
import socket
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

from airdock.errors import CommandNotFoundError, ContainerError, NotExecutableError
from airdock.runtime.plan import is_host_bind
from airdock.runtime.seccomp import kernel_version
from airdock.runtime.seccomp_file import render_default
from airdock.runtime.spec import RUNTIME_ANNOTATION, SECCOMP_ANNOTATION
from airdock.runtime.syscalls import CLONE_NEWNS, MS_BIND, MS_NODEV, MS_NOSUID, MS_REC, Syscalls
from airdock.runtime.users import User, find_config_user

__all__ = ["become_runtime", "explain_failure", "render_bundle"]

_PLACE: Final = "/tmp"  # noqa: S108 a tmpfs of our own lies over it
_CREDENTIALS: Final = struct.Struct("3i")
_NAMES: Final = ("/etc", "/etc/passwd", "/etc/group")
_DONE: Final = frozenset({"user", "cgroup"})
_SIGNALFD_INFO_BYTES: Final = 128
_MOST_BYTES: Final = 1 << 16


def become_runtime(
    calls: Syscalls,
    config: Mapping[str, Any],
    *,
    root: int,
    trees: Sequence[int],
    stdio: Sequence[int],
    control: socket.socket,
    failed: int,
    mapping: str,
    open_files: tuple[int, int],
) -> NoReturn:
    """Have the runtime make and start the container, and stand for it until it ends. Raises before it runs only."""
    runtime = config["annotations"][RUNTIME_ANNOTATION]
    calls.mount("proc", "proc", "/proc", MS_NOSUID | MS_NODEV)
    calls.mount("tmpfs", "airdock", _PLACE, MS_NOSUID | MS_NODEV, "mode=755")
    os.mkdir(f"{_PLACE}/binds")
    _attach(calls, root, f"{_PLACE}/rootfs")
    for number, tree in enumerate(trees):
        _attach(calls, tree, f"{_PLACE}/binds/{number}")
    bundle = render_bundle(config, user=_find_user(calls, config), mapping=mapping, open_files=open_files)
    with open(f"{_PLACE}/config.json", "w") as file:
        json.dump(bundle, file)
    calls.adopt_orphans()
    console = _listen() if bundle["process"]["terminal"] else None
    more = ["--console-socket", f"{_PLACE}/console"] if console else []
    base = [runtime, "--root", f"{_PLACE}/state", "--log", f"{_PLACE}/log", "--log-format", "json"]
    pid_file = ["--pid-file", f"{_PLACE}/pid", "--bundle", _PLACE, "--no-new-keyring", *more, "airdock"]
    _run(calls, [*base, "create", *pid_file], stdio)
    with open(f"{_PLACE}/pid") as file:
        pid = int(file.read())
    terminal = _accept(console) if console else -1
    socket.send_fds(control, [b"M"], [terminal] if terminal >= 0 else [])
    events = calls.signalfd(frozenset(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP})
    _run(calls, [*base, "start", "airdock"], stdio)
    told = (socket.SOL_SOCKET, socket.SCM_CREDENTIALS, _CREDENTIALS.pack(pid, 0, 0))
    control.sendmsg([b"P"], [told])
    os.close(failed)
    _end_as(_attend(pid, events))


def render_bundle(
    config: Mapping[str, Any], *, user: User, mapping: str, open_files: tuple[int, int]
) -> dict[str, Any]:
    """The configuration for a runtime within our user namespace, cgroup and joined namespaces."""
    linux, process = config["linux"], config["process"]
    numbers = iter(range(len(config["mounts"])))
    kept = [entry for entry in linux["namespaces"] if entry["type"] not in _DONE and not entry.get("path")]
    limits = list(process.get("rlimits", ()))
    if not any(limit["type"] == "RLIMIT_NOFILE" for limit in limits):
        limits.append({"type": "RLIMIT_NOFILE", "soft": open_files[0], "hard": open_files[1]})
    groups = {"additionalGids": list(user.groups)} if user.groups and mapping != "one" else {}
    return {
        **config,
        "process": {
            **process,
            "user": {"uid": user.uid, "gid": user.gid, **groups},
            "env": _environment(process.get("env", ()), user),
            "rlimits": limits,
        },
        "root": {**config["root"], "path": f"{_PLACE}/rootfs"},
        "mounts": [_mount(mount, numbers, mapping) for mount in config["mounts"]],
        "linux": {
            **{key: value for key, value in linux.items() if key != "resources"},
            "namespaces": kept,
            **_seccomp(config),
        },
    }


def explain_failure(log: str, command: str) -> ContainerError:
    """Why a runtime could not start a container, by its log: JSON lines with `level` and `msg`."""
    said = [json.loads(line).get("msg", "") for line in log.splitlines() if line.startswith("{")]
    message = said[-1] if said else "it gave no reason"
    if "executable file not found" in message or ("no such file or directory" in message and "exec" in message):
        return CommandNotFoundError(f"expected the command {command!r} in the image, found none", where=command)
    if "exec" in message and ("permission denied" in message or "is a directory" in message):
        return NotExecutableError(f"{command!r} can't be executed: {message.rsplit(': ', 1)[-1]}", where=command)
    return ContainerError(f"the runtime could not start the container: {message}")


def _attach(calls: Syscalls, tree: int, path: str) -> None:
    calls.make_folder(path) if calls.is_folder(tree) else calls.make_file(path)
    calls.move_mount(tree, path)
    calls.close(tree)


def _mount(mount: Mapping[str, Any], numbers: Any, mapping: str) -> dict[str, Any]:
    if is_host_bind(mount):
        rights = [option for option in mount.get("options", ()) if option != "bind"]
        source, options = f"{_PLACE}/binds/{next(numbers)}", list(dict.fromkeys(["rbind", *rights]))
        return {"destination": mount["destination"], "type": "bind", "source": source, "options": options}
    if mount.get("type") == "bind":  # the machine's /sys, with all that is mounted in it
        rights = [f"r{option}" for option in mount["options"] if option in ("ro", "nosuid", "nodev", "noexec")]
        return {**mount, "options": ["rbind", *rights]}
    if mount.get("type") == "cgroup":  # the machine's tree is none of its business; what it is in, it may not change
        options = ["ro", "nosuid", "nodev", "noexec", "size=0k", "nr_inodes=2"]
        return {**mount, "type": "tmpfs", "source": "tmpfs", "options": options}
    options = [option for option in mount.get("options", ()) if option != "gid=5" or mapping != "one"]
    return {**mount, "options": options}


def _environment(lines: Sequence[str], user: User) -> list[str]:
    return list(lines) if any(line.startswith("HOME=") for line in lines) else [*lines, f"HOME={user.home}"]


def _seccomp(config: Mapping[str, Any]) -> dict[str, Any]:
    if config["linux"].get("seccomp") or config.get("annotations", {}).get(SECCOMP_ANNOTATION) != "default":
        return {}
    kept = config["process"].get("capabilities", {}).get("bounding", ())
    release = kernel_version(os.uname().release)
    return {"seccomp": render_default(capabilities=kept, arch=platform.machine(), kernel=release)}


def _find_user(calls: Syscalls, config: Mapping[str, Any]) -> User:
    """The user by the image's own files, read by a child that has its root."""
    reader, writer = os.pipe()
    pid = calls.fork()
    if pid == 0:
        try:
            _bind_names(calls, config)
            os.chroot(f"{_PLACE}/rootfs")
            os.chdir("/")
            user = find_config_user(config)
            os.write(writer, json.dumps([user.uid, user.gid, user.groups, user.home]).encode())
        except ContainerError as error:
            os.write(writer, json.dumps([error.message, error.hint]).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as file:
        answer = json.loads(file.read() or '["the user could not be found", ""]')
    os.waitpid(pid, 0)
    if isinstance(answer[0], str):
        raise ContainerError(answer[0], hint=answer[1])
    uid, gid, groups, home = answer
    return User(uid=uid, gid=gid, groups=tuple(groups), home=home)


def _bind_names(calls: Syscalls, config: Mapping[str, Any]) -> None:
    """In a mount namespace of this process only, what is bound over the image's /etc."""
    calls.unshare(CLONE_NEWNS)
    for number, mount in enumerate(filter(is_host_bind, config["mounts"])):
        path = f"{_PLACE}/rootfs{mount['destination']}"
        if mount["destination"] in _NAMES and calls.kind(path) and not calls.is_link(path):
            calls.mount("", f"{_PLACE}/binds/{number}", path, MS_BIND | MS_REC)


def _run(calls: Syscalls, argv: Sequence[str], stdio: Sequence[int]) -> None:
    """Run the runtime with the container's streams. Raises ContainerError with what its log says."""
    pid = calls.fork()
    if pid == 0:
        try:
            for number, descriptor in enumerate(stdio):
                os.dup2(descriptor, number)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            os.execv(argv[0], list(argv))  # noqa: S606 no shell is what is wanted
        finally:
            os._exit(127)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code:
        with open(f"{_PLACE}/config.json") as file:
            command = json.load(file)["process"]["args"][0]
        try:
            with open(f"{_PLACE}/log") as file:
                log = file.read(_MOST_BYTES)
        except FileNotFoundError:
            log = ""
        raise explain_failure(log, command)


def _listen() -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{_PLACE}/console")
    listener.listen(1)
    return listener


def _accept(listener: socket.socket) -> int:
    """The master of the terminal that the runtime made."""
    with listener, listener.accept()[0] as line:
        return socket.recv_fds(line, 4096, 1)[1][0]


def _attend(pid: int, events: int) -> int:
    """Pass signals on, and reap whoever ends, until the container does; gives its status."""
    while True:
        (number,) = struct.unpack_from("=I", os.read(events, _SIGNALFD_INFO_BYTES))
        if number != signal.SIGCHLD:
            try:
                os.kill(pid, number)
            except OSError:
                pass  # it has just ended
            continue
        while True:
            try:
                ended, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return 0
            if ended == pid:
                return status
            if ended == 0:
                break


def _end_as(status: int) -> NoReturn:
    """End the way that the container did, so that pid 1 sees the same."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        os._exit(code)
    if -code != signal.SIGKILL:
        signal.signal(-code, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {-code})
    os.kill(os.getpid(), -code)
    os._exit(128 - code)
