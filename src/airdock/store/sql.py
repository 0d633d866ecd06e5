"""The store in a SQL database: SQLAlchemy Core over SQLite."""

import json
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, delete, insert, or_, select, text, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from airdock.clock import Clock, SystemClock
from airdock.errors import ConflictError, StoreError, UnknownRunError
from airdock.model.keys import RunKey, TaskKey, TryKey
from airdock.model.states import RunState, TaskState
from airdock.store import rows
from airdock.store.base import ACTIVE, RETURN_VALUE, Store
from airdock.store.dialect import upsert
from airdock.store.migrate import HEAD, migrate, read_version
from airdock.store.records import DEFAULT_POOL, Answer, Batch, Instance, Pool, Run, Try, XCom
from airdock.store.schema import OPEN_RUNS, answers, dags, runs, task_instances, tries, xcoms
from airdock.store.schema import pools as pool_rows
from airdock.store.sql_commit import commit
from airdock.store.sql_hand import clear, force
from airdock.store.sql_rows import SqlRows
from airdock.store.sqlite import WRITE, open_sqlite

__all__ = ["SqlStore"]


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


class SqlStore(Store):
    """A file that several processes may use at once.

    SQLite has no server, so the clock of leases is this machine's. `durable` is explained in `store.sqlite`.
    """

    def __init__(self, *, path: Path, clock: Clock | None = None, durable: bool = False) -> None:
        self._path = path
        self._clock = clock or SystemClock()
        self._engine = open_sqlite(path, durable=durable)
        self._writer = threading.Lock()  # threads queue up here, where SQLite would have them sleep and try again
        self._ids: dict[RunKey, int] = {}
        try:
            self._migrate()
        except StoreError:
            self.close()
            raise

    def _migrate(self) -> None:
        with self._read() as connection:
            if read_version(connection) == HEAD:
                return
        with self._write() as connection:
            migrate(connection)

    def close(self) -> None:
        self._engine.dispose()

    def now(self) -> datetime:
        return self._clock.now()

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with self._translated(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        writer = self._engine.execution_options(**WRITE)
        with self._writer, self._translated(), writer.begin() as connection:
            yield connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or error)
            hint = next((advice for words, advice in _ADVICE.items() if words in reason), "")
            raise StoreError(f"the metadata database refused: {reason}", where=str(self._path), hint=hint) from error

    def save_dag(self, digest: str, *, dag_id: str, body: Mapping[str, Any]) -> None:
        row = {"digest": digest, "dag_id": dag_id, "body": rows.dump(dict(body))}
        with self._write() as connection:
            connection.execute(upsert(connection, dags, ("digest",)), row)

    @contextmanager
    def _rows(self, *, write: bool) -> Iterator[SqlRows]:
        with self._write() if write else self._read() as connection:
            yield SqlRows(connection)

    def load_dag(self, digest: str) -> Mapping[str, Any]:
        with self._read() as connection:
            body = connection.execute(select(dags.c.body).where(dags.c.digest == digest)).scalar()
        if body is None:
            raise StoreError(f"there is no DAG with digest {digest}")
        loaded: dict[str, Any] = json.loads(body)
        return loaded

    def save_pools(self, pools: Collection[Pool]) -> None:
        found = [
            {"name": pool.name, "slots": pool.slots, "description": pool.description,
             "include_deferred": int(pool.include_deferred)}
            for pool in pools
        ]  # fmt: skip
        with self._write() as connection:
            connection.execute(upsert(connection, pool_rows, ("name",), found[0] if found else ()), found)

    def delete_pool(self, name: str) -> bool:
        if name == DEFAULT_POOL:
            return False
        with self._write() as connection:
            return connection.execute(delete(pool_rows).where(pool_rows.c.name == name)).rowcount > 0

    def list_pools(self) -> list[Pool]:
        with self._read() as connection:
            found = connection.execute(select(pool_rows).order_by(pool_rows.c.name))
            return [rows.pool_of(row._mapping) for row in found]

    def create_run(self, run: Run, instances: Sequence[Instance], *, mark: int | None = None) -> None:
        try:
            with self._write() as connection:
                number = connection.execute(insert(runs).returning(runs.c.id), rows.run_row(run)).scalar_one()
                if instances:
                    found = [rows.instance_row(instance, run=number) for instance in instances]
                    connection.execute(insert(task_instances), found)
                if mark is not None:
                    SqlRows(connection).upsert("asset_marks", [{"dag_id": run.key.dag_id, "event": mark}])
        except StoreError as error:
            if isinstance(error.__cause__, IntegrityError):
                raise ConflictError(
                    "there is such a run, or one for this logical date, already", where=run.key.run_id
                ) from error
            raise
        self._ids[run.key] = number

    def load_run(self, key: RunKey) -> Run:
        with self._read() as connection:
            return self._load_run(connection, key)

    def _load_run(self, connection: Connection, key: RunKey) -> Run:
        row = connection.execute(select(runs).where(runs.c.id == self._id(connection, key))).one()
        return rows.run_of(row._mapping)

    def _id(self, connection: Connection, key: RunKey) -> int:
        number = self._ids.get(key)
        if number is None:
            wanted = select(runs.c.id).where(runs.c.dag_id == key.dag_id, runs.c.run_id == key.run_id)
            number = connection.execute(wanted).scalar()
            if number is None:
                raise UnknownRunError(f"there is no run {key.run_id!r} of DAG {key.dag_id!r}")
            self._ids[key] = number
        return number

    def list_runs(
        self,
        *,
        dag_id: str | None = None,
        run_id: str | None = None,
        states: Collection[RunState] | None = None,
        backfill: int | None = None,
        limit: int = 100,
    ) -> list[Run]:
        wanted = select(runs).order_by(runs.c.created.desc(), runs.c.id.desc()).limit(limit)
        if dag_id is not None:
            wanted = wanted.where(runs.c.dag_id == dag_id)
        if run_id is not None:
            wanted = wanted.where(runs.c.run_id == run_id)
        if states is not None:
            # Said literally where it can be, so that the index of open runs answers it.
            open_only = set(states) == {RunState.QUEUED, RunState.RUNNING}
            wanted = wanted.where(
                text(f"runs.{OPEN_RUNS}") if open_only else runs.c.state.in_([state.value for state in states])
            )
        if backfill is not None:
            wanted = wanted.where(runs.c.backfill == backfill)
        with self._read() as connection:
            return [rows.run_of(row._mapping) for row in connection.execute(wanted)]

    def delete_runs(self, keys: Collection[RunKey]) -> int:
        with self._write() as connection:
            found = sum(
                connection.execute(
                    delete(runs).where(runs.c.dag_id == key.dag_id, runs.c.run_id == key.run_id)
                ).rowcount
                for key in keys
            )
        for key in keys:
            self._ids.pop(key, None)
        return found

    def clear(self, run: RunKey, retries: Mapping[TaskKey, int], *, at: datetime) -> None:
        with self._write() as connection:
            clear(connection, self._id(connection, run), retries)

    def force(
        self, run: RunKey, states: Mapping[TaskKey, TaskState], *, at: datetime, run_state: RunState | None = None
    ) -> None:
        with self._write() as connection:
            force(connection, self._id(connection, run), states, at=at, run_state=run_state)

    def save_note(self, run: RunKey, note: str) -> None:
        with self._write() as connection:
            connection.execute(update(runs).where(runs.c.id == self._id(connection, run)).values(note=note))

    def list_instances(self, key: RunKey, *, task_id: str | None = None) -> list[Instance]:
        wanted = select(task_instances).order_by(task_instances.c.task_id, task_instances.c.map_index)
        if task_id is not None:
            wanted = wanted.where(task_instances.c.task_id == task_id)
        return [rows.instance_of(row._mapping, run=key) for row in self._of_run(key, wanted)]

    def list_tries(self, key: RunKey) -> list[Try]:
        wanted = select(tries).order_by(tries.c.task_id, tries.c.map_index, tries.c.try_number)
        return [rows.try_of(row._mapping, run=key) for row in self._of_run(key, wanted)]

    def list_answers(self, key: RunKey) -> list[Answer]:
        return [
            rows.answer_of(row._mapping, run=key) for row in self._of_run(key, select(answers).order_by(answers.c.at))
        ]

    def _of_run(self, key: RunKey, wanted: Select[Any]) -> Sequence[Row[Any]]:
        with self._read() as connection:
            return connection.execute(wanted.filter_by(run=self._id(connection, key))).all()

    def take_run(self, key: RunKey, *, owner: str, lease_s: float, displacing: str = "") -> Run:
        now = self.now()
        free = or_(
            runs.c.owner.in_({"", owner, displacing}),
            runs.c.lease_until.is_(None),
            runs.c.lease_until <= rows.micros(now),
        )
        until = rows.micros(now + timedelta(seconds=lease_s))
        with self._write() as connection:
            mine = update(runs).where(runs.c.id == self._id(connection, key), free)
            taken = connection.execute(mine.values(owner=owner, lease_until=until)).rowcount
            run = self._load_run(connection, key)
        if not taken:
            raise ConflictError("somebody else runs this run", where=run.owner)
        return run

    def renew_runs(self, keys: Collection[RunKey], *, owner: str, lease_s: float) -> frozenset[RunKey]:
        until = rows.micros(self.now() + timedelta(seconds=lease_s))
        with self._write() as connection:
            mine = [update(runs).where(runs.c.id == self._id(connection, key), runs.c.owner == owner) for key in keys]
            return frozenset(
                key
                for key, statement in zip(keys, mine, strict=True)
                if connection.execute(statement.values(lease_until=until)).rowcount
            )

    def release_run(self, key: RunKey, *, owner: str) -> None:
        with self._write() as connection:
            mine = update(runs).where(runs.c.id == self._id(connection, key), runs.c.owner == owner)
            connection.execute(mine.values(owner="", lease_until=None))

    def commit(self, batch: Batch, *, owner: str) -> frozenset[TaskKey]:
        with self._write() as connection:
            return commit(connection, batch, owner=owner, number_of=lambda key: self._id(connection, key))

    def put_xcom(self, key: TryKey, *, name: str, value: str, length: int | None) -> None:
        with self._write() as connection:
            statement = upsert(connection, xcoms, ("run", "task_id", "name", "map_index"), ("value", "length"))
            place = {
                "run": self._id(connection, key.task.run),
                "task_id": key.task_id,
                "map_index": key.map_index,
            }
            active = select(task_instances.c.state).filter_by(**place, try_number=key.try_number)
            if connection.execute(active).scalar() not in ACTIVE:
                raise ConflictError("the try is not active, so it can't push an XCom", where=key.task.label)
            connection.execute(statement, {**place, "name": name, "value": value, "length": length})

    def list_xcoms(self, key: RunKey, *, task_id: str, name: str, map_index: int | None = None) -> list[XCom]:
        with self._read() as connection:
            wanted = select(xcoms).filter_by(run=self._id(connection, key), task_id=task_id, name=name)
            if map_index is not None:
                wanted = wanted.filter_by(map_index=map_index)
            found = connection.execute(wanted.order_by(xcoms.c.map_index)).all()
        return [
            XCom(
                key=TaskKey(dag_id=key.dag_id, run_id=key.run_id, task_id=task_id, map_index=row.map_index),
                name=name,
                value=row.value,
                length=row.length,
            )
            for row in found
        ]

    def list_lengths(self, key: RunKey, *, task_id: str, name: str = RETURN_VALUE) -> dict[int, int | None]:
        with self._read() as connection:
            place = {"run": self._id(connection, key), "task_id": task_id, "name": name}
            found = connection.execute(select(xcoms.c.map_index, xcoms.c.length).filter_by(**place))
            return {row.map_index: row.length for row in found}
