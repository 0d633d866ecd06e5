"""The tables of `store.registry` in a SQL database."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select

from airdock.store.dialect import upsert
from airdock.store.registry import KEYS, NUMBERED, Row
from airdock.store.schema import metadata

__all__ = ["SqlRows"]


class SqlRows:
    """In the transaction of a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def select(
        self, table: str, *, above: int | None = None, newest: int | None = None, **equals: Any
    ) -> Iterable[Row]:
        columns = metadata.tables[table].c
        order = [columns[name] if newest is None else columns[name].desc() for name in KEYS[table]]
        wanted = select(metadata.tables[table]).filter_by(**equals).order_by(*order).limit(newest)
        if above is not None:
            wanted = wanted.where(columns.number > above)
        return [dict(row._mapping) for row in self._connection.execute(wanted)]

    def upsert(self, table: str, rows: Sequence[Row]) -> None:
        if rows:
            statement = upsert(self._connection, metadata.tables[table], KEYS[table], tuple(rows[0]))
            self._connection.execute(statement, [dict(row) for row in rows])

    def add(self, table: str, rows: Sequence[Row]) -> list[int]:
        statement = insert(metadata.tables[table]).returning(metadata.tables[table].c.number)
        return [int(self._connection.execute(statement, dict(row)).scalar_one()) for row in rows]

    def delete(self, table: str, *, older: tuple[str, int] | None = None, **equals: Any) -> int:
        wanted = delete(metadata.tables[table]).where(*self._conditions(table, older, equals))
        return self._connection.execute(wanted).rowcount

    def count(self, table: str, *, older: tuple[str, int] | None = None, **equals: Any) -> int:
        wanted = select(func.count()).select_from(metadata.tables[table])
        return int(self._connection.execute(wanted.where(*self._conditions(table, older, equals))).scalar_one())

    def _conditions(self, table: str, older: tuple[str, int] | None, equals: Mapping[str, Any]) -> list[Any]:
        columns = metadata.tables[table].c
        found: list[Any] = [columns[name] == value for name, value in equals.items()]
        if older is not None:
            found.append(columns[older[0]] < older[1])
            if table in NUMBERED:
                found.append(columns.number != self.highest(table))
        return found

    def highest(self, table: str) -> int:
        found = self._connection.execute(select(func.max(metadata.tables[table].c.number))).scalar()
        return int(found or 0)

    def lowest(self, table: str, column: str, **equals: Any) -> int | None:
        wanted = select(func.min(metadata.tables[table].c[column])).filter_by(**equals)
        found: int | None = self._connection.execute(wanted).scalar()
        return found
