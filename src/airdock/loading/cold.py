"""Runs each job in a process of its own, started for it.

AIRDOCK_HOME/run/loads/<random>/
    questions.json  what is asked, if anything
    result.json     what came out; the folder is the only one that a container may write to
"""

import contextlib
import errno
import os
import secrets
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Protocol

from airdock.files import save_json
from airdock.loading.base import Ended, Job

__all__ = ["RESULT_BYTES", "ColdLoad", "Run"]

RESULT_BYTES: Final = 1 << 30
"""More than this is no result."""
_ABANDONED_S: Final = 600.0
"""A folder of this age belongs to nobody any more: no load takes that long."""


class Run(Protocol):
    """Runs `argv` for a job, and gives its exit code.

    `output` is the folder it may write to, `inside(output)` that folder's path as it sees it. Every line that it prints
    is told to `tell`. Raises TimeoutError after `limit_s`, with everything killed.
    """

    def inside(self, output: Path) -> str: ...

    def clear(self, output: Path) -> None:
        """Remove the folder, whatever the file's code made in it."""

    def __call__(
        self,
        argv: list[str],
        job: Job,
        *,
        output: Path,
        tell: Callable[[str], None],
        limit_s: float,
    ) -> int: ...


class ColdLoad:
    """A `Load`. `work` is the folder for temporary ones."""

    def __init__(self, run: Run, *, work: Path) -> None:
        self._run, self._work = run, work

    def __call__(self, job: Job, *, tell: Callable[[str], None], limit_s: float) -> Ended:
        output = self._work / secrets.token_hex(6)
        output.mkdir(parents=True)
        for abandoned in self._abandoned():
            self._run.clear(abandoned)
        try:
            inside = self._run.inside(output)
            argv = [sys.executable, "-P", "-m", job.module, str(job.path), "--output", f"{inside}/result.json"]
            if job.root is not None:
                argv += ["--root", str(job.root)]
            if job.questions is not None:
                save_json(output / "questions.json", list(job.questions), durable=False)
                argv += ["--questions", f"{inside}/questions.json"]
            code = self._run(argv, job, output=output, tell=tell, limit_s=limit_s)
            return Ended(exit_code=code, result=_read_plain(output / "result.json"))
        finally:
            self._run.clear(output)

    def _abandoned(self) -> Iterator[Path]:
        """Folders of processes that were killed while they loaded a file."""
        before = time.time() - _ABANDONED_S
        for folder in self._work.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if folder.stat().st_mtime < before:
                    yield folder


def _read_plain(path: Path) -> bytes | None:
    """A file that others could have put there: no link is followed, no pipe waited for, no endless file read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        if os.statvfs(path.parent).f_bavail == 0:  # which is no fault of the file
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path.parent)) from None
        return None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > RESULT_BYTES:
            return None
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(RESULT_BYTES)
    finally:
        os.close(descriptor)
