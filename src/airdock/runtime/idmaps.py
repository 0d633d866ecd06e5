"""Which ids a container has, and which ids of the machine they are: user_namespaces(7), subuid(5).

There are three mappings. Images keep their unpacked layers apart by them, since owners on disk differ.

    root     0..65535 inside are 200000..265535 outside. Layers have real ids on disk and are mounted id-mapped; what a
             container writes into its upper folder has shifted ids.
    ranges   0 inside is the account, 1..65536 are its range in /etc/subuid and /etc/subgid.
    one      0 inside is the account, nothing else exists; chown and setgroups fail.

The launcher of an ordinary account lives in a user namespace with its mapping; each container gets one of its own
below, with the same ids. So the set-uid programs run once per launcher, not once per container.
"""

import os
import pwd
import signal
from collections.abc import Sequence
from typing import Final

from airdock.record import record
from airdock.runtime.refusal import RefusedError
from airdock.runtime.syscalls import CLONE_NEWNS, CLONE_NEWUSER, Syscalls

__all__ = [
    "ROOT_COUNT",
    "ROOT_SHIFT",
    "IdRange",
    "enter_own_namespace",
    "find_range",
    "join_user_namespace",
    "open_shifted_namespace",
    "write_container_maps",
]

ROOT_SHIFT: Final = 200_000
ROOT_COUNT: Final = 65_536


@record
class IdRange:
    """`count` ids from `first` on."""

    first: int
    count: int


def find_range(path: str, uid: int, name: str) -> IdRange | None:
    """The first range of an account in /etc/subuid or /etc/subgid, where accounts stand by name or by number."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = [line.strip().split(":") for line in file]
    except OSError:
        return None
    for fields in lines:
        if len(fields) == 3 and fields[0] in {name, str(uid)} and fields[1].isdigit() and fields[2].isdigit():
            return IdRange(first=int(fields[1]), count=int(fields[2]))
    return None


def write_container_maps(pid: int, mapping: str) -> None:
    """Give a container's fresh user namespace its ids, from the launcher's namespace."""
    if mapping == "one":
        _write(f"/proc/{pid}/setgroups", "deny")
    for name in ("uid_map", "gid_map"):
        shifted = f"0 {ROOT_SHIFT} {ROOT_COUNT}"
        _write(f"/proc/{pid}/{name}", shifted if mapping == "root" else _own_lines(name))


def open_shifted_namespace(syscalls: Syscalls) -> int:
    """A user namespace with the mapping "root" that nobody lives in, to mount with; gives its descriptor."""
    pid, pidfd = syscalls.clone(CLONE_NEWUSER)
    if pid == 0:
        while True:
            signal.pause()
    try:
        write_container_maps(pid, "root")
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(pidfd)


def enter_own_namespace(syscalls: Syscalls, *, uid: int, gid: int, subuid: str, subgid: str) -> tuple[str, str]:
    """Move this process of an ordinary account into a user and mount namespace, as root there.

    Gives the mapping and, where ranges could not be had, why. Raises OSError where namespaces are forbidden.
    """
    name = _account_name(uid)
    ranges = [find_range(subuid, uid, name), find_range(subgid, uid, name)]
    if None in ranges:
        missing = subuid if ranges[0] is None else subgid
        reason = f"{name} has no range in {missing}"
    else:
        reason = ""
    mapper = None if reason else _Mapper(uid, gid, [entry for entry in ranges if entry])
    syscalls.unshare(CLONE_NEWUSER | CLONE_NEWNS)
    if mapper is not None:
        reason = mapper.run()
        if not reason:
            syscalls.set_ids(0, 0, None)
            return "ranges", ""
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"0 {uid} 1")
    _write("/proc/self/gid_map", f"0 {gid} 1")
    return "one", reason


def join_user_namespace(syscalls: Syscalls, path: str) -> str:
    """Move this process into a user namespace that `enter_own_namespace` made elsewhere; gives its mapping.

    Where namespaces of several launchers are to meet, they must have this one in common. Raises OSError.
    """
    namespace = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.setns(namespace, CLONE_NEWUSER)
    finally:
        os.close(namespace)
    with open("/proc/self/uid_map", encoding="ascii") as file:
        mapping = "one" if sum(int(line.split()[2]) for line in file) == 1 else "ranges"
    syscalls.set_ids(0, 0, None)
    syscalls.unshare(CLONE_NEWNS)
    return mapping


class _Mapper:
    """A helper that stays outside while its parent goes into a namespace, and then runs newuidmap and newgidmap on it.

    The set-uid programs must be started by the account from the parent namespace: newuidmap(1).
    """

    def __init__(self, uid: int, gid: int, ranges: Sequence[IdRange]) -> None:
        parent = os.getpid()
        self._go_read, self._go = os.pipe()
        self._answer, self._answer_write = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._go)
            try:
                if os.read(self._go_read, 1):
                    os.write(self._answer_write, _map_ids(parent, uid, gid, ranges).encode() or b"ok")
            finally:
                os._exit(0)
        os.close(self._go_read)
        os.close(self._answer_write)

    def run(self) -> str:
        """Write the maps; gives the reason why not, or nothing."""
        os.write(self._go, b"1")
        answer = os.read(self._answer, 4096).decode() or "the helper ended without an answer"
        os.close(self._go)
        os.close(self._answer)
        os.waitpid(self._pid, 0)
        return "" if answer == "ok" else answer


def _map_ids(pid: int, uid: int, gid: int, ranges: Sequence[IdRange]) -> str:
    for program, own, extra in zip(("newuidmap", "newgidmap"), (uid, gid), ranges, strict=True):
        argv = [program, str(pid), "0", str(own), "1", "1", str(extra.first), str(extra.count)]
        try:
            code, said = _run(argv)
        except OSError as error:
            return f"{program} can't be run: {error.strerror}"
        if code:
            return f"{program} failed: {said or f'exit code {code}'}"
    return ""


def _run(argv: list[str]) -> tuple[int, str]:
    """Run a program to its end without the weight of `subprocess`: (exit code, what it said on standard error)."""
    reader, writer = os.pipe()
    with open(reader, "rb") as said:
        try:
            actions = [(os.POSIX_SPAWN_DUP2, writer, 2)]
            pid = os.posix_spawnp(argv[0], argv, os.environ, file_actions=actions)
        finally:
            os.close(writer)
        text = said.read().decode(errors="replace").strip()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text


def _account_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _own_lines(name: str) -> str:
    """Every id of the own namespace, onto itself."""
    with open(f"/proc/self/{name}", encoding="ascii") as file:
        entries = [line.split() for line in file]
    return "\n".join(f"{inside} {inside} {count}" for inside, _, count in entries)


def _write(path: str, text: str) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)
    except PermissionError as error:
        raise RefusedError(error.errno, "id map", f"{path}: {text}") from error
