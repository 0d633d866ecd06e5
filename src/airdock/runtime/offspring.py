"""A process beside ours that must have one thread: forked where we have one too, else a fresh interpreter.

Forking a process with threads is a gamble on their locks; a fork of one without costs a millisecond, an interpreter
thirty.
"""

import fcntl
import importlib
import json
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

__all__ = ["main", "start_process"]

_FIRST_DESCRIPTOR: Final = 3
_PROGRAM: Final = (
    "import sys, json; given = json.loads(sys.argv[1]); sys.path[:0] = given.pop('path'); "
    "from airdock.runtime.offspring import main; main(**given)"
)


def start_process(function: str, arguments: Mapping[str, Any], descriptors: Sequence[int]) -> int:
    """Run "package.module:function"(descriptors, **arguments) in a new process of its own session; gives its pid.

    The function must not return, and closes what else it inherited. Arguments are JSON. The descriptors stay ours.
    """
    if threading.active_count() == 1 and len(os.listdir("/proc/self/task")) == 1:
        pid = os.fork()
        if pid == 0:
            try:
                # Imported here, while the parent imports what it needs on another processor.
                _find(function)(list(descriptors), **arguments)
            finally:
                os._exit(1)
        return pid
    return _spawn(function, arguments, descriptors)


def main(function: str, arguments: Mapping[str, Any], count: int) -> NoReturn:
    """Where a fresh interpreter begins."""
    descriptors = list(range(_FIRST_DESCRIPTOR, _FIRST_DESCRIPTOR + count))
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    _find(function)(descriptors, **arguments)
    raise AssertionError(f"{function} came back")


def _find(function: str) -> Any:
    module, _, name = function.partition(":")
    return getattr(importlib.import_module(module), name)


def _spawn(function: str, arguments: Mapping[str, Any], descriptors: Sequence[int]) -> int:
    path = [os.path.abspath(entry) for entry in sys.path if entry]
    given = json.dumps({"function": function, "arguments": arguments, "count": len(descriptors), "path": path})
    # Copies above the numbers that they get, so that no copy overwrites one that is still to be made.
    copies = [_copy_above(descriptor, _FIRST_DESCRIPTOR + len(descriptors)) for descriptor in descriptors]
    try:
        actions = [(os.POSIX_SPAWN_DUP2, copy, _FIRST_DESCRIPTOR + number) for number, copy in enumerate(copies)]
        argv = [sys.executable, "-I", "-S", "-c", _PROGRAM, given]
        return os.posix_spawn(sys.executable, argv, os.environ, file_actions=actions)
    finally:
        for copy in copies:
            os.close(copy)


def _copy_above(descriptor: int, lowest: int) -> int:
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, lowest)
