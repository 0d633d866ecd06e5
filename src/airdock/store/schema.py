"""The tables of the metadata database, as the latest migration leaves them.

    dags ─< runs ─< task_instances ─< tries      an instance is (run, task_id, map_index), a try adds try_number
              ├──< xcoms                         by task_id, name, map_index
              └──< answers                       what became of each environment
    pools
    dag_index, import_problems, variables, connections, states: `store.registry`
    asset_events, asset_marks, backfills, callbacks, schedulers, log: `store.journal`
    active_assets, duty_leases: `store.watched`
    deadlines: `store.deadlines`

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

__all__ = [
    "ACTIVE_ROWS",
    "NUMBER",
    "OPEN_RUNS",
    "PAUSING_ROWS",
    "active_assets",
    "answers",
    "asset_events",
    "asset_marks",
    "backfills",
    "callbacks",
    "connections",
    "dag_index",
    "dags",
    "deadlines",
    "duty_leases",
    "import_problems",
    "log",
    "metadata",
    "pools",
    "runs",
    "schedulers",
    "states",
    "task_instances",
    "tries",
    "variables",
    "xcoms",
]

metadata = MetaData()

ACTIVE_ROWS = "state IN ('queued', 'running')"
"""The condition of the index that counts slots; a query has to say it literally to be answered from the index."""

PAUSING_ROWS = "state IN ('deferred', 'awaiting_input')"
"""The condition of the index of those that have begun and wait outside of their slots."""

OPEN_RUNS = "state IN ('queued', 'running')"
"""The condition of the index that finds runs which haven't ended."""

NUMBER = BigInteger().with_variant(Integer, "sqlite")
"""Numbers that a database gives out: SQLite gives them only to a column that it calls an integer."""

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
    Column("id", NUMBER, primary_key=True),
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
    Column("run_type", Text, nullable=False, server_default="manual"),
    Column("run_after", BigInteger),
    Column("interval_start", BigInteger),
    Column("interval_end", BigInteger),
    Column("note", Text, nullable=False, server_default=""),
    Column("clear_number", Integer, nullable=False, server_default="0"),
    Column("backfill", Integer),
    Column("events", Text, nullable=False, server_default="[]"),
    UniqueConstraint("dag_id", "run_id", name="runs_key"),
    UniqueConstraint("dag_id", "logical_date", name="runs_logical_date"),
    Index("runs_created", "created"),
    Index("runs_of_dag", "dag_id", "created"),
    Index("runs_open", "created", sqlite_where=text(OPEN_RUNS), postgresql_where=text(OPEN_RUNS)),
)

task_instances = Table(
    "task_instances",
    metadata,
    Column("run", NUMBER, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
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
    Column("next", Text),
    Column("trigger", Text),
    Column("first_started", BigInteger),
    Column("label", Text, nullable=False, server_default=""),
    Column("note", Text, nullable=False, server_default=""),
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

Index(
    "task_instances_pausing",
    task_instances.c.run,
    task_instances.c.task_id,
    task_instances.c.pool,
    task_instances.c.pool_slots,
    sqlite_where=text(PAUSING_ROWS),
    postgresql_where=text(PAUSING_ROWS),
)

tries = Table(
    "tries",
    metadata,
    Column("run", NUMBER, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
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
    Column("run", NUMBER, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
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
    Column("run", NUMBER, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
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
    Column("description", Text, nullable=False, server_default=""),
    Column("include_deferred", Integer, nullable=False, server_default="0"),
)

dag_index = Table(
    "dag_index",
    metadata,
    Column("dag_id", Text, primary_key=True),
    Column("fileloc", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("is_paused", Integer, nullable=False),
    Column("is_active", Integer, nullable=False),
    Column("loaded", BigInteger),
)

import_problems = Table(
    "import_problems",
    metadata,
    Column("fileloc", Text, primary_key=True),
    Column("error", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
)

variables = Table(
    "variables",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
    Column("description", Text, nullable=False),
)

connections = Table(
    "connections",
    metadata,
    Column("id", Text, primary_key=True),
    Column("conn_type", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("description", Text, nullable=False),
)

states = Table(
    "states",
    metadata,
    Column("scope", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("until", BigInteger),
    PrimaryKeyConstraint("scope", "name", name="states_key"),
)

asset_events = Table(
    "asset_events",
    metadata,
    Column("number", NUMBER, primary_key=True),
    Column("name", Text, nullable=False),
    Column("uri", Text, nullable=False),
    Column("alias", Text, nullable=False),
    Column("extra", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("dag_id", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("task_id", Text, nullable=False),
    Column("map_index", Integer, nullable=False),
    Index("asset_events_name", "name", "number"),
    Index("asset_events_uri", "uri", "number"),
)

asset_marks = Table(
    "asset_marks",
    metadata,
    Column("dag_id", Text, primary_key=True),
    Column("event", BigInteger, nullable=False),
)

backfills = Table(
    "backfills",
    metadata,
    Column("number", NUMBER, primary_key=True),
    Column("dag_id", Text, nullable=False),
    Column("start", BigInteger, nullable=False),
    Column("end", BigInteger, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("reverse", Integer, nullable=False),
    Column("max_active_runs", Integer, nullable=False),
    Column("reprocess", Text, nullable=False),
    Column("conf", Text, nullable=False),
    Column("state", Text, nullable=False),
)

callbacks = Table(
    "callbacks",
    metadata,
    Column("number", NUMBER, primary_key=True),
    Column("call", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("owner", Text, nullable=False),
    Column("lease_until", BigInteger),
)

schedulers = Table(
    "schedulers",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("started", BigInteger, nullable=False),
    Column("seen", BigInteger, nullable=False),
)

active_assets = Table(
    "active_assets",
    metadata,
    Column("name", Text, primary_key=True),
    Column("uri", Text, nullable=False),
)

duty_leases = Table(
    "duty_leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("lease_until", BigInteger, nullable=False),
)

deadlines = Table(
    "deadlines",
    metadata,
    Column("number", NUMBER, primary_key=True),
    Column("dag_id", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("due", BigInteger, nullable=False),
    Column("alert", Text, nullable=False),
)

log = Table(
    "log",
    metadata,
    Column("number", NUMBER, primary_key=True),
    Column("event", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("who", Text, nullable=False),
    Column("dag_id", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("task_id", Text, nullable=False),
    Column("map_index", Integer, nullable=False),
    Column("extra", Text, nullable=False),
    Index("log_of_dag", "dag_id", "number"),
)
