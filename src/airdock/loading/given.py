"""What a DAG file may ask while it is loaded: variables and connections, given on standard input."""

import os
from pathlib import Path
from typing import Final

__all__ = ["asks", "open_given"]

_WORDS: Final = (b"Variable", b"onnection")
"""One of them stands in each file that asks; others are given nothing."""


def asks(path: Path) -> bool:
    """Whether a DAG file, or one in a folder, may ask for variables or connections."""
    files = sorted(path.glob("*.py")) if path.is_dir() else [path]
    try:
        return any(word in file.read_bytes() for file in files for word in _WORDS)
    except OSError:  # who loads it says what is wrong with it
        return False


def open_given(given: bytes) -> int:
    """A descriptor to read this from, held in memory; the caller closes it."""
    if not given:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    descriptor = os.memfd_create("airdock-given", os.MFD_CLOEXEC)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(given)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
