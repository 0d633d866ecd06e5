"""What a registry asks for in `WWW-Authenticate`. Source: RFC 9110, section 11.6.1."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from airdock.record import positional

__all__ = ["Challenge", "parse_challenges"]

_WORD: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER: Final = re.compile(rf'\s*({_WORD})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_WORD}))\s*(?:,|$)')
_SCHEME: Final = re.compile(rf"\s*,*\s*({_WORD})(?:\s+|$|(?=,))")


@positional
class Challenge:
    """A scheme in lower case ("basic", "bearer") and its parameters, their names in lower case."""

    scheme: str
    parameters: Mapping[str, str]


def parse_challenges(headers: Iterable[str]) -> Sequence[Challenge]:
    """All challenges in the order they came; what can't be read ends its header."""
    return [challenge for header in headers for challenge in _parse(header)]


def _parse(header: str) -> Iterable[Challenge]:
    at = 0
    while match := _SCHEME.match(header, at):
        at = match.end()
        parameters: dict[str, str] = {}
        while found := _PARAMETER.match(header, at):
            at = found.end()
            name, quoted, plain = found.groups()
            value = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            parameters.setdefault(name.lower(), value)
        yield Challenge(match[1].lower(), parameters)
        if at >= len(header):
            return
