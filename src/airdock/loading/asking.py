"""Asks the timetables that a DAG file's author wrote, where the file may run: see `dag.ask_timetable`.

AIRDOCK_HOME/run/loads/<random>/
    questions.json  what is asked
    answers.json    what came out
"""

import json
import secrets
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from airdock.errors import DagFileError
from airdock.files import save_json
from airdock.loading.base import Load
from airdock.loading.file import make_error, read_plain
from airdock.model.mount import Mount

__all__ = ["ask_timetables"]

_LIMIT_S: Final = 30.0
_TAIL_LINES: Final = 12


def ask_timetables(
    path: Path,
    questions: Sequence[Mapping[str, Any]],
    *,
    load: Load,
    work: Path,
    place: Callable[[Path], Sequence[Mount]],
    limit_s: float = _LIMIT_S,
) -> list[Mapping[str, Any]]:
    """An answer to each question about DAGs of the file, in their order. Raises DagFileError and other DagErrors."""
    output = work / secrets.token_hex(6)
    output.mkdir(parents=True)
    lines: deque[str] = deque(maxlen=_TAIL_LINES)
    try:
        save_json(output / "questions.json", list(questions), durable=False)
        seen = load.inside(output)
        argv = [sys.executable, "-P", "-m", "airdock.dag.ask_timetable", str(path)]
        argv += ["--questions", f"{seen}/questions.json", "--output", f"{seen}/answers.json"]
        code = load(argv, env={}, place=place(path), output=output, tell=lines.append, limit_s=limit_s)
        return _read(output / "answers.json", path, len(questions), code, lines)
    except TimeoutError:
        raise DagFileError(f"the file's timetables didn't answer within {limit_s:g} s", where=str(path)) from None
    finally:
        load.clear(output)


def _read(result: Path, path: Path, count: int, code: int, lines: "deque[str]") -> list[Mapping[str, Any]]:
    try:
        answer: dict[str, Any] = json.loads(read_plain(result))
        if answer["error"]:
            raise make_error(answer["error"])
        answers: list[Mapping[str, Any]] = [dict(each) for each in answer["answers"]]
        if len(answers) != count:
            raise ValueError(f"expected {count} answers, found {len(answers)}")
        return answers
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        said = "\n".join(f"    {line}" for line in lines)
        raise DagFileError(
            f"the file's timetables couldn't be asked: its process ended with exit code {code}"
            + (f"\n{said}" if said else ""),
            where=str(path),
        ) from None
