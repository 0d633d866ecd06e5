"""SQLite as SQLAlchemy's engine, set up for many readers and one writer at a time.

A commit survives the death of the process: its pages are with the kernel by then. That it survives a power cut too
takes a flush to the disk for each commit, which `durable` asks for; without it the last commits may be gone after a
power cut, and the database is whole in any case.
"""

import sqlite3
import time
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL

from airdock.store.database import Database

__all__ = ["Sqlite", "open_sqlite"]

_BUSY_S = 30.0
_PAUSE_S = 0.005

_ANEW: Final = "move it away to begin anew; past runs are lost with it"
_ADVICE: Final = {
    "is full": "make room there; then --resume finishes the run",
    "disk I/O error": "make room there, or look at the disk; then --resume finishes the run",
    "not a database": _ANEW,
    "malformed": _ANEW,
    "readonly": "let this account write there, or set another AIRDOCK_HOME",
    "unable to open": "let this account write there, or set another AIRDOCK_HOME",
}
"""What to do, by what SQLite says: sqlite3_errstr."""


class Sqlite(Database):
    """The file at `path`. SQLite has no server, so the clock is this machine's."""

    kind = "sqlite"
    advice = _ADVICE

    def __init__(self, path: Path, *, durable: bool = False) -> None:
        self.place = str(path)
        self.engine = open_sqlite(path, durable=durable)

    def now(self, connection: Connection) -> datetime | None:
        return None

    def check(self, connection: Connection) -> list[str]:
        """Broken pages and indexes, and rows whose run is gone."""
        found = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check")]
        lost = connection.exec_driver_sql("PRAGMA foreign_key_check")
        return [each for each in found if each != "ok"] + [f"a row of {row[0]} belongs to nothing" for row in lost]


def open_sqlite(path: Path, *, durable: bool = False) -> Engine:
    """The engine over the database file at `path`, which is made if it isn't there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        connect_args={"timeout": _BUSY_S, "check_same_thread": False},
        hide_parameters=True,  # there are secrets among them, and thousands in a batch
    )

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver begins no transactions of its own
        _write_ahead(connection)
        for setting in (
            f"synchronous = {'FULL' if durable else 'NORMAL'}",
            "foreign_keys = ON",
            "cache_size = -65536",
        ):
            connection.execute(f"PRAGMA {setting}").close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A writer that begins as a reader can't wait for another writer: it would have to see its changes first.
        writes = connection.get_execution_options().get("airdock_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Set the journal's mode. Where several do so at once to a new file, SQLite refuses all but one without waiting,
    whatever time-out it was given."""
    deadline = time.monotonic() + _BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").close()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE_S)
        else:
            return
