"""A container's first process in namespaces that are there already: a network, or another container's names or IPC.

Such a namespace belongs to a user namespace around the container's, so only the launcher may enter it, and not all
launchers could come back: an ordinary account has no rights over the machine's own. So a child of the launcher goes
in, and from there makes the first process as a sibling of itself; then it ends.

    launcher                       child                       first process
    fork ───────────────────────▶ setns, mounts /sys detached
                                   clone with CLONE_PARENT ──▶ a child of the launcher
    learns its pid ◀────────────── ends
"""

import json
import os
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from airdock.errors import ContainerError
from airdock.runtime.syscalls import (
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWUTS,
    CLONE_PARENT,
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_RDONLY,
    Syscalls,
)

__all__ = ["clone_joined", "joined_namespaces", "joined_network"]

_FLAGS: Final = {"network": CLONE_NEWNET, "ipc": CLONE_NEWIPC, "uts": CLONE_NEWUTS}


def joined_namespaces(config: Mapping[str, Any]) -> dict[str, str]:
    """The paths of the namespaces that a configuration wants joined, by their types."""
    return {entry["type"]: entry["path"] for entry in config["linux"]["namespaces"] if entry.get("path")}


def joined_network(config: Mapping[str, Any]) -> str:
    """The path of the network namespace that a configuration wants joined, or nothing."""
    return joined_namespaces(config).get("network", "")


def clone_joined(calls: Syscalls, paths: Mapping[str, str], flags: int) -> tuple[int, int, int]:
    """`Syscalls.clone` in the namespaces at `paths`, by their types.

    Gives (pid, pidfd, -1) in the caller and (0, -1, tree) in the new process, where `tree` is the network's /sys as a
    detached mount, or -1. Raises ContainerError.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    go_between = calls.fork()
    if go_between == 0:
        return _go_between(calls, paths, flags, writer)
    os.close(writer)
    with open(reader, "rb") as answers:
        answer = json.loads(answers.read() or '{"error": "it was killed"}')
    os.waitpid(go_between, 0)
    if "error" in answer:
        raise ContainerError(
            f"can't join the {answer.get('kind', 'network')} namespace: {answer['error']}",
            where=paths.get(answer.get("kind", ""), ""),
            hint="it ends with its last process; a container is joined while it runs",
        )
    return answer["pid"], os.pidfd_open(answer["pid"]), -1


def _go_between(calls: Syscalls, paths: Mapping[str, str], flags: int, writer: int) -> tuple[int, int, int]:
    kind = ""
    try:
        for kind, path in paths.items():
            calls.setns(os.open(path, os.O_RDONLY | os.O_CLOEXEC), _FLAGS[kind])
        tree = _open_sys(calls) if "network" in paths else -1
        pid, _ = calls.clone(flags | CLONE_PARENT)
        if pid == 0:
            return 0, -1, tree
        _end(writer, {"pid": pid})
    except OSError as error:
        _end(writer, {"error": error.strerror, "kind": kind})


def _open_sys(calls: Syscalls) -> int:
    """The namespace's /sys, read-only; the container itself has no right to mount it."""
    try:
        return calls.new_mount(
            "sysfs", {}, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC
        )
    except OSError:
        return -1  # where the machine's /sys is masked; the container then sees that


def _end(writer: int, answer: Mapping[str, Any]) -> NoReturn:
    try:
        os.write(writer, json.dumps(answer).encode())
    finally:
        os._exit(0)
