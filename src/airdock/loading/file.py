"""Loads one DAG file: what users wrote runs elsewhere, with a time limit, and what comes back is data."""

import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from airdock import errors
from airdock.dag.serialized import SerializedDag
from airdock.errors import AirdockError, DagFileError
from airdock.loading.base import Ended, Job, Load

__all__ = ["LOADER", "TIME_LIMIT_S", "last_words", "load_dag_file", "make_error"]

TIME_LIMIT_S: Final = 60.0
LOADER: Final = "airdock.dag.load"
_TAIL_LINES: Final = 12


def load_dag_file(
    job: Job, *, load: Load, tell: Callable[[str], None], limit_s: float = TIME_LIMIT_S
) -> list[SerializedDag]:
    """The DAGs of a file, or of the one DAG file in a folder, that a job for `LOADER` is about.

    Raises DagFileError and the other DagErrors, as the file deserves.
    """
    if not job.path.exists():
        raise DagFileError(
            f"expected a DAG file or a folder with one, found nothing at {job.path}", where=str(job.path)
        )
    lines: deque[str] = deque(maxlen=_TAIL_LINES)

    def hear(line: str) -> None:
        lines.append(line)
        tell(line)

    try:
        return _read(load(job, tell=hear, limit_s=limit_s), job, lines)
    except TimeoutError:
        raise DagFileError(
            f"the file was not loaded within {limit_s:g} s",
            where=str(job.path),
            hint="what takes long belongs into tasks, not into the top of the file",
        ) from None


def _read(ended: Ended, job: Job, lines: Iterable[str]) -> list[SerializedDag]:
    try:
        answer: dict[str, Any] = json.loads(ended.result or b"")
        if answer["error"]:
            raise make_error(answer["error"])
        return [SerializedDag.from_dict(each) for each in answer["dags"]]
    except (ValueError, TypeError, KeyError, AttributeError):
        raise DagFileError(
            f"the file could not be loaded: its process ended with exit code {ended.exit_code}{last_words(lines)}",
            where=str(job.path),
            hint="a DAG file is imported, so it mustn't exit" if ended.exit_code == 0 else "",
        ) from None


def last_words(lines: Iterable[str]) -> str:
    """Lines as they're told below a message."""
    return "".join(f"\n    {line}" for line in lines)


def make_error(value: Mapping[str, str]) -> AirdockError:
    """The error that `AirdockError.to_dict` told."""
    kind = getattr(errors, value["error"], None)
    if not (isinstance(kind, type) and issubclass(kind, AirdockError)):
        kind = AirdockError
    error: AirdockError = kind(str(value["message"]), where=str(value["where"]), hint=str(value["hint"]))
    return error
