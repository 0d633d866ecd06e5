"""SQLite as SQLAlchemy's engine, set up for many readers and one writer at a time.

A commit survives the death of the process: its pages are with the kernel by then. That it survives a power cut too
takes a flush to the disk for each commit, which `durable` asks for; without it the last commits may be gone after a
power cut, and the database is whole in any case.
"""

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL

__all__ = ["WRITE", "open_sqlite"]

WRITE = {"airdock_write": True}
"""Execution options of a connection whose transactions write."""

_BUSY_S = 30.0


def open_sqlite(path: Path, *, durable: bool = False) -> Engine:
    """The engine over the database file at `path`, which is made if it isn't there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        URL.create("sqlite", database=str(path)), connect_args={"timeout": _BUSY_S, "check_same_thread": False}
    )

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver begins no transactions of its own
        for setting in (
            "journal_mode = WAL",
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
