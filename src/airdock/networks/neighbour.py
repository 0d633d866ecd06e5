"""`--network container:NAME`: the network, and the files of names, of a container that runs."""

import fcntl
import os
from pathlib import Path
from typing import Final

from airdock.errors import NetworkError
from airdock.model.mount import Mount
from airdock.networks.attachments import HOSTS, RESOLV
from airdock.networks.base import Joined
from airdock.runtime.machine import is_real_root
from airdock.runtime.state import ContainerState, find_container

__all__ = ["join_container"]

_NS_GET_PARENT: Final = 0xB702
"""ioctl_ns(2)"""


def join_container(containers: Path, mode: str, *, notes: tuple[str, ...] = ()) -> Joined:
    """The place of another container. Raises UnknownContainerError, NetworkError when it doesn't run."""
    state = find_container(containers, mode.partition(":")[2])
    if not state.alive:
        raise NetworkError(
            f"expected container {state.name or state.id[:12]} to be running, found it {state.current_status}",
            where=f"--network {mode}",
        )
    mounts = tuple(
        Mount(source=str(path), target=f"/etc/{path.name}", read_only=False)
        for path in (Path(state.folder, name) for name in (HOSTS, RESOLV))
        if path.exists()
    )
    path = f"/proc/{state.command_pid}/ns/net"
    if Path(path).readlink() == Path("/proc/self/ns/net").readlink():
        return Joined(mode=mode, mounts=mounts, notes=notes)
    return Joined(
        mode=mode,
        namespace={"type": "network", "path": path},
        user_namespace="" if is_real_root() else _around(state),
        mounts=mounts,
        notes=notes,
    )


def _around(state: ContainerState) -> str:
    """The user namespace in which that container's was made: where its launcher lives. Held open by this process."""
    own = os.open(f"/proc/{state.command_pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return f"/proc/{os.getpid()}/fd/{fcntl.ioctl(own, _NS_GET_PARENT)}"
    finally:
        os.close(own)
