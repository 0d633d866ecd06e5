"""A container's first process in a network namespace that is there already.

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
from typing import Any, NoReturn

from airdock.errors import ContainerError
from airdock.runtime.syscalls import (
    CLONE_NEWNET,
    CLONE_PARENT,
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_RDONLY,
    Syscalls,
)

__all__ = ["clone_joined", "joined_network"]


def joined_network(config: Mapping[str, Any]) -> str:
    """The path of the network namespace that a configuration wants joined, or nothing."""
    entries = config["linux"]["namespaces"]
    return next((entry.get("path", "") for entry in entries if entry["type"] == "network"), "")


def clone_joined(calls: Syscalls, path: str, flags: int) -> tuple[int, int, int]:
    """`Syscalls.clone` in the namespace at `path`: (pid, pidfd, -1) in the caller, (0, -1, tree) in the new process,
    where `tree` is that namespace's /sys as a detached mount, or -1. Raises ContainerError."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    go_between = calls.fork()
    if go_between == 0:
        return _go_between(calls, path, flags, writer)
    os.close(writer)
    with open(reader, "rb") as answers:
        answer = json.loads(answers.read() or '{"error": "it was killed"}')
    os.waitpid(go_between, 0)
    if "error" in answer:
        raise ContainerError(
            f"can't join the network namespace: {answer['error']}",
            where=path,
            hint="it ends with its last process; a container is joined while it runs",
        )
    return answer["pid"], os.pidfd_open(answer["pid"]), -1


def _go_between(calls: Syscalls, path: str, flags: int, writer: int) -> tuple[int, int, int]:
    try:
        namespace = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        calls.setns(namespace, CLONE_NEWNET)
        tree = _open_sys(calls)
        pid, _ = calls.clone(flags | CLONE_PARENT)
        if pid == 0:
            return 0, -1, tree
        _end(writer, {"pid": pid})
    except OSError as error:
        _end(writer, {"error": error.strerror})


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
