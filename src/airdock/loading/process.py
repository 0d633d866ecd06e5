"""Runs a DAG file in a plain process, where the user said that nothing is to be isolated."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from airdock.loading.lines import tell_lines
from airdock.model.mount import Mount

__all__ = ["ProcessLoad"]


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
                tell_lines(process.stdout.fileno(), ended, tell, limit_s)
            finally:
                os.killpg(process.pid, signal.SIGKILL)  # not reaped yet: what it forked is in its session
                os.close(ended)
        return process.returncode
