"""The store in a SQL database: SQLAlchemy Core over SQLite and PostgreSQL."""

import json
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from airdock.clock import Clock, SystemClock
from airdock.errors import ConflictError, StoreAwayError, StoreError
from airdock.model.keys import RunKey, TaskKey, TryKey
from airdock.model.states import RunState, TaskState
from airdock.store import rows, sql_find, sql_lease
from airdock.store.away import is_away
from airdock.store.base import ACTIVE, RETURN_VALUE, Store
from airdock.store.database import READ, WRITE, Database
from airdock.store.deadlines import add_deadlines, forget_deadlines
from airdock.store.dialect import upsert
from airdock.store.filters import InstanceFilter, PoolUse, RunFilter, StoreInfo
from airdock.store.migrate import HEAD, migrate, read_version
from airdock.store.records import DEFAULT_POOL, Answer, Backfill, Batch, Deadline, Instance, Pool, Run, Try, XCom
from airdock.store.schema import answers, dag_index, dags, runs, task_instances, tries, xcoms
from airdock.store.schema import pools as pool_rows
from airdock.store.sql_commit import commit
from airdock.store.sql_find import number_of
from airdock.store.sql_hand import clear, force, join_backfill, pin
from airdock.store.sql_rows import SqlRows
from airdock.store.sqlite import Sqlite

__all__ = ["SqlStore"]


class SqlStore(Store):
    """The file at `path`, or the database at `url`, that several processes may use at once.

    Leases go by the database's own clock, or by `clock` where it is given. `durable` is explained in `store.sqlite`.
    """

    def __init__(
        self, *, path: Path | None = None, url: str = "", clock: Clock | None = None, durable: bool = False
    ) -> None:
        self._database = _open(path, url, durable=durable)
        engine = self._database.engine
        self._readers = engine.execution_options(**READ, **self._database.reading)
        self._writers = engine.execution_options(**WRITE)
        self._clock = clock
        self._writer = threading.Lock()  # threads queue up here, where SQLite would have them sleep and try again
        self._migrated_from: str | None = None
        try:
            self._migrate()
        except StoreError:
            self.close()
            raise

    def _migrate(self) -> None:
        with self._read() as connection:
            version = read_version(connection)
            if version == HEAD:
                return
        self._migrated_from = version
        with self._write() as connection:
            migrate(connection)

    def close(self) -> None:
        self._database.engine.dispose()

    def info(self) -> StoreInfo:
        with self._read() as connection:
            version = read_version(connection)
        return StoreInfo(
            kind=self._database.kind,
            place=self._database.place,
            version=version,
            migrated_from=self._migrated_from,
        )

    def check(self) -> list[str]:
        with self._read() as connection:
            return self._database.check(connection)

    def now(self) -> datetime:
        if self._clock is None:
            with self._read() as connection:
                return self._now(connection)
        return self._clock.now()

    def _now(self, connection: Connection) -> datetime:
        """In the transaction, so that it's asked for where the lease is taken."""
        found = self._database.now(connection) if self._clock is None else None
        return found or (self._clock or SystemClock()).now()

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with self._translated(), self._readers.connect() as connection:
            yield connection

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        with self._writer, self._translated(), self._writers.begin() as connection:
            yield connection
        self.has_written = True

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or error)
            hint = next((advice for words, advice in self._database.advice.items() if words in reason), "")
            kind = StoreAwayError if is_away(error) else StoreError
            raise kind(f"the metadata database refused: {reason}", where=self._database.place, hint=hint) from error

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

    def create_run(
        self,
        run: Run,
        instances: Sequence[Instance],
        *,
        mark: int | None = None,
        deadlines: Sequence[Deadline] = (),
    ) -> None:
        try:
            with self._write() as connection:
                number = connection.execute(insert(runs).returning(runs.c.id), rows.run_row(run)).scalar_one()
                if instances:
                    found = [rows.instance_row(instance, run=number) for instance in instances]
                    connection.execute(insert(task_instances), found)
                if mark is not None:
                    SqlRows(connection).upsert("asset_marks", [{"dag_id": run.key.dag_id, "event": mark}])
                add_deadlines(SqlRows(connection), deadlines)
        except StoreError as error:
            if isinstance(error.__cause__, IntegrityError):
                raise ConflictError(
                    "there is such a run, or one for this logical date, already", where=run.key.run_id
                ) from error
            raise

    def load_run(self, key: RunKey) -> Run:
        with self._read() as connection:
            return sql_find.find_run(connection, key)

    def find_runs(self, wanted: RunFilter) -> list[Run]:
        with self._read() as connection:
            return sql_find.find_runs(connection, wanted)

    def find_instances(self, wanted: InstanceFilter) -> list[Instance]:
        with self._read() as connection:
            return sql_find.find_instances(connection, wanted)

    def count_open_runs(self, *, backfill: bool = False) -> dict[tuple[str, RunState], int]:
        with self._read() as connection:
            return sql_find.count_open_runs(connection, backfill=backfill)

    def count_uses(self) -> dict[str, PoolUse]:
        with self._read() as connection:
            return sql_find.count_uses(connection)

    def delete_runs(self, keys: Collection[RunKey]) -> int:
        found = [{"in_dag": key.dag_id, "in_run": key.run_id} for key in keys]
        wanted = delete(runs).where(runs.c.dag_id == bindparam("in_dag"), runs.c.run_id == bindparam("in_run"))
        with self._write() as connection:
            for key in keys:
                forget_deadlines(SqlRows(connection), key)
            return sum(connection.execute(wanted, place).rowcount for place in found)

    def delete_unused_dags(self, *, pretend: bool = False) -> int:
        is_used = [
            select(column).where(column == dags.c.digest).exists() for column in (runs.c.dag_digest, dag_index.c.digest)
        ]
        unused = [~each for each in is_used]
        if pretend:
            with self._read() as connection:
                return connection.execute(select(func.count()).select_from(dags).where(*unused)).scalar_one()
        with self._write() as connection:
            return connection.execute(delete(dags).where(*unused)).rowcount

    def clear(
        self, run: RunKey, retries: Mapping[TaskKey, int], *, at: datetime, backfill: Backfill | None = None
    ) -> None:
        with self._write() as connection:
            clear(connection, number_of(connection, run), retries)
            if backfill is not None:
                join_backfill(connection, number_of(connection, run), backfill, at)

    def pin(self, run: RunKey, digest: str, *, kept: Collection[str], added: Sequence[Instance]) -> None:
        with self._write() as connection:
            pin(connection, number_of(connection, run), digest, kept=kept, added=added)

    def force(
        self,
        run: RunKey,
        states: Mapping[TaskKey, TaskState],
        *,
        at: datetime,
        run_state: RunState | None = None,
        doom: str = "",
    ) -> None:
        with self._write() as connection:
            force(connection, number_of(connection, run), states, at=at, run_state=run_state, doom=doom)

    def save_note(self, run: RunKey, note: str) -> None:
        with self._write() as connection:
            connection.execute(update(runs).where(runs.c.id == number_of(connection, run)).values(note=note))

    def list_instances(self, key: RunKey, *, task_id: str | None = None) -> list[Instance]:
        wanted = select(task_instances).order_by(task_instances.c.task_id, task_instances.c.map_index)
        if task_id is not None:
            wanted = wanted.where(task_instances.c.task_id == task_id)
        return [rows.instance_of(row._mapping, run=key) for row in self._of_run(key, wanted)]

    def list_tries(self, key: RunKey) -> list[Try]:
        wanted = select(tries).order_by(tries.c.task_id, tries.c.map_index, tries.c.try_number)
        return [rows.try_of(row._mapping, run=key) for row in self._of_run(key, wanted)]

    def list_decisions(self, key: RunKey) -> list[Try]:
        same = [tries.c[name] == task_instances.c[name] for name in ("run", "task_id", "map_index", "try_number")]
        wanted = select(tries).join(task_instances, and_(*same))
        wanted = wanted.where(task_instances.c.state == TaskState.SUCCESS.value, tries.c.outcome.contains('"skip":[['))
        with self._read() as connection:
            found = connection.execute(wanted.where(tries.c.run == number_of(connection, key))).all()
        return [each for row in found if (each := rows.try_of(row._mapping, run=key)).skip]

    def list_answers(self, key: RunKey) -> list[Answer]:
        return [
            rows.answer_of(row._mapping, run=key) for row in self._of_run(key, select(answers).order_by(answers.c.at))
        ]

    def _of_run(self, key: RunKey, wanted: Select[Any]) -> Sequence[Row[Any]]:
        with self._read() as connection:
            return connection.execute(wanted.filter_by(run=number_of(connection, key))).all()

    def take_run(self, key: RunKey, *, owner: str, lease_s: float, displacing: str = "") -> Run:
        with self._write() as connection:
            return sql_lease.take_run(
                connection, key, owner=owner, now=self._now(connection), lease_s=lease_s, displacing=displacing
            )

    def take_runs(
        self,
        keys: Sequence[RunKey],
        *,
        owner: str,
        lease_s: float,
        displacing: Collection[str] = (),
        room: Mapping[str, int] | None = None,
    ) -> list[Run]:
        with self._write() as connection:
            return sql_lease.take_runs(
                connection,
                keys,
                owner=owner,
                now=self._now(connection),
                lease_s=lease_s,
                displacing=displacing,
                room=room or {},
            )

    def renew_runs(self, keys: Collection[RunKey], *, owner: str, lease_s: float) -> frozenset[RunKey]:
        with self._write() as connection:
            until = self._now(connection) + timedelta(seconds=lease_s)
            return sql_lease.renew_runs(connection, keys, owner=owner, until=until)

    def release_run(self, key: RunKey, *, owner: str) -> None:
        with self._write() as connection:
            sql_lease.release_run(connection, key, owner=owner)

    def commit(self, batch: Batch, *, owner: str) -> frozenset[TaskKey]:
        with self._write() as connection:
            return commit(connection, batch, owner=owner)

    def put_xcom(self, key: TryKey, *, name: str, value: str, length: int | None) -> None:
        with self._write() as connection:
            statement = upsert(connection, xcoms, ("run", "task_id", "name", "map_index"), ("value", "length"))
            place = {
                "run": number_of(connection, key.task.run),
                "task_id": key.task_id,
                "map_index": key.map_index,
            }
            active = select(task_instances.c.state).filter_by(**place, try_number=key.try_number)
            if connection.execute(active).scalar() not in ACTIVE:
                raise ConflictError("the try is not active, so it can't push an XCom", where=key.task.label)
            connection.execute(statement, {**place, "name": name, "value": value, "length": length})

    def list_xcoms(self, key: RunKey, *, task_id: str, name: str, map_index: int | None = None) -> list[XCom]:
        with self._read() as connection:
            wanted = select(xcoms).filter_by(run=number_of(connection, key), task_id=task_id, name=name)
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
            place = {"run": number_of(connection, key), "task_id": task_id, "name": name}
            found = connection.execute(select(xcoms.c.map_index, xcoms.c.length).filter_by(**place))
            return {row.map_index: row.length for row in found}


def _open(path: Path | None, url: str, *, durable: bool) -> Database:
    if path is not None:
        return Sqlite(path, durable=durable)
    from airdock.store.postgres import Postgres

    return Postgres(url)
