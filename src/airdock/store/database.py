"""What a database has of its own: how it's opened, whose clock counts, what its errors advise."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, Engine

__all__ = ["READ", "WRITE", "Database"]

READ = {"airdock_write": False}
WRITE = {"airdock_write": True}
"""Execution options of connections, by whether their transactions write. Those that write follow each other."""


class Database(ABC):
    """A database that `sql.SqlStore` keeps its tables in. `place` is what people know it by, without passwords."""

    kind: str
    place: str
    engine: Engine
    advice: Mapping[str, str]
    """What to do, by a part of what the database says."""

    reading: Mapping[str, str] = {}
    """Execution options of connections that only read."""

    @abstractmethod
    def now(self, connection: Connection) -> datetime | None:
        """The time by the database's own clock, UTC; None where it has none but this machine's."""

    @abstractmethod
    def check(self, connection: Connection) -> list[str]:
        """What is wrong with the database, a sentence each."""
