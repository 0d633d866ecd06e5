"""Runs a DAG file in a container of the host image."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from airdock.engine import Engine, RunRequest
from airdock.errors import AirdockError, LauncherDiedError
from airdock.loading.base import Job
from airdock.loading.given import open_given
from airdock.loading.lines import tell_lines
from airdock.model.mount import Mount

__all__ = ["ContainerRun"]

INSIDE: Final = "/run/airdock"
_TIMES: Final = 3
"""How often a file is loaded whose launcher dies: that says nothing of the file."""


class ContainerRun:
    """A `loading.cold.Run`, and by `start` a `loading.warm.Start`.

    What it runs sees the DAG folder, read-only, and nothing else of any home; of this machine it sees `folders`.
    """

    def __init__(self, *, engine: Engine, folders: Sequence[Mount] = ()) -> None:
        self._engine = engine
        self._folders = [replace(folder, read_only=True) for folder in folders]

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
        job: Job,
        *,
        output: Path,
        tell: Callable[[str], None],
        limit_s: float,
    ) -> int:
        mounts = [
            *self._folders,
            *job.place,
            Mount(source=str(output), target=INSIDE, read_only=False),
        ]
        request = RunRequest(
            argv=argv, env=job.environ, mounts=mounts, name=f"load-{output.name}", image_name="host", transient=True
        )
        for _ in range(_TIMES - 1):
            with contextlib.suppress(LauncherDiedError):
                return self._run(request, job.given, tell, limit_s)
        return self._run(request, job.given, tell, limit_s)

    def start(self, argv: Sequence[str], *, place: Sequence[Mount], stdin: int) -> Callable[[], None]:
        request = RunRequest(
            argv=[*argv, "--alone"],
            mounts=[*self._folders, *place],
            name=f"load-{secrets.token_hex(6)}",
            image_name="host",
            transient=True,
        )
        nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            image = self._engine.find("host")
            return self._engine.run(image, request, stdin=stdin, stdout=nothing, stderr=nothing).remove
        finally:
            os.close(nothing)

    def _run(self, request: RunRequest, given: bytes, tell: Callable[[str], None], limit_s: float) -> int:
        reading, writing = os.pipe2(os.O_CLOEXEC)
        stdin = open_given(given)
        try:
            image = self._engine.find("host")
            container = self._engine.run(image, request, stdin=stdin, stdout=writing, stderr=writing)
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
            os.close(stdin)
        try:
            tell_lines(reading, container.fileno(), tell, limit_s)
            ended = container.wait()
            assert ended is not None
            return ended.exit_code
        finally:
            container.remove()
            os.close(reading)
