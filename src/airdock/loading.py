"""Loads DAG files away from this process: what users wrote runs in a container of the host image, with a time limit.

AIRDOCK_HOME/run/loads/<random>/
    dags.json       what came out; the only thing the container may write to
"""

import json
import os
import secrets
import selectors
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
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
_TAIL_LINES: Final = 12


class Load(Protocol):
    """Runs `argv` with `env` over ours where a DAG file may run, and gives its exit code.

    `place` is what it sees of where the DAG file lies, `output` the folder it may write to; `inside(output)` is the
    latter's path as it sees it. Every line that it prints is told to `tell`. Raises TimeoutError after `limit_s`, with
    everything of it killed.
    """

    def inside(self, output: Path) -> str: ...

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
        request = RunRequest(argv=argv, env=env, mounts=mounts, name=f"load-{output.name}", image_name="host")
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
            _tell_lines(reading, tell, limit_s)
            ended = container.wait(limit_s)
            if ended is None:
                raise TimeoutError
            return ended.exit_code
        finally:
            container.remove()
            os.close(reading)


class ProcessLoad:
    """In a plain process, where the user said that nothing is to be isolated."""

    def inside(self, output: Path) -> str:
        return str(output)

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
            argv, env={**os.environ, **env}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process:
            assert process.stdout is not None
            try:
                _tell_lines(process.stdout.fileno(), tell, limit_s)
                return process.wait(limit_s)
            except subprocess.TimeoutExpired:
                raise TimeoutError from None
            finally:
                process.kill()


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
        return seen, Mount(source=str(empty), target=str(inside))
    return (seen,)


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
    lines: list[str] = []

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
        shutil.rmtree(output, ignore_errors=True)


def _read(result: Path, path: Path, code: int, lines: list[str]) -> list[SerializedDag]:
    try:
        answer: dict[str, Any] = json.loads(result.read_bytes())
    except (FileNotFoundError, ValueError):
        said = "\n".join(f"    {line}" for line in lines[-_TAIL_LINES:])
        raise DagFileError(
            f"the file could not be loaded: its process ended with exit code {code}" + (f"\n{said}" if said else ""),
            where=str(path),
        ) from None
    if answer["error"]:
        raise _error(answer["error"])
    return [SerializedDag.from_dict(each) for each in answer["dags"]]


def _error(value: Mapping[str, str]) -> AirdockError:
    kind = getattr(errors, value["error"], AirdockError)
    error: AirdockError = kind(value["message"], where=value["where"], hint=value["hint"])
    return error


def _tell_lines(descriptor: int, tell: Callable[[str], None], limit_s: float) -> None:
    """Hand on lines until the other end is closed. Raises TimeoutError when that takes longer than `limit_s`."""
    deadline = time.monotonic() + limit_s
    kept = b""
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while True:
            if not selector.select(max(deadline - time.monotonic(), 0)):
                raise TimeoutError
            piece = os.read(descriptor, 1 << 16)
            *whole, kept = (kept + piece).split(b"\n")
            for line in [*whole, *([kept] if not piece and kept else [])]:
                tell(line.decode(errors="replace"))
            if not piece:
                return
