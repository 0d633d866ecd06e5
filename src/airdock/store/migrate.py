"""Bring a metadata database to the version this Airdock knows."""

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, text

from airdock.errors import StoreError

__all__ = ["HEAD", "migrate", "read_version"]

HEAD: Final = "0003"
"""The latest migration. Known here so that a database that is up to date is seen to be without loading Alembic."""

_SCRIPTS = Path(__file__).with_name("migrations")


def read_version(connection: Connection) -> str:
    """The migration that the database is at; empty for a new one."""
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or ""


def migrate(connection: Connection) -> None:
    """Migrate in the connection's transaction, which must keep other writers out.

    StoreError if a later Airdock made the database.
    """
    version = read_version(connection)
    if version == HEAD:
        return
    if version > HEAD:
        raise StoreError(
            f"the metadata database was made by a later Airdock: expected version {HEAD} at most, found {version}",
            hint="upgrade Airdock, or set another AIRDOCK_HOME",
        )
    _upgrade(connection)


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
