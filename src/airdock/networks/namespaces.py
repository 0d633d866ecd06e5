"""Network namespaces by descriptor: making one, working in one for a moment, setting it up. network_namespaces(7).

Only for processes with one thread: a namespace is the thread's.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from airdock.runtime.syscalls import CLONE_NEWNET, Syscalls

__all__ = ["INSIDE", "new_namespace", "open_own", "within", "write_settings"]

INSIDE: Final[Mapping[str, tuple[str, ...]]] = {
    "net/ipv4/ip_unprivileged_port_start": ("0",),
    "net/ipv4/ping_group_range": ("0 2147483647", "0 65536", "0 0"),
    "net/ipv6/conf/default/disable_ipv6": ("1",),
}
"""Settings of a container's namespace, each with the values to be tried in order.

The namespace isn't the container's own, so its root has no capability there: it may bind port 80 and ping because
everybody may. The groups for ping must be mapped where the namespace was made.
"""


def open_own() -> int:
    """A descriptor of the network namespace that this process is in."""
    return os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


@contextmanager
def within(calls: Syscalls, namespace: int, home: int) -> Iterator[None]:
    """Be in `namespace` for a while, then back `home`."""
    calls.setns(namespace, CLONE_NEWNET)
    try:
        yield
    finally:
        calls.setns(home, CLONE_NEWNET)


def new_namespace(calls: Syscalls, home: int) -> int:
    """A fresh namespace with loopback up and `INSIDE` set; this process stays `home`."""
    calls.unshare(CLONE_NEWNET)
    try:
        calls.loopback_up()
        write_settings(INSIDE)
        return open_own()
    finally:
        calls.setns(home, CLONE_NEWNET)


def write_settings(settings: Mapping[str, tuple[str, ...]]) -> None:
    """Write below /proc/sys, of each setting the first value that the kernel takes; one that isn't there is left."""
    for name, values in settings.items():
        for value in values:
            try:
                with open(f"/proc/sys/{name}", "w", encoding="ascii") as file:
                    file.write(value)
                break
            except FileNotFoundError:
                break
            except OSError:
                if value == values[-1]:
                    raise
