"""What a container is kept from and what it is given, beyond Airdock's defaults: the words of Docker's security flags.

Everything here holds within the container's user namespace: a capability that is added is one over the container's own
namespaces and files, never over the machine's. Source: capabilities(7), getrlimit(2), namespaces(7).
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, Final

from airdock.errors import ContainerError
from airdock.record import record
from airdock.runtime.capabilities import CAPABILITIES

__all__ = [
    "DEFAULT_CAPABILITIES",
    "SHM_BYTES",
    "Confinement",
    "Device",
    "Ulimit",
    "choose_capabilities",
    "find_runtime",
    "parse_device",
    "parse_namespace",
    "parse_sysctl",
    "parse_ulimit",
]

SHM_BYTES: Final = 64 << 20

DEFAULT_CAPABILITIES: Final = (
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
)
"""What root keeps inside, all of it within the container's user namespace: Docker's default set."""

_RLIMITS: Final = frozenset(
    {"as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc"}
    | {"rss", "rtprio", "rttime", "sigpending", "stack"}
)
_IPC_SYSCTLS: Final = ("kernel.msg", "kernel.sem", "kernel.shm", "fs.mqueue.")


@record
class Ulimit:
    """One limit of getrlimit(2), by Docker's name ("nofile"); -1 is none."""

    name: str
    soft: int
    hard: int


@record
class Device:
    """A device node of the machine and where it is in the container."""

    source: str
    target: str


@record
class Confinement:
    """Defaults are the strict ones. `seccomp` is "default", "unconfined", or a profile as Docker's JSON has it.

    `privileged` is every capability of the container's user namespace, no filter, nothing masked, programs that gain
    rights; no devices, and nothing of the machine. `groups` are names or numbers. `ipc` and `uts` are "private",
    "host", or the path of a namespace to join.
    """

    cap_add: Sequence[str] = ()
    cap_drop: Sequence[str] = ()
    privileged: bool = False
    seccomp: str | Mapping[str, Any] = "default"
    no_new_privileges: bool = True
    ulimits: Sequence[Ulimit] = ()
    shm_bytes: int = SHM_BYTES
    devices: Sequence[Device] = ()
    groups: Sequence[str] = ()
    sysctls: Mapping[str, str] = field(default_factory=dict)
    ipc: str = "private"
    uts: str = "private"
    domainname: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)


def choose_capabilities(add: Sequence[str], drop: Sequence[str], *, privileged: bool = False) -> tuple[str, ...]:
    """What is kept, by Docker's rules: names with or without CAP_ in any case, ALL for all; what is added wins over
    ALL that is dropped. Raises ValueError for names that Linux doesn't have."""
    if privileged:
        return tuple(CAPABILITIES)
    added, dropped = _names(add), _names(drop)
    base = set(CAPABILITIES if "ALL" in added else () if "ALL" in dropped else DEFAULT_CAPABILITIES)
    return tuple(name for name in CAPABILITIES if name in (base - dropped) | (added - dropped))


def parse_ulimit(text: str) -> Ulimit:
    """NAME=SOFT[:HARD]. Raises ValueError."""
    name, _, values = text.partition("=")
    soft, colon, hard = values.partition(":")
    try:
        numbers = (int(soft), int(hard if colon else soft))
    except ValueError:
        raise ValueError(f"expected NAME=SOFT or NAME=SOFT:HARD, got {text!r}") from None
    if name not in _RLIMITS:
        raise ValueError(f"expected one of {', '.join(sorted(_RLIMITS))}, got {name!r}")
    if min(numbers) < -1 or (numbers[1] >= 0 and not 0 <= numbers[0] <= numbers[1]):
        raise ValueError(f"expected a soft limit at or below the hard one, got {text!r}")
    return Ulimit(name=name, soft=numbers[0], hard=numbers[1])


def parse_device(text: str) -> Device:
    """SOURCE[:TARGET[:rwm]]. Raises ValueError, also for fewer rights: those take a cgroup that we don't use."""
    source, _, rest = text.partition(":")
    target, _, rights = rest.partition(":")
    if target and not target.startswith("/"):
        target, rights = "", rest
    if rights and (set(rights) - set("rwm") or not set("rw") <= set(rights)):
        raise ValueError(f"expected rw or rwm, got {rights!r}: who may open a device here may read and write it")
    if not source.startswith("/dev/"):
        raise ValueError(f"expected a device below /dev, got {source!r}")
    return Device(source=source, target=target or source)


def parse_namespace(text: str) -> str:
    """private, host or container:NAME, as it is. Raises ValueError."""
    kind, colon, name = text.partition(":")
    if text in ("", "private", "shareable", "none"):
        return "private"
    if text == "host" or (kind == "container" and colon and name):
        return text
    raise ValueError(f"expected private, host or container:NAME, got {text!r}")


def parse_sysctl(text: str) -> tuple[str, str]:
    """NAME=VALUE of a setting that belongs to a namespace. Raises ValueError."""
    name, equals, value = text.partition("=")
    name = name.replace("/", ".")
    if not equals or ".." in name:
        raise ValueError(f"expected NAME=VALUE, got {text!r}")
    if not name.startswith(("net.", *_IPC_SYSCTLS)):
        raise ValueError(
            f"expected a setting of a container's own, such as net.* or kernel.shm*, got {name!r}, the machine's"
        )
    return name, value


def find_runtime(name: str) -> str:
    """The program of an OCI runtime. Raises ContainerError."""
    import shutil  # costs every command two milliseconds otherwise

    found = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if found is None:
        raise ContainerError(
            f"expected an OCI runtime called {name!r}, found no such program",
            where="--runtime",
            hint="install it (apt-get install runc), give its path, or leave the flag out",
        )
    return os.path.abspath(found)


def _names(given: Sequence[str]) -> set[str]:
    names = {name.upper() for name in given}
    full = {name if name == "ALL" or name.startswith("CAP_") else f"CAP_{name}" for name in names}
    for name in sorted(full - {"ALL", *CAPABILITIES}):
        raise ValueError(f"expected a capability such as NET_ADMIN, or ALL, got {name!r}")
    return full
