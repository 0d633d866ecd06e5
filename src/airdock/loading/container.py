"""Runs a DAG file in a container of the host image."""

import contextlib
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from airdock.engine import Engine, RunRequest
from airdock.errors import AirdockError, LauncherDiedError
from airdock.loading.given import open_given
from airdock.loading.lines import tell_lines
from airdock.model.mount import Mount

__all__ = ["ContainerLoad"]

INSIDE: Final = "/run/airdock"
_TIMES: Final = 3
"""How often a file is loaded whose launcher dies: that says nothing of the file."""


class ContainerLoad:
    """In a container of the host image: it sees the DAG folder, read-only, and nothing else of any home.

    `given` is what it reads on standard input; it is never on a disk.
    """

    def __init__(self, *, engine: Engine, given: bytes = b"") -> None:
        self._engine, self._given = engine, given

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
        for _ in range(_TIMES - 1):
            with contextlib.suppress(LauncherDiedError):
                return self._run(request, tell, limit_s)
        return self._run(request, tell, limit_s)

    def _run(self, request: RunRequest, tell: Callable[[str], None], limit_s: float) -> int:
        reading, writing = os.pipe2(os.O_CLOEXEC)
        given = open_given(self._given)
        try:
            image = self._engine.find("host")
            container = self._engine.run(image, request, stdin=given, stdout=writing, stderr=writing)
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
            os.close(given)
        try:
            tell_lines(reading, container.fileno(), tell, limit_s)
            ended = container.wait()
            assert ended is not None
            return ended.exit_code
        finally:
            container.remove()
            os.close(reading)
