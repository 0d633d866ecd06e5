"""Asks the timetables that a DAG file's author wrote, where the file may run: see `dag.ask_timetable`."""

import json
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final

from airdock.errors import DagFileError
from airdock.loading.base import Ended, Job, Load
from airdock.loading.file import last_words, make_error

__all__ = ["ASKER", "ask_timetables"]

ASKER: Final = "airdock.dag.ask_timetable"
_LIMIT_S: Final = 30.0
_TAIL_LINES: Final = 12


def ask_timetables(job: Job, *, load: Load, limit_s: float = _LIMIT_S) -> list[Mapping[str, Any]]:
    """An answer to each question of a job for `ASKER`, in their order. Raises DagFileError and other DagErrors."""
    lines: deque[str] = deque(maxlen=_TAIL_LINES)
    try:
        return _read(load(job, tell=lines.append, limit_s=limit_s), job, lines)
    except TimeoutError:
        raise DagFileError(f"the file's timetables didn't answer within {limit_s:g} s", where=str(job.path)) from None


def _read(ended: Ended, job: Job, lines: Iterable[str]) -> list[Mapping[str, Any]]:
    count = len(job.questions or ())
    try:
        answer: dict[str, Any] = json.loads(ended.result or b"")
        if answer["error"]:
            raise make_error(answer["error"])
        answers: list[Mapping[str, Any]] = [dict(each) for each in answer["answers"]]
        if len(answers) != count:
            raise ValueError(f"expected {count} answers, found {len(answers)}")
        return answers
    except (ValueError, TypeError, KeyError, AttributeError):
        raise DagFileError(
            "the file's timetables couldn't be asked: "
            f"its process ended with exit code {ended.exit_code}{last_words(lines)}",
            where=str(job.path),
        ) from None
