"""Which errors of a database pass by themselves."""

import sqlite3
from typing import Final

from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError

__all__ = ["is_away"]

_PASSING: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
    }
)


def is_away(error: SQLAlchemyError) -> bool:
    """Whether the same may well work later: locked, on a full disk, or its server can't be reached."""
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    cause = error.orig
    return not isinstance(cause, sqlite3.Error) or cause.sqlite_errorcode & 0xFF in _PASSING
