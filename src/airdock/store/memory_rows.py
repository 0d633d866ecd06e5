"""The tables of `store.registry` in this process's memory."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from airdock.store.registry import KEYS, NUMBERED, Row

__all__ = ["MemoryRows"]


class MemoryRows:
    """Whoever calls holds the store's lock."""

    def __init__(self) -> None:
        self._tables: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = {name: {} for name in KEYS}
        self._numbers = dict.fromkeys(NUMBERED, 0)

    def select(
        self, table: str, *, above: int | None = None, newest: int | None = None, **equals: Any
    ) -> Iterator[Row]:
        found = (
            dict(row)
            for _, row in sorted(self._tables[table].items(), reverse=newest is not None)
            if all(row[name] == value for name, value in equals.items()) and (above is None or row["number"] > above)
        )
        return islice(found, newest)

    def upsert(self, table: str, rows: Sequence[Row]) -> None:
        for row in rows:
            self._tables[table][tuple(row[name] for name in KEYS[table])] = dict(row)

    def add(self, table: str, rows: Sequence[Row]) -> list[int]:
        numbers = []
        for row in rows:
            self._numbers[table] += 1
            numbers.append(self._numbers[table])
            self.upsert(table, [{**row, "number": numbers[-1]}])
        return numbers

    def delete(self, table: str, *, older: tuple[str, int] | None = None, **equals: Any) -> int:
        gone = self._find(table, older, equals)
        for key in gone:
            del self._tables[table][key]
        return len(gone)

    def count(self, table: str, *, older: tuple[str, int] | None = None, **equals: Any) -> int:
        return len(self._find(table, older, equals))

    def _find(self, table: str, older: tuple[str, int] | None, equals: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        rows = self._tables[table]
        gone = [key for key, row in rows.items() if all(row[name] == value for name, value in equals.items())]
        if older is not None:
            column, value = older
            gone = [key for key in gone if rows[key][column] is not None and rows[key][column] < value]
            if table in NUMBERED:
                gone = [key for key in gone if key != (self._numbers[table],)]
        return gone

    def highest(self, table: str) -> int:
        return self._numbers[table]

    def lowest(self, table: str, column: str, **equals: Any) -> int | None:
        return min((self._tables[table][key][column] for key in self._find(table, None, equals)), default=None)
