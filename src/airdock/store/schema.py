"""The tables of the metadata database, as the latest migration leaves them.

    dags ─< runs ─< task_instances ─< tries      an instance is (run, task_id, map_index), a try adds try_number
              ├──< xcoms                         by task_id, name, map_index
              └──< answers                       what became of each environment
    pools

Times are whole microseconds since 1970 UTC: exact, sortable, and the same on every database.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

__all__ = ["ACTIVE_ROWS", "answers", "dags", "metadata", "pools", "runs", "task_instances", "tries", "xcoms"]

metadata = MetaData()

ACTIVE_ROWS = "state IN ('queued', 'running')"
"""The condition of the index that counts slots; a query has to say it literally to be answered from the index."""

dags = Table(
    "dags",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("dag_id", Text, nullable=False),
    Column("body", Text, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("dag_id", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("dag_digest", Text, nullable=False),
    Column("conf", Text, nullable=False),
    Column("logical_date", BigInteger),
    Column("created", BigInteger, nullable=False),
    Column("started", BigInteger),
    Column("ended", BigInteger),
    Column("reason", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("lease_until", BigInteger),
    UniqueConstraint("dag_id", "run_id", name="runs_key"),
    UniqueConstraint("dag_id", "logical_date", name="runs_logical_date"),
    Index("runs_created", "created"),
)

task_instances = Table(
    "task_instances",
    metadata,
    Column("run", Integer, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    Column("task_id", Text, nullable=False),
    Column("map_index", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("try_number", Integer, nullable=False),
    Column("max_tries", Integer, nullable=False),
    Column("pool", Text, nullable=False),
    Column("pool_slots", Integer, nullable=False),
    Column("executor", Text, nullable=False),
    Column("until", BigInteger),
    Column("started", BigInteger),
    Column("ended", BigInteger),
    PrimaryKeyConstraint("run", "task_id", "map_index", name="task_instances_key"),
    sqlite_with_rowid=False,
)
Index(
    "task_instances_active",
    task_instances.c.run,
    task_instances.c.task_id,
    task_instances.c.pool,
    task_instances.c.pool_slots,
    sqlite_where=text(ACTIVE_ROWS),
    postgresql_where=text(ACTIVE_ROWS),
)

tries = Table(
    "tries",
    metadata,
    Column("run", Integer, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    Column("task_id", Text, nullable=False),
    Column("map_index", Integer, nullable=False),
    Column("try_number", Integer, nullable=False),
    Column("digest", Text, nullable=False),
    Column("executor", Text, nullable=False),
    Column("queued", BigInteger),
    Column("outcome", Text),
    PrimaryKeyConstraint("run", "task_id", "map_index", "try_number", name="tries_key"),
    sqlite_with_rowid=False,
)

xcoms = Table(
    "xcoms",
    metadata,
    Column("run", Integer, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    Column("task_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("map_index", Integer, nullable=False),
    Column("value", Text, nullable=False),
    Column("length", Integer),
    PrimaryKeyConstraint("run", "task_id", "name", "map_index", name="xcoms_key"),
)

answers = Table(
    "answers",
    metadata,
    Column("run", Integer, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    Column("environment", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("reused", Integer, nullable=False),
    Column("error", Text),
    Column("at", BigInteger, nullable=False),
    PrimaryKeyConstraint("run", "environment", name="answers_key"),
)

pools = Table(
    "pools",
    metadata,
    Column("name", Text, primary_key=True),
    Column("slots", Integer, nullable=False),
)
