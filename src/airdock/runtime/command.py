"""The last steps before a container's command is its own program: give up what it may not have, find it, execute it.

Used by the container's first process and by `exec`. Order matters: the bounding set needs CAP_SETPCAP, so it goes
before the user changes; capabilities are set after, since changing the user clears them; the filter comes last, as it
forbids some of what comes before. Source: capabilities(7), Docker's exit codes 126 and 127.
"""

import errno
import fcntl
import json
import os
import platform
import resource
import signal
import stat
import termios
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NoReturn

from airdock.errors import CommandNotFoundError, ContainerError, NotExecutableError
from airdock.record import positional, record
from airdock.runtime.capabilities import CAPABILITIES
from airdock.runtime.seccomp import ARCHES, default_filter, install
from airdock.runtime.spec import SECCOMP_ANNOTATION
from airdock.runtime.syscalls import Syscalls
from airdock.runtime.users import User

__all__ = [
    "DEFAULT_PATH",
    "Privileges",
    "PrivilegesKey",
    "drop_privileges",
    "enter_folder",
    "execute",
    "make_environment",
    "make_privileges",
    "privileges_key",
    "restore_signals",
    "take_stdio",
]

DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_MOST_SCRIPTS: Final = 8  # whose interpreters are scripts again; the kernel follows fewer: execve(2)
_NO_LIMIT: Final = (1 << 63) - 1  # and above: what Docker writes for none
_LAST_CAPABILITY: Final = "/proc/sys/kernel/cap_last_cap"


@record
class Privileges:
    """What a command keeps, worked out once by the launcher: a mask of capabilities, the numbers of those to drop from
    the bounding set, a seccomp program (empty is none), whether groups can be set, the limit of open files and what
    other limits there are by number, whether programs may gain rights."""

    kept: int
    dropped: tuple[int, ...]
    filter: bytes
    can_set_groups: bool
    open_files: tuple[int, int]
    limits: tuple[tuple[str, int, int], ...] = ()
    may_gain: bool = False


@positional
class PrivilegesKey:
    """What privileges depend on. `profile` is "default", nothing, or a `linux.seccomp` as JSON."""

    capabilities: tuple[str, ...]
    profile: str
    limits: tuple[tuple[str, int, int], ...]
    may_gain: bool


def privileges_key(config: Mapping[str, Any]) -> PrivilegesKey:
    """What the privileges of a configuration depend on."""
    process = config["process"]
    profile = config["linux"].get("seccomp")
    wanted = config.get("annotations", {}).get(SECCOMP_ANNOTATION, "default")
    return PrivilegesKey(
        tuple(process.get("capabilities", {}).get("bounding", ())),
        json.dumps(profile) if profile else "default" if wanted == "default" else "",
        tuple((limit["type"], limit["soft"], limit["hard"]) for limit in process.get("rlimits", ())),
        not process.get("noNewPrivileges", True),
    )


def make_privileges(
    config: Mapping[str, Any], *, can_set_groups: bool, open_files: tuple[int, int] | None = None
) -> Privileges:
    """What a container's commands keep. `open_files` are this process's own limits where None."""
    key = privileges_key(config)
    capabilities = key.capabilities
    numbers = frozenset(CAPABILITIES.index(name) for name in capabilities if name in CAPABILITIES)
    return Privileges(
        kept=sum(1 << number for number in numbers),
        dropped=tuple(number for number in range(_last_capability() + 1) if number not in numbers),
        filter=_filter(key),
        can_set_groups=can_set_groups,
        open_files=open_files or resource.getrlimit(resource.RLIMIT_NOFILE),
        limits=key.limits,
        may_gain=key.may_gain,
    )


def _filter(key: PrivilegesKey) -> bytes:
    machine = platform.machine()
    if key.profile == "default":
        return default_filter(machine, key.capabilities)
    if not key.profile:
        return b""
    from airdock.runtime.seccomp_file import compile_profile  # hardly ever needed

    return compile_profile(json.loads(key.profile), ARCHES[machine])


def _limit(name: str, soft: int, hard: int) -> None:
    number = getattr(resource, name, None)
    if number is None:
        raise ContainerError(f"expected a limit of getrlimit(2), found {name}", where="process.rlimits")
    try:
        resource.setrlimit(number, (_finite(soft), _finite(hard)))
    except (OSError, ValueError) as error:
        _, most = resource.getrlimit(number)
        raise ContainerError(
            f"can't set {name} to {soft}:{hard}: expected at most {most}, which is this account's own hard limit",
            hint="ask for less, or raise it for whoever starts the container: ulimit -H",
        ) from error


def _finite(value: int) -> int:
    return resource.RLIM_INFINITY if value >= _NO_LIMIT else value


def drop_privileges(syscalls: Syscalls, user: User, privileges: Privileges, before_filter: Callable[[], None]) -> None:
    """Become the user with what is kept. `before_filter` is called as the user, still free to make any call."""
    resource.setrlimit(resource.RLIMIT_NOFILE, privileges.open_files)
    for limit in privileges.limits:
        _limit(*limit)
    for number in privileges.dropped:
        syscalls.drop_bounding(number)
    if privileges.may_gain and privileges.filter:
        # Without no_new_privs it takes a capability that goes next. What is left to do, such profiles allow.
        install(privileges.filter, may_gain=True)
    try:
        syscalls.set_ids(user.uid, user.gid, user.groups if privileges.can_set_groups else None)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise ContainerError(
            f"the container can't run as uid {user.uid}, gid {user.gid}: these ids don't exist in it",
            hint="this account has no id ranges: add a line to /etc/subuid and /etc/subgid, or use another user",
        ) from error
    kept = privileges.kept if user.uid == 0 else 0
    syscalls.capset(kept, kept, 0)
    if not privileges.may_gain:
        syscalls.no_new_privileges()
    before_filter()
    if privileges.filter and not privileges.may_gain:
        install(privileges.filter)


def take_stdio(stdio: Sequence[int], user: User, terminal: int) -> None:
    """Have a session of its own, with these descriptors or that terminal as the standard three."""
    os.setsid()
    _own_stdio(stdio, user)
    for number, descriptor in enumerate((terminal, terminal, terminal) if terminal >= 0 else stdio):
        os.dup2(descriptor, number)
    if terminal >= 0:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        os.fchown(0, user.uid, -1)


def enter_folder(folder: str) -> None:
    """Go into the working folder. Raises ContainerError."""
    try:
        os.chdir(folder)
    except OSError as error:
        raise ContainerError(f"can't enter the working folder {folder}: {error.strerror}", where=folder) from error


def restore_signals() -> None:
    """Undo what the interpreter and its ancestors did to signals; a program expects the defaults."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def make_environment(lines: Sequence[str], home: str) -> dict[str, str]:
    """Of "NAME=value" lines the last of a name counts; HOME and PATH are filled in where they are missing."""
    given = dict(line.split("=", 1) for line in lines if "=" in line)
    return {"PATH": DEFAULT_PATH, "HOME": home, **given}


def execute(syscalls: Syscalls, argv: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """execve(2) along PATH. Raises CommandNotFoundError or NotExecutableError, as what a shell would exit with."""
    name = argv[0]
    found: OSError | None = None
    for path in _candidates(name, environment.get("PATH", DEFAULT_PATH)):
        try:
            _refuse_magic_links(syscalls, path)
            os.execve(path, list(argv), environment)  # noqa: S606 no shell is what is wanted
        except OSError as error:
            if error.errno not in {errno.ENOENT, errno.ENOTDIR}:
                found = found or _worse(error, path)
            elif os.path.lexists(path) and found is None:
                found = error
    raise _failure(name, found)


def _own_stdio(stdio: Sequence[int], user: User) -> None:
    """Let the user open /dev/stdout again: pipes belong to whoever made them, who is nobody in here."""
    for descriptor in stdio:
        if os.fstat(descriptor).st_mode & 0o170000 == 0o010000:
            try:
                os.fchown(descriptor, user.uid, -1)
            except OSError:
                continue  # not ours to give: writing to the open descriptor still works


def _candidates(name: str, path: str) -> list[str]:
    if "/" in name:
        return [name]
    return [f"{folder or '.'}/{name}" for folder in path.split(":")] if name else []


def _worse(error: OSError, path: str) -> OSError:
    return OSError(error.errno, error.strerror, path)


def _failure(name: str, found: OSError | None) -> ContainerError:
    if found is None:
        return CommandNotFoundError(f"expected the command {name!r} in the image, found none", where=name)
    if found.errno in {errno.ENOENT, errno.ENOTDIR}:
        return CommandNotFoundError(
            f"{name!r} is in the image, but the interpreter or loader that it names is not", where=name
        )
    why = "it leads into /proc" if found.errno == errno.ELOOP else found.strerror
    return NotExecutableError(f"{name!r} can't be executed: {why}", where=name)


def _refuse_magic_links(syscalls: Syscalls, path: str) -> None:
    """Never execute the machine's own interpreter, which /proc/self/exe still is: a container could then hold its file.

    An image may lead there by a link, or by the first line of a script or of its interpreter. Raises OSError.
    """
    for _ in range(_MOST_SCRIPTS):
        try:
            descriptor = syscalls.open_without_magic(path, os.O_RDONLY | os.O_NONBLOCK)
        except PermissionError:
            # Executable but not readable: not a script. Still no link may lead into /proc.
            os.close(syscalls.open_without_magic(path, os.O_PATH))
            return
        try:
            head = os.read(descriptor, 256) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
        finally:
            os.close(descriptor)
        words = head[2:].split(b"\n", 1)[0].split() if head.startswith(b"#!") else []
        if not words:
            return
        path = os.fsdecode(words[0])


def _last_capability() -> int:
    """Older kernels know fewer capabilities, and refuse to drop what they don't know."""
    try:
        with open(_LAST_CAPABILITY, "rb") as file:
            return min(int(file.read()), len(CAPABILITIES) - 1)
    except (OSError, ValueError):
        return len(CAPABILITIES) - 1
