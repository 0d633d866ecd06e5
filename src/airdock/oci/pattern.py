"""Shell patterns as Go's `path.Match` reads them: `*` and `?` stop at a slash, `[a-z]`, `[^a]`, backslash escapes."""

import re

from airdock.errors import InvalidReferenceError

__all__ = ["matches_pattern"]


def matches_pattern(pattern: str, text: str) -> bool:
    """Whether `pattern` covers the whole of `text`; `InvalidReferenceError` for a pattern that is none."""
    return re.fullmatch(_translate(pattern), text, re.DOTALL) is not None


def _translate(pattern: str) -> str:
    parts: list[str] = []
    at = 0
    while at < len(pattern):
        sign = pattern[at]
        if sign == "[":
            at, part = _translate_class(pattern, at)
            parts.append(part)
            continue
        if sign == "\\":
            at += 1
            parts.append(re.escape(_at(pattern, at)))
        else:
            parts.append({"*": "[^/]*", "?": "[^/]"}.get(sign) or re.escape(sign))
        at += 1
    return "".join(parts)


def _translate_class(pattern: str, start: int) -> tuple[int, str]:
    at = start + 1
    negated = _at(pattern, at) == "^"
    at += negated
    ranges: list[str] = []
    while not ranges or _at(pattern, at) != "]":
        at, low = _member(pattern, at)
        high = low
        if _at(pattern, at) == "-":
            at, high = _member(pattern, at + 1)
        if low <= high:
            ranges.append(f"{re.escape(low)}-{re.escape(high)}")
    return at + 1, f"[{'^' if negated else ''}{''.join(ranges)}]"


def _member(pattern: str, at: int) -> tuple[int, str]:
    sign = _at(pattern, at)
    if sign in "-]":
        raise InvalidReferenceError(f"expected a pattern with well-formed brackets, found {pattern!r}")
    if sign == "\\":
        at += 1
        sign = _at(pattern, at)
    return at + 1, sign


def _at(pattern: str, at: int) -> str:
    if at >= len(pattern):
        raise InvalidReferenceError(f"expected a complete pattern, found {pattern!r}, which breaks off")
    return pattern[at]
