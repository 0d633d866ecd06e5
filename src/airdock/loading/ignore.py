"""`.airflowignore`: which files of a DAG folder are left alone, by globs as in gitignore(5)."""

import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Final

__all__ = ["IGNORE_FILE", "Ignore"]

IGNORE_FILE: Final = ".airflowignore"

_PIECES: Final = re.compile(r"\*\*/|/\*\*$|\*\*|\*|\?|\[!?\]?[^]]*\]|\\.|.", re.DOTALL)


class Ignore:
    """The rules of a folder and of those above it; the last rule that fits decides, and `!` takes a file back in."""

    def __init__(self, rules: Iterable[tuple[PurePosixPath, str]] = ()) -> None:
        self._rules = tuple(rules)

    def below(self, folder: PurePosixPath, text: str) -> "Ignore":
        """With what the ignore file in this folder adds; paths are relative to the DAG folder."""
        lines = (line.rstrip() for line in text.splitlines())
        return Ignore((*self._rules, *((folder, line) for line in lines if line and not line.startswith("#"))))

    def is_ignored(self, path: PurePosixPath, *, is_folder: bool) -> bool:
        """Whether the last rule that fits says so. A folder that is ignored is ignored with all that is in it."""
        for folder, rule in reversed(self._rules):
            negated = rule.startswith("!")
            if _fits(rule.removeprefix("!"), path.relative_to(folder).as_posix(), is_folder=is_folder):
                return not negated
        return False


def _fits(rule: str, path: str, *, is_folder: bool) -> bool:
    if rule.endswith("/"):
        if not is_folder:
            return False
        rule = rule.rstrip("/")
    if "/" not in rule:
        path = path.rpartition("/")[2]
    return _compile(rule.removeprefix("/")).fullmatch(path) is not None


@lru_cache(maxsize=1024)
def _compile(rule: str) -> re.Pattern[str]:
    return re.compile("".join(_translate(piece) for piece in _PIECES.findall(rule)), re.DOTALL)


def _translate(piece: str) -> str:
    match piece:
        case "**/":
            return "(?:.*/)?"
        case "/**":
            return "/.*"
        case "**":
            return ".*"
        case "*":
            return "[^/]*"
        case "?":
            return "[^/]"
        case _ if piece.startswith("[") and len(piece) > 1:
            inner = piece[1:-1].replace("\\", "\\\\")
            return f"[{'^' + inner[1:] if inner.startswith('!') else inner}]"
        case _ if piece.startswith("\\") and len(piece) > 1:
            return re.escape(piece[1])
        case _:
            return re.escape(piece)
