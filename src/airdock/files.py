"""Files that are either there whole or not at all: temporary file, flush, rename.

directory/
  .tmp-XXXXXXXX     being written; a leftover means its writer died, and may be removed
  name              appears in one step
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

__all__ = ["TEMPORARY_PREFIX", "open_atomic", "save_bytes", "save_json"]

TEMPORARY_PREFIX = ".tmp-"


@contextmanager
def open_atomic(path: Path, *, mode: int = 0o644, durable: bool = True) -> Iterator[IO[bytes]]:
    """Write `path` through a temporary neighbour that is renamed into place when the block ends well.

    `durable` flushes to the disk first; leave it off for what can be made again. On an exception nothing appears.
    """
    temporary = path.parent / f"{TEMPORARY_PREFIX}{os.urandom(8).hex()}"
    descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def save_bytes(path: Path, content: bytes, *, mode: int = 0o644, durable: bool = True) -> None:
    """Put `content` at `path` in one step."""
    with open_atomic(path, mode=mode, durable=durable) as file:
        file.write(content)


def save_json(path: Path, value: Any, *, mode: int = 0o644, durable: bool = True) -> None:
    """Put `value` at `path` as JSON, in one step."""
    save_bytes(path, json.dumps(value).encode(), mode=mode, durable=durable)
