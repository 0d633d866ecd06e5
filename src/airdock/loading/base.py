"""The contract of where a DAG file is run in order to be read."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from airdock.model.mount import Mount
from airdock.record import record

__all__ = ["Ended", "Job", "Load"]


@record
class Job:
    """A DAG file, or a folder with one, that `python -m module` runs.

    `place` is what its process sees of where the file lies, and `root` the folder that all DAG files there may import
    from, where there is one. `environ` comes over ours, `given` is its standard input, never on a disk, and `questions`
    is what it is asked, as JSON.
    """

    module: str
    path: Path
    place: tuple[Mount, ...] = ()
    root: Path | None = None
    environ: Mapping[str, str]
    given: bytes = b""
    questions: Sequence[Mapping[str, Any]] | None = None


@record
class Ended:
    """How a job ended: `result` is what it wrote, which is whatever the file's own code made of it."""

    exit_code: int
    result: bytes | None


class Load(Protocol):
    """Runs a job where a DAG file may run. Every line that it prints is told to `tell`.

    Raises TimeoutError after `limit_s`, with everything of it killed, and OSError where the disk is full.
    """

    def __call__(self, job: Job, *, tell: Callable[[str], None], limit_s: float) -> Ended: ...
