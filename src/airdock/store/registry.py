"""What the store keeps beside runs: DAGs of files, variables, connections, states.

The verbs are the same for every implementation; each says only how rows are read and written (`Rows`).
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, Protocol

from airdock.store.records import ConnectionRow, DagRow, ImportProblem, Variable
from airdock.store.times import known_time, micros, time_of

__all__ = ["KEYS", "NUMBERED", "Registry", "Row", "Rows"]

Row = Mapping[str, Any]

KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "dag_index": ("dag_id",),
    "import_problems": ("fileloc",),
    "variables": ("name",),
    "connections": ("id",),
    "states": ("scope", "name"),
    "asset_events": ("number",),
    "asset_marks": ("dag_id",),
    "backfills": ("number",),
    "callbacks": ("number",),
    "schedulers": ("owner",),
    "log": ("number",),
    "active_assets": ("name",),
    "duty_leases": ("name",),
    "deadlines": ("number",),
}
"""The tables of this module and of those of the verbs above it, with the columns that tell their rows apart."""

NUMBERED: Final = frozenset({"asset_events", "backfills", "callbacks", "deadlines", "log"})
"""Tables whose rows get rising numbers."""


class Rows(Protocol):
    """The rows of the tables, in one transaction."""

    def select(
        self, table: str, *, above: int | None = None, newest: int | None = None, **equals: Any
    ) -> Iterable[Row]:
        """The rows with these values, by key; those above a number, or so many with the highest ones first."""

    def upsert(self, table: str, rows: Sequence[Row]) -> None:
        """Put rows in, over those of the same key."""

    def add(self, table: str, rows: Sequence[Row]) -> list[int]:
        """Put rows into a numbered table; gives their numbers."""

    def delete(self, table: str, *, older: tuple[str, int] | None = None, **equals: Any) -> int:
        """Take these rows out, those in which a column is below a value; gives how many there were.

        The row with the highest number stays where `older` is given, so that no number is given twice.
        """

    def count(self, table: str, *, older: tuple[str, int] | None = None, **equals: Any) -> int:
        """How many rows `delete` would take out."""

    def highest(self, table: str) -> int:
        """The highest number that a row of a numbered table has; 0 for none."""

    def lowest(self, table: str, column: str, **equals: Any) -> int | None:
        """The lowest value in a column of the rows with these values; None for none."""


class Registry(ABC):
    """Verbs over the tables of `KEYS`; each is one transaction."""

    @abstractmethod
    def _rows(self, *, write: bool) -> AbstractContextManager[Rows]: ...

    # DAGs of files

    def save_loaded(
        self,
        files: Mapping[str, Collection[DagRow] | ImportProblem],
        *,
        gone: Collection[str] = (),
        paused: Mapping[str, bool] | None = None,
    ) -> None:
        """Keep what came of each file that was loaded; `gone` are files that aren't there any more.

        A DAG that is known keeps whether it is paused, a new one begins as `paused` says, or not paused. Those that a
        file has no longer aren't active any more. A file that can't be loaded keeps the DAGs it had.
        """
        with self._rows(write=True) as rows:
            changed: dict[str, dict[str, Any]] = {}
            for path in [*files, *gone]:
                rows.delete("import_problems", fileloc=path)
                found = files.get(path, ())
                if isinstance(found, ImportProblem):
                    rows.upsert("import_problems", [_problem_row(found)])
                    continue
                had = {row["dag_id"]: row for row in rows.select("dag_index", fileloc=path)}
                left = {dag_id: {**row, "is_active": 0} for dag_id, row in had.items()}
                for dag in found:
                    before = had.get(dag.dag_id) or next(iter(rows.select("dag_index", dag_id=dag.dag_id)), None)
                    is_paused = bool(before["is_paused"]) if before else (paused or {}).get(dag.dag_id, dag.is_paused)
                    left[dag.dag_id] = _dag_row(replace(dag, is_paused=is_paused))
                    if before is None:
                        self._mark(rows, dag.dag_id)
                changed.update(
                    {dag_id: row for dag_id, row in left.items() if dag_id not in changed or row["is_active"]}
                )
            rows.upsert("dag_index", list(changed.values()))

    def list_dags(self, *, only_active: bool = True) -> list[DagRow]:
        """By id."""
        with self._rows(write=False) as rows:
            found = [_dag_of(row) for row in rows.select("dag_index")]
        return [dag for dag in found if dag.is_active or not only_active]

    def paused_dags(self) -> frozenset[str]:
        """The ids of active DAGs that begin no runs."""
        with self._rows(write=False) as rows:
            return frozenset(row["dag_id"] for row in rows.select("dag_index", is_paused=1, is_active=1))

    def find_dag_row(self, dag_id: str) -> DagRow | None:
        with self._rows(write=False) as rows:
            return next((_dag_of(row) for row in rows.select("dag_index", dag_id=dag_id)), None)

    def pause_dags(self, dag_ids: Collection[str], *, is_paused: bool) -> frozenset[str]:
        """Let these DAGs begin no runs, or let them again; gives those that are there."""
        with self._rows(write=True) as rows:
            found = [row for row in rows.select("dag_index") if row["dag_id"] in dag_ids]
            rows.upsert("dag_index", [{**row, "is_paused": int(is_paused)} for row in found])
            for row in found if not is_paused else ():
                self._mark(rows, row["dag_id"])  # what happened meanwhile isn't made up for
            return frozenset(row["dag_id"] for row in found)

    def forget_dag(self, dag_id: str) -> bool:
        """Forget a DAG of a file; its runs stay. Whether there was one."""
        with self._rows(write=True) as rows:
            rows.delete("asset_marks", dag_id=dag_id)
            return rows.delete("dag_index", dag_id=dag_id) > 0

    def list_problems(self) -> list[ImportProblem]:
        """Files that can't be loaded, by path."""
        with self._rows(write=False) as rows:
            return [
                ImportProblem(fileloc=row["fileloc"], error=json.loads(row["error"]), at=known_time(row["at"]))
                for row in rows.select("import_problems")
            ]

    # Variables and connections

    def save_variable(self, variable: Variable) -> None:
        row = {"name": variable.name, "value": variable.value, "description": variable.description}
        with self._rows(write=True) as rows:
            rows.upsert("variables", [row])

    def load_variable(self, name: str) -> Variable | None:
        with self._rows(write=False) as rows:
            return next((Variable(**row) for row in rows.select("variables", name=name)), None)

    def list_variables(self) -> list[Variable]:
        """By name."""
        with self._rows(write=False) as rows:
            return [Variable(**row) for row in rows.select("variables")]

    def delete_variable(self, name: str) -> bool:
        with self._rows(write=True) as rows:
            return rows.delete("variables", name=name) > 0

    def save_connection(self, connection: ConnectionRow) -> None:
        row = {"id": connection.id, "conn_type": connection.conn_type, "value": connection.value,
               "description": connection.description}  # fmt: skip
        with self._rows(write=True) as rows:
            rows.upsert("connections", [row])

    def load_connection(self, id: str) -> ConnectionRow | None:
        with self._rows(write=False) as rows:
            return next((ConnectionRow(**row) for row in rows.select("connections", id=id)), None)

    def list_connections(self) -> list[ConnectionRow]:
        """By id."""
        with self._rows(write=False) as rows:
            return [ConnectionRow(**row) for row in rows.select("connections")]

    def delete_connection(self, id: str) -> bool:
        with self._rows(write=True) as rows:
            return rows.delete("connections", id=id) > 0

    # What tasks keep

    def load_state(self, scope: str, name: str, *, now: datetime) -> str | None:
        """The JSON text that is kept under the name, unless its time is over."""
        with self._rows(write=False) as rows:
            found = next(iter(rows.select("states", scope=scope, name=name)), None)
        if found is None or (found["until"] is not None and found["until"] <= (micros(now) or 0)):
            return None
        return str(found["value"])

    def save_state(self, scope: str, name: str, value: str, *, until: datetime | None = None) -> None:
        row = {"scope": scope, "name": name, "value": value, "until": micros(until)}
        with self._rows(write=True) as rows:
            rows.upsert("states", [row])

    def delete_states(self, scope: str, name: str | None = None) -> None:
        """Forget one value of a scope, or all."""
        with self._rows(write=True) as rows:
            wanted: dict[str, Any] = {"scope": scope} if name is None else {"scope": scope, "name": name}
            rows.delete("states", **wanted)

    def _mark(self, rows: Rows, dag_id: str) -> None:
        """A DAG that is new doesn't run for what was before it."""
        rows.upsert("asset_marks", [{"dag_id": dag_id, "event": rows.highest("asset_events")}])


def _dag_row(dag: DagRow) -> dict[str, Any]:
    return {
        "dag_id": dag.dag_id,
        "fileloc": dag.fileloc,
        "digest": dag.digest,
        "is_paused": int(dag.is_paused),
        "is_active": int(dag.is_active),
        "loaded": micros(dag.loaded),
    }


def _dag_of(row: Row) -> DagRow:
    return DagRow(
        dag_id=row["dag_id"],
        fileloc=row["fileloc"],
        digest=row["digest"],
        is_paused=bool(row["is_paused"]),
        is_active=bool(row["is_active"]),
        loaded=time_of(row["loaded"]),
    )


def _problem_row(problem: ImportProblem) -> dict[str, Any]:
    return {"fileloc": problem.fileloc, "error": json.dumps(dict(problem.error)), "at": micros(problem.at)}
