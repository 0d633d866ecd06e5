"""A task's requirements as lines that two people would write alike."""

import re
from collections.abc import Iterable
from typing import Final

from airdock.errors import EnvironmentFailedError

__all__ = ["normalise"]

_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_COMMENT: Final = re.compile(r"(^|\s)#.*$")


def normalise(lines: Iterable[str]) -> tuple[str, ...]:
    """PEP 508 requirements without comments, empty lines, doubles and order.

    Raises EnvironmentFailedError for what can't be made into an image: options, and files of this machine.
    """
    found = (_normal(_COMMENT.sub("", line).strip()) for line in lines)
    return tuple(sorted({line for line in found if line}))


def _normal(line: str) -> str:
    if not line:
        return ""
    if line.startswith("-"):
        raise EnvironmentFailedError(
            f"expected a requirement such as 'pandas>=2.2', found the option {line!r}",
            hint="indexes, find-links and constraints are taken from pip's and uv's own settings",
        )
    name = _NAME.match(line)
    if name is None or line.startswith(("./", "../", "/")) or "file:" in line:
        raise EnvironmentFailedError(
            f"expected a requirement such as 'pandas>=2.2', found {line!r}",
            hint="a local package can be built in by a Dockerfile: dockerfile='…', with COPY and RUN pip install",
        )
    # Names are equal as PEP 503 says; everything after them is left to uv.
    return re.sub(r"[-_.]+", "-", name.group()).lower() + _spaced(line[name.end() :])


def _spaced(rest: str) -> str:
    """What follows the name. Extras and versions need no blanks; addresses and markers do."""
    end = next((index for index, character in enumerate(rest) if character in "@;"), len(rest))
    versions = "".join(rest[:end].split())
    return f"{versions} {rest[end]} {' '.join(rest[end + 1 :].split())}" if end < len(rest) else versions
