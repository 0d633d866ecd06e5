"""The tables of `store.registry` in this process's memory."""

from collections.abc import Iterator, Sequence
from typing import Any

from airdock.store.registry import KEYS, NUMBERED, Row

__all__ = ["MemoryRows"]


class MemoryRows:
    """Whoever calls holds the store's lock."""

    def __init__(self) -> None:
        self._tables: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = {name: {} for name in KEYS}
        self._numbers = dict.fromkeys(NUMBERED, 0)

    def select(self, table: str, *, above: int | None = None, **equals: Any) -> Iterator[Row]:
        for _, row in sorted(self._tables[table].items()):
            is_wanted = all(row[name] == value for name, value in equals.items())
            if is_wanted and (above is None or row["number"] > above):
                yield dict(row)

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

    def delete(self, table: str, **equals: Any) -> int:
        rows = self._tables[table]
        gone = [key for key, row in rows.items() if all(row[name] == value for name, value in equals.items())]
        for key in gone:
            del rows[key]
        return len(gone)

    def highest(self, table: str) -> int:
        return self._numbers[table]
