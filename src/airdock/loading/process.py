"""Runs a DAG file in a plain process, where the user said that nothing is to be isolated."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from airdock.loading.given import open_given
from airdock.loading.lines import tell_lines
from airdock.model.mount import Mount

__all__ = ["ProcessLoad"]


class ProcessLoad:
    """In a plain process, where the user said that nothing is to be isolated. `given` is its standard input."""

    def __init__(self, *, given: bytes = b"") -> None:
        self._given = given

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
        given = open_given(self._given)
        with subprocess.Popen(
            argv,
            env={**os.environ, **env},
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process:
            os.close(given)
            assert process.stdout is not None
            ended = os.pidfd_open(process.pid)
            try:
                tell_lines(process.stdout.fileno(), ended, tell, limit_s)
            finally:
                os.killpg(process.pid, signal.SIGKILL)  # not reaped yet: what it forked is in its session
                os.close(ended)
        return process.returncode
