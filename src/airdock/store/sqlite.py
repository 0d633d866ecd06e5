"""SQLite as SQLAlchemy's engine, set up for many readers and one writer at a time.

A commit survives the death of the process: its pages are with the kernel by then. That it survives a power cut too
takes a flush to the disk for each commit, which `durable` asks for; without it the last commits may be gone after a
power cut, and the database is whole in any case.
"""

import sqlite3
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL

__all__ = ["WRITE", "check_sqlite", "open_sqlite"]

WRITE = {"airdock_write": True}
"""Execution options of a connection whose transactions write."""

_BUSY_S = 30.0
_PAUSE_S = 0.005


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


def check_sqlite(connection: Connection) -> list[str]:
    """What is wrong with the file: broken pages and indexes, and rows whose run is gone."""
    found = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check")]
    lost = [f"a row of {row[0]} belongs to nothing" for row in connection.exec_driver_sql("PRAGMA foreign_key_check")]
    return [each for each in found if each != "ok"] + lost


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
