"""Patterns over slash-separated paths: Go's `filepath.Match`, and Docker's ignore rules with `**` on top of it.

    *        any run of characters but slashes
    ?        any character but a slash
    [a-z]    one of a class; [^a-z] none of it; backslash escapes inside
    \\c       the character c itself
    **       (ignore rules only) any run of whole folders, also none; at the end, everything

Rules: https://pkg.go.dev/path/filepath#Match and https://docs.docker.com/build/concepts/context/#dockerignore-files.
"""

import re
from collections.abc import Callable
from typing import Final

from airdock.errors import DockerfileError

__all__ = ["compile_glob", "has_wildcards", "matches_glob"]

_MAX_REGEX_WILDCARDS: Final = 4
"""With more of them, a regular expression's backtracking could go on for ever; then all ends are followed at once."""

_Part = tuple[str, str]
"""What to match: ("text", character), ("class", regular expression), or a wildcard's name and ""."""

_REGEX: Final = {"any": "[^/]", "run": "[^/]*", "folders": "(?:.*/)?", "rest": ".*"}


def has_wildcards(pattern: str) -> bool:
    """Whether a COPY source is a pattern; escaped wildcards don't count."""
    return re.search(r"[*?\[]", re.sub(r"\\.", "", pattern, flags=re.DOTALL)) is not None


def matches_glob(pattern: str, path: str) -> bool:
    """Whether `path` is what `pattern` (without `**`) means. Raises `DockerfileError` for a malformed pattern."""
    return compile_glob(pattern, deep=False)(path)


def compile_glob(pattern: str, *, deep: bool) -> Callable[[str], bool]:
    """What tells whether a whole path matches. `deep` gives `**` its meaning. Raises `DockerfileError`."""
    parts = _parse(pattern, deep)
    if sum(kind in ("run", "folders", "rest") for kind, _ in parts) > _MAX_REGEX_WILDCARDS:
        return lambda path: len(path) in _ends(parts, path)
    regex = re.compile("".join(_render(part) for part in parts), re.DOTALL)
    return lambda path: regex.fullmatch(path) is not None


def _render(part: _Part) -> str:
    kind, value = part
    if kind == "text":
        return re.escape(value)
    return value if kind == "class" else _REGEX[kind]


def _ends(parts: list[_Part], path: str) -> set[int]:
    ends = {0}
    for kind, value in parts:
        if kind == "run":
            ends = {to for at in ends for to in range(at, _segment_end(path, at) + 1)}
        elif kind == "rest":
            ends = set(range(min(ends), len(path) + 1))
        elif kind == "folders":
            first = min(ends)
            ends |= {at + 1 for at in range(first, len(path)) if path[at] == "/"}
        else:
            single = re.compile(_render((kind, value)), re.DOTALL)
            ends = {at + 1 for at in ends if at < len(path) and single.match(path, at)}
        if not ends:
            break
    return ends


def _segment_end(path: str, at: int) -> int:
    end = path.find("/", at)
    return len(path) if end < 0 else end


def _parse(pattern: str, deep: bool) -> list[_Part]:
    parts: list[_Part] = []
    at = 0
    while at < len(pattern):
        character = pattern[at]
        at += 1
        if character == "*" and deep and pattern.startswith("*", at):
            at += 2 if pattern.startswith("/", at + 1) else 1
            kind = "rest" if at >= len(pattern) else "folders"
            if not parts or parts[-1] != (kind, ""):
                parts.append((kind, ""))
        elif character == "*":
            if not parts or parts[-1] != ("run", ""):
                parts.append(("run", ""))
        elif character == "?":
            parts.append(("any", ""))
        elif character == "[":
            regex, at = _parse_class(pattern, at)
            parts.append(("class", regex))
        elif character == "\\":
            parts.append(("text", _take(pattern, at)))
            at += 1
        else:
            parts.append(("text", character))
    return parts


def _parse_class(pattern: str, at: int) -> tuple[str, int]:
    """The class that begins after the bracket at `at - 1`, as a regular expression, and where it ends."""
    negated = _take(pattern, at) == "^"
    at += negated
    ranges = ""
    while not ranges or _take(pattern, at) != "]":
        low, at = _parse_member(pattern, at)
        high = low
        if _take(pattern, at) == "-":
            high, at = _parse_member(pattern, at + 1)
        if low > high:
            raise DockerfileError(f"syntax error in pattern {pattern!r}: expected {low!r} before {high!r} in a range")
        ranges += f"{re.escape(low)}-{re.escape(high)}"
    return f"[{'^' * negated}{ranges}]", at + 1


def _parse_member(pattern: str, at: int) -> tuple[str, int]:
    character = _take(pattern, at)
    if character in "-]":
        raise DockerfileError(f"syntax error in pattern {pattern!r}: expected a character, found {character!r}")
    if character == "\\":
        return _take(pattern, at + 1), at + 2
    return character, at + 1


def _take(pattern: str, at: int) -> str:
    if at >= len(pattern):
        raise DockerfileError(f"syntax error in pattern {pattern!r}: it breaks off")
    return pattern[at]
