"""Statements that databases spell differently."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Table

__all__ = ["upsert"]


def upsert(connection: Connection, table: Table, keys: Collection[str], changed: Collection[str] | None = None) -> Any:
    """An INSERT that writes these columns over a row of the same key; with none the row that is there stays."""
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert
    else:
        from sqlalchemy.dialects.sqlite import insert  # type: ignore[assignment]
    statement = insert(table)
    given = [name for name in changed or () if name not in keys]
    if not given:
        return statement.on_conflict_do_nothing(index_elements=list(keys))
    return statement.on_conflict_do_update(
        index_elements=list(keys), set_={name: statement.excluded[name] for name in given}
    )
