"""Loads one DAG file: what users wrote runs elsewhere, with a time limit, and what comes back is data.

AIRDOCK_HOME/run/loads/<random>/
    dags.json       what came out; the only thing the container may write to
"""

import contextlib
import errno
import json
import os
import secrets
import stat
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from airdock import errors
from airdock.dag.pythons import PYTHONS_VARIABLE
from airdock.dag.serialized import SerializedDag
from airdock.errors import AirdockError, DagFileError
from airdock.loading.base import Load
from airdock.model.mount import Mount

__all__ = ["TIME_LIMIT_S", "load_dag_file", "make_error", "read_plain"]

TIME_LIMIT_S: Final = 60.0
_ABANDONED_S: Final = 600.0
"""A folder of this age belongs to nobody any more: no load takes that long."""
_TAIL_LINES: Final = 12
_RESULT_BYTES: Final = 1 << 30


def load_dag_file(
    path: Path,
    *,
    load: Load,
    work: Path,
    pythons: tuple[str, ...],
    tell: Callable[[str], None],
    place: Callable[[Path], Sequence[Mount]],
    limit_s: float = TIME_LIMIT_S,
) -> list[SerializedDag]:
    """The DAGs of a file, or of the one DAG file in a folder.

    `work` is the folder for temporary ones. `pythons` are the versions that the file may ask for. `place` says what is
    to be seen of where the file lies. Raises DagFileError and the other DagErrors, as the file deserves.
    """
    path = path.absolute()
    if not path.exists():
        raise DagFileError(f"expected a DAG file or a folder with one, found nothing at {path}", where=str(path))
    output = work / secrets.token_hex(6)
    output.mkdir(parents=True)
    for abandoned in _abandoned(work):
        load.clear(abandoned)
    lines: deque[str] = deque(maxlen=_TAIL_LINES)

    def hear(line: str) -> None:
        lines.append(line)
        tell(line)

    try:
        argv = [
            sys.executable,
            "-P",
            "-m",
            "airdock.dag.load",
            str(path),
            "--output",
            f"{load.inside(output)}/dags.json",
        ]
        code = load(
            argv,
            env={PYTHONS_VARIABLE: ",".join(pythons)},
            place=place(path),
            output=output,
            tell=hear,
            limit_s=limit_s,
        )
        return _read(output / "dags.json", path, code, lines)
    except TimeoutError:
        raise DagFileError(
            f"the file was not loaded within {limit_s:g} s",
            where=str(path),
            hint="what takes long belongs into tasks, not into the top of the file",
        ) from None
    finally:
        load.clear(output)


def _abandoned(work: Path) -> Iterator[Path]:
    """Folders of processes that were killed while they loaded a file."""
    before = time.time() - _ABANDONED_S
    for folder in work.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if folder.stat().st_mtime < before:
                yield folder


def _read(result: Path, path: Path, code: int, lines: Iterable[str]) -> list[SerializedDag]:
    """What the container wrote, which is whatever the file's own code made of it."""
    try:
        answer: dict[str, Any] = json.loads(read_plain(result))
        if answer["error"]:
            raise make_error(answer["error"])
        return [SerializedDag.from_dict(each) for each in answer["dags"]]
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        _check_room(result.parent)
        said = "\n".join(f"    {line}" for line in lines)
        raise DagFileError(
            f"the file could not be loaded: its process ended with exit code {code}" + (f"\n{said}" if said else ""),
            where=str(path),
            hint="a DAG file is imported, so it mustn't exit" if code == 0 else "",
        ) from None


def read_plain(path: Path) -> bytes:
    """A file that others could have put there: no link is followed, no pipe waited for, no endless file read."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _RESULT_BYTES:
            raise ValueError("expected a plain file")
        return file.read(_RESULT_BYTES)


def make_error(value: Mapping[str, str]) -> AirdockError:
    """The error that `AirdockError.to_dict` told."""
    kind = getattr(errors, value["error"], None)
    if not (isinstance(kind, type) and issubclass(kind, AirdockError)):
        kind = AirdockError
    error: AirdockError = kind(str(value["message"]), where=str(value["where"]), hint=str(value["hint"]))
    return error


def _check_room(folder: Path) -> None:
    """OSError where the disk is full, which is no fault of the file."""
    if os.statvfs(folder).f_bavail == 0:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
