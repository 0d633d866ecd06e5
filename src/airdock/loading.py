"""Loads DAG files away from this process: what users wrote runs in a container of the host image, with a time limit.

AIRDOCK_HOME/run/loads/<random>/
    dags.json       what came out; the only thing the container may write to
"""

import contextlib
import json
import os
import secrets
import select
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from airdock import errors
from airdock.dag.pythons import PYTHONS_VARIABLE
from airdock.dag.serialized import SerializedDag
from airdock.engine import Engine, RunRequest
from airdock.errors import AirdockError, DagFileError
from airdock.model.mount import Mount

__all__ = ["ContainerLoad", "Load", "ProcessLoad", "load_dag_file", "make_place"]

INSIDE: Final = "/run/airdock"
TIME_LIMIT_S: Final = 60.0
_ABANDONED_S: Final = 600.0
"""A folder of this age belongs to nobody any more: no load takes that long."""
_TAIL_LINES: Final = 12
_TOLD_LINES: Final = 1000
"""How many lines of what a file prints are told: what comes after is read and dropped."""
_LINE_BYTES: Final = 4096
_RESULT_BYTES: Final = 1 << 30


class Load(Protocol):
    """Runs `argv` with `env` over ours where a DAG file may run, and gives its exit code.

    `place` is what it sees of where the DAG file lies, `output` the folder it may write to; `inside(output)` is the
    latter's path as it sees it. Every line that it prints is told to `tell`. Raises TimeoutError after `limit_s`, with
    everything of it killed.
    """

    def inside(self, output: Path) -> str: ...

    def clear(self, output: Path) -> None:
        """Remove the folder, whatever the file's code made in it."""

    def __call__(
        self,
        argv: list[str],
        *,
        env: Mapping[str, str],
        place: Sequence[Mount],
        output: Path,
        tell: Callable[[str], None],
        limit_s: float,
    ) -> int: ...


class ContainerLoad:
    """In a container of the host image: it sees the DAG folder, read-only, and nothing else of any home."""

    def __init__(self, *, engine: Engine) -> None:
        self._engine = engine

    def inside(self, output: Path) -> str:
        return INSIDE

    def clear(self, output: Path) -> None:
        try:
            self._engine.launcher.remove(output)
        except AirdockError:  # where no launcher can be had, nobody has written there
            shutil.rmtree(output, ignore_errors=True)

    def __call__(
        self,
        argv: list[str],
        *,
        env: Mapping[str, str],
        place: Sequence[Mount],
        output: Path,
        tell: Callable[[str], None],
        limit_s: float,
    ) -> int:
        mounts = [
            *place,
            Mount(source=str(output), target=INSIDE, read_only=False),
        ]
        request = RunRequest(
            argv=argv, env=env, mounts=mounts, name=f"load-{output.name}", image_name="host", transient=True
        )
        reading, writing = os.pipe2(os.O_CLOEXEC)
        nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        try:
            image = self._engine.find("host")
            container = self._engine.run(image, request, stdin=nothing, stdout=writing, stderr=writing)
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
            os.close(nothing)
        try:
            _tell_lines(reading, container.fileno(), tell, limit_s)
            ended = container.wait()
            assert ended is not None
            return ended.exit_code
        finally:
            container.remove()
            os.close(reading)


class ProcessLoad:
    """In a plain process, where the user said that nothing is to be isolated."""

    def inside(self, output: Path) -> str:
        return str(output)

    def clear(self, output: Path) -> None:
        shutil.rmtree(output, ignore_errors=True)

    def __call__(
        self,
        argv: list[str],
        *,
        env: Mapping[str, str],
        place: Sequence[Mount],
        output: Path,
        tell: Callable[[str], None],
        limit_s: float,
    ) -> int:
        with subprocess.Popen(
            argv,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process:
            assert process.stdout is not None
            ended = os.pidfd_open(process.pid)
            try:
                _tell_lines(process.stdout.fileno(), ended, tell, limit_s)
            finally:
                os.killpg(process.pid, signal.SIGKILL)  # not reaped yet: what it forked is in its session
                os.close(ended)
        return process.returncode


def make_place(path: Path, *, home: Path, own: Path, empty: Path) -> tuple[Mount, ...]:
    """What a DAG file's code sees of where it lies, read-only: its folder, or a folder that is given itself.

    Where that holds the account's `home`, only the file; and of Airdock's `own` home never anything but `empty`.
    Raises DagFileError for a folder that holds the home.
    """
    folder = path if path.is_dir() else path.parent
    if home.resolve().is_relative_to(folder.resolve()):
        if path.is_dir():
            raise DagFileError(
                f"expected a folder of DAG files, found one that holds the home {home}",
                where=str(path),
                hint="name the file; of the home, tasks see nothing else",
            )
        return (Mount(source=str(path), target=str(path)),)
    seen = Mount(source=str(folder), target=str(folder))
    if own.resolve().is_relative_to(folder.resolve()):
        inside = folder / own.resolve().relative_to(folder.resolve())
        return seen, Mount(source=str(empty), target=str(_shown(inside, folder)))
    return (seen,)


def _shown(path: Path, folder: Path) -> Path:
    """The part of `path` that is there also where `folder` is bound without what is mounted below it."""
    below = [path, *path.parents]
    between = reversed(below[: below.index(folder)])
    return next((part for part in between if part.is_mount()), path)


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
        answer: dict[str, Any] = json.loads(_read_plain(result))
        if answer["error"]:
            raise _error(answer["error"])
        return [SerializedDag.from_dict(each) for each in answer["dags"]]
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        said = "\n".join(f"    {line}" for line in lines)
        raise DagFileError(
            f"the file could not be loaded: its process ended with exit code {code}" + (f"\n{said}" if said else ""),
            where=str(path),
            hint="a DAG file is imported, so it mustn't exit" if code == 0 else "",
        ) from None


def _read_plain(path: Path) -> bytes:
    """A file that others could have put there: no link is followed, no pipe waited for, no endless file read."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _RESULT_BYTES:
            raise ValueError("expected a plain file")
        return file.read(_RESULT_BYTES)


def _error(value: Mapping[str, str]) -> AirdockError:
    kind = getattr(errors, value["error"], None)
    if not (isinstance(kind, type) and issubclass(kind, AirdockError)):
        kind = AirdockError
    error: AirdockError = kind(str(value["message"]), where=str(value["where"]), hint=str(value["hint"]))
    return error


def _tell_lines(descriptor: int, ended: int, tell: Callable[[str], None], limit_s: float) -> None:
    """Hand on lines until the process ended whose output they are. Raises TimeoutError when that takes `limit_s`.

    `ended` becomes readable with its end: a process that it left behind may hold its output open. A line is cut where
    it is too long, and lines are dropped where there are too many.
    """
    lines = _Lines(tell)
    deadline = time.monotonic() + limit_s
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    poll.register(ended, select.POLLIN)
    os.set_blocking(descriptor, False)
    while True:
        left_s = deadline - time.monotonic()
        ready = dict(poll.poll(left_s * 1000)) if left_s > 0 else {}
        if not ready:
            raise TimeoutError
        if descriptor in ready and not lines.take(descriptor):
            poll.unregister(descriptor)
        elif ended in ready:
            break
    lines.end(descriptor)


class _Lines:
    """Lines cut out of what is read."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._kept = b""
        self._left = _TOLD_LINES

    def take(self, descriptor: int) -> bool:
        """Tell what is there, at most one piece; False where nothing more will come."""
        try:
            piece = os.read(descriptor, 1 << 16)
        except BlockingIOError:
            return True
        *whole, kept = (self._kept + piece).split(b"\n")
        self._kept = kept[:_LINE_BYTES]
        for line in whole:
            self._say(line)
        return bool(piece)

    def end(self, descriptor: int) -> None:
        """Tell what was printed last, without waiting."""
        deadline = time.monotonic() + 1  # whoever it left behind may print for ever
        while time.monotonic() < deadline and select.select([descriptor], [], [], 0)[0] and self.take(descriptor):
            pass
        if self._kept:
            self._say(self._kept)

    def _say(self, line: bytes) -> None:
        self._left -= 1
        if self._left >= 0:
            self._tell(line[:_LINE_BYTES].decode(errors="replace"))
        elif self._left == -1:
            self._tell(f"(more than {_TOLD_LINES} lines: the rest is left out)")
