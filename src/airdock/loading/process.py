"""Runs a DAG file in a plain process, where the user said that nothing is to be isolated."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from airdock.loading.base import Job
from airdock.loading.given import open_given
from airdock.loading.lines import tell_lines
from airdock.model.mount import Mount

__all__ = ["ProcessRun"]

_END_S: Final = 2.0


class ProcessRun:
    """A `loading.cold.Run`, and by `start` a `loading.warm.Start`, without any walls."""

    def inside(self, output: Path) -> str:
        return str(output)

    def clear(self, output: Path) -> None:
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
        stdin = open_given(job.given)
        with subprocess.Popen(
            argv,
            env={**os.environ, **job.environ},
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process:
            os.close(stdin)
            assert process.stdout is not None
            ended = os.pidfd_open(process.pid)
            try:
                tell_lines(process.stdout.fileno(), ended, tell, limit_s)
            finally:
                os.killpg(process.pid, signal.SIGKILL)  # not reaped yet: what it forked is in its session
                os.close(ended)
        return process.returncode

    def start(self, argv: Sequence[str], *, place: Sequence[Mount], stdin: int) -> Callable[[], None]:
        process = subprocess.Popen(
            argv, stdin=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )

        def end() -> None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_END_S)  # it ends with its standard input, and ends its forks, whose sessions are theirs
            process.kill()
            process.wait()

        return end
