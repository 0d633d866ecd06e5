"""What `ps` shows for a process that never executed anything of its own."""

import ctypes
from typing import Final

__all__ = ["set_title"]

_ARG_START: Final = 45  # of /proc/<pid>/stat, counted behind the name: proc_pid_stat(5)


def set_title(title: str) -> None:
    """Overwrite this process's command line, which containers would see at their pid 1: it may hold anything."""
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    start, end = int(fields[_ARG_START]), int(fields[_ARG_START + 1])
    if start and end - start > 1:
        text = title.encode()[: end - start - 1]
        ctypes.memset(start, 0, end - start)
        ctypes.memmove(start, text, len(text))
