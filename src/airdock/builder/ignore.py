"""Which files of a context don't count: `.dockerignore`, the last rule that matches wins.

Rules: https://docs.docker.com/build/concepts/context/#dockerignore-files.
"""

import posixpath
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from airdock.builder.globs import compile_glob
from airdock.errors import BuildError, DockerfileError
from airdock.record import record

__all__ = ["IgnoreRules", "Verdict", "load_ignore_file", "parse_ignore_file"]

_LARGEST_IGNORE_FILE: Final = 1 << 20


@record
class Verdict:
    """Whether a path is ignored, and which rules it or a folder above it met: what its children start from."""

    ignored: bool = False
    met: tuple[bool, ...] = ()


@dataclass(slots=True)
class _Rule:
    pattern: str
    keeps: bool
    matches: Callable[[str], bool] | None = field(default=None)

    def meets(self, path: str) -> bool:
        if self.matches is None:
            self.matches = compile_glob(self.pattern, deep=True)
        return self.matches(path)


class IgnoreRules:
    """An ordered list of patterns, `!` before those that keep.

    Raises `DockerfileError` for a lone `!` when made, for malformed patterns when they are first tried.
    """

    def __init__(self, patterns: Sequence[str], *, where: str = ".dockerignore") -> None:
        self.where = where
        self._rules: list[_Rule] = []
        for pattern in patterns:
            text = pattern.strip()
            keeps = text.startswith("!")
            text = text.removeprefix("!")
            if keeps and not text.strip():
                raise DockerfileError("expected a pattern after '!', found none", where=where)
            if text:
                self._rules.append(_Rule(_clean(text), keeps))

    def __len__(self) -> int:
        return len(self._rules)

    @property
    def has_exceptions(self) -> bool:
        """Whether something below an ignored folder may still count."""
        return any(rule.keeps for rule in self._rules)

    def judge(self, path: str, above: Verdict | None = None) -> Verdict:
        """The verdict on `path` (relative, clean), given that on the folder it is in."""
        met = above.met if above and above.met else (False,) * len(self._rules)
        try:
            now = tuple(before or rule.meets(path) for rule, before in zip(self._rules, met, strict=True))
        except DockerfileError as error:
            raise DockerfileError(error.message, where=self.where) from error
        last = next((rule for rule, hit in zip(reversed(self._rules), reversed(now), strict=True) if hit), None)
        return Verdict(ignored=last is not None and not last.keeps, met=now)

    def ignores(self, path: str) -> bool:
        """Whether `path` is ignored, by itself or by a folder above it."""
        parts = _clean(path).split("/")
        verdict = Verdict()
        for end in range(1, len(parts) + 1):
            verdict = self.judge("/".join(parts[:end]) or "/", verdict)
        return verdict.ignored


def parse_ignore_file(text: str) -> tuple[str, ...]:
    """The patterns of an ignore file: comments and blank lines dropped, paths cleaned, a leading slash removed."""
    patterns = []
    for line in text.removeprefix("\ufeff").split("\n"):
        if line.startswith("#") or not line.strip():
            continue
        pattern = line.strip()
        keeps = pattern.startswith("!")
        pattern = pattern[1:].strip() if keeps else pattern
        if pattern:
            pattern = _clean(pattern)
            pattern = pattern[1:] if len(pattern) > 1 and pattern.startswith("/") else pattern
        patterns.append("!" * keeps + pattern)
    return tuple(patterns)


def _clean(path: str) -> str:
    cleaned = posixpath.normpath(path)
    return cleaned[1:] if cleaned.startswith("//") else cleaned


def load_ignore_file(name: str, context: Path) -> tuple[str, tuple[str, ...]]:
    """The ignore file's name and patterns: the Dockerfile's own, `NAME.dockerignore`, before the context's."""
    beside = Path(f"{name}.dockerignore")
    candidates = [beside] if beside.is_absolute() else []
    for path in (*candidates, context / beside.name, context / ".dockerignore"):
        try:
            with path.open(encoding="utf-8", errors="surrogateescape") as file:
                return path.name, parse_ignore_file(file.read(_LARGEST_IGNORE_FILE))
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            continue
        except OSError as error:
            raise BuildError(f"expected to read {str(path)!r}, found: {error.strerror}") from error
    return ".dockerignore", ()
