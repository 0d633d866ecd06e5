"""Checks of the names that users write: ids, and keywords with the nearest valid one in the message."""

import sys
from collections.abc import Collection, Iterable
from typing import Final

from airdock.errors import DagError

__all__ = ["calling_place", "check_id", "check_keywords", "nearest"]

_PACKAGE: Final = __file__.removesuffix("dag/names.py")
_ID_LENGTH: Final = 250


def check_id(value: object, kind: str, where: str) -> None:
    """DagError unless `value` is an id as Airflow takes it: letters, digits, `_`, `-`, `.`, at most 250 characters."""
    if not isinstance(value, str):
        raise DagError(f"expected the {kind} to be a string, found {type(value).__name__} {value!r}", where=where)
    if not value or len(value) > _ID_LENGTH:
        raise DagError(f"expected a {kind} of 1 to {_ID_LENGTH} characters, found {len(value)}", where=where)
    wrong = sorted({character for character in value if not (character.isalnum() or character in "_-.")})
    if wrong:
        raise DagError(
            f"expected the {kind} to have only letters, digits, '_', '-' and '.', found {value!r}",
            where=where,
            hint=f"leave out {' '.join(map(repr, wrong))}",
        )


def check_keywords(given: Iterable[str], accepted: Collection[str], what: str, where: str) -> None:
    """DagError for the first keyword that `what` doesn't take."""
    for name in given:
        if name not in accepted:
            raise DagError(f"{what} takes no argument {name!r}", where=where, hint=nearest(name, accepted))


def nearest(name: str, names: Iterable[str]) -> str:
    """A sentence with the names that look most like `name`, or an empty string."""
    from difflib import get_close_matches  # costs more than the rest of the module; only a wrong name needs it

    close = get_close_matches(name, sorted(names), n=3, cutoff=0.6)
    return f"did you mean {' or '.join(repr(each) for each in close)}?" if close else ""


def calling_place() -> str:
    """`file:line` of the nearest caller outside of Airdock, which is where a user wrote something."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
