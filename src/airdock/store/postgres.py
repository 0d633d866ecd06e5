"""PostgreSQL as SQLAlchemy's engine, for several schedulers on one database.

Transactions that write take one lock of the database first, so that they follow each other as they do in SQLite: what a
commit counts of slots, limits and runs can't be counted by another beside it. Those that read see one moment and wait
for nobody. Leases go by the server's clock. A connection that was lost is made anew when it's next needed.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError

from airdock.errors import StoreError
from airdock.store.database import Database

__all__ = ["Postgres"]

_LOCK: Final = 0x41697244  # of all who write; a number that no other program should use
_WAIT_S: Final = 30
_OPTIONS: Final = " ".join(
    (
        f"-c lock_timeout={_WAIT_S * 1000}",
        f"-c idle_in_transaction_session_timeout={_WAIT_S * 1000}",  # a scheduler that hangs holds nobody up for ever
        "-c timezone=UTC",
    )
)


class Postgres(Database):
    """The database at a URL such as postgresql://user:password@host/name; version 15 or later.

    StoreError if the URL is another one, or if the driver isn't installed.
    """

    kind = "postgresql"
    reading: Mapping[str, str] = {"isolation_level": "REPEATABLE READ"}
    advice: Mapping[str, str] = {
        "does not exist": "make the database and its user first: createuser, createdb",
        "password": "see that the URL has the password, or ~/.pgpass",
        "permission denied": "let the user make tables in the database: GRANT ALL ON SCHEMA public",
        "lock timeout": "another scheduler held the database for long; look for one that hangs",
        "No space left": "make room on the server",
        "connection": "see that the server runs and lets this machine in",
    }

    def __init__(self, url: str) -> None:
        self.engine = _open(url)
        self.place = self.engine.url.set(drivername="postgresql").render_as_string(hide_password=True)

    def now(self, connection: Connection) -> datetime | None:
        found: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
        return found.astimezone(UTC)

    def check(self, connection: Connection) -> list[str]:
        """Only whether each table can be read: a server keeps what it has sound by itself."""
        from airdock.store.schema import metadata

        for table in metadata.sorted_tables:
            connection.execute(table.select().limit(1)).all()
        return []


def _open(url: str) -> Engine:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise StoreError("expected a URL such as postgresql://user@host/name", where="database.url") from error
    if parsed.drivername not in ("postgresql", "postgres", "postgresql+psycopg"):
        raise StoreError(
            f"expected a URL that begins with postgresql://, found {parsed.drivername}://", where="database.url"
        )
    try:
        engine = create_engine(
            parsed.set(drivername="postgresql+psycopg"),
            connect_args={"connect_timeout": 10, "options": _OPTIONS, "application_name": "airdock"},
            pool_pre_ping=True,
            hide_parameters=True,
        )
    except ModuleNotFoundError as error:
        raise StoreError(
            "PostgreSQL needs a driver that isn't installed", hint='pip install "airdock[postgres]"'
        ) from error

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if connection.get_execution_options().get("airdock_write", False):
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")

    return engine
