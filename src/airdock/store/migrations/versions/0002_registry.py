"""More of runs and instances; DAGs of files, variables, connections, states, assets and backfills."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_OPEN = sa.text("state IN ('queued', 'running')")
_PAUSING = sa.text("state IN ('deferred', 'awaiting_input')")
_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    _widen_numbers()
    _extend_runs()
    _extend_instances()
    _extend_pools()
    _make_dag_index()
    _make_secrets_and_states()
    _make_assets_and_backfills()
    _make_callbacks_and_log()


def _widen_numbers() -> None:
    """Run numbers had 32 bits where the database keeps to that; SQLite doesn't."""
    if op.get_bind().dialect.name != "postgresql":
        return
    op.alter_column("runs", "id", type_=sa.BigInteger)
    op.execute("ALTER SEQUENCE runs_id_seq AS bigint")
    for table in ("task_instances", "tries", "xcoms", "answers"):
        op.alter_column(table, "run", type_=sa.BigInteger)


def _extend_runs() -> None:
    for column in (
        sa.Column("run_type", sa.Text, nullable=False, server_default="manual"),
        sa.Column("run_after", sa.BigInteger),
        sa.Column("interval_start", sa.BigInteger),
        sa.Column("interval_end", sa.BigInteger),
        sa.Column("note", sa.Text, nullable=False, server_default=""),
        sa.Column("clear_number", sa.Integer, nullable=False, server_default="0"),
        sa.Column("backfill", sa.Integer),
        sa.Column("events", sa.Text, nullable=False, server_default="[]"),
    ):
        op.add_column("runs", column)
    # Until now the id alone said that a schedule had made a run.
    op.execute("UPDATE runs SET run_type = 'scheduled' WHERE run_id LIKE 'scheduled__%'")
    op.create_index("runs_of_dag", "runs", ["dag_id", "created"])
    op.create_index("runs_open", "runs", ["created"], sqlite_where=_OPEN, postgresql_where=_OPEN)


def _extend_instances() -> None:
    for column in (
        sa.Column("next", sa.Text),
        sa.Column("trigger", sa.Text),
        sa.Column("first_started", sa.BigInteger),
        sa.Column("label", sa.Text, nullable=False, server_default=""),
        sa.Column("note", sa.Text, nullable=False, server_default=""),
    ):
        op.add_column("task_instances", column)
    op.execute("UPDATE task_instances SET first_started = started")
    op.create_index(
        "task_instances_pausing",
        "task_instances",
        ["run", "task_id", "pool", "pool_slots"],
        sqlite_where=_PAUSING,
        postgresql_where=_PAUSING,
    )


def _extend_pools() -> None:
    op.add_column("pools", sa.Column("description", sa.Text, nullable=False, server_default=""))
    op.add_column("pools", sa.Column("include_deferred", sa.Integer, nullable=False, server_default="0"))


def _make_dag_index() -> None:
    op.create_table(
        "dag_index",
        sa.Column("dag_id", sa.Text, primary_key=True),
        sa.Column("fileloc", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("is_paused", sa.Integer, nullable=False),
        sa.Column("is_active", sa.Integer, nullable=False),
        sa.Column("loaded", sa.BigInteger),
    )
    op.create_table(
        "import_problems",
        sa.Column("fileloc", sa.Text, primary_key=True),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
    )


def _make_secrets_and_states() -> None:
    op.create_table(
        "variables",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
    )
    op.create_table(
        "connections",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("conn_type", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
    )
    op.create_table(
        "states",
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("until", sa.BigInteger),
        sa.PrimaryKeyConstraint("scope", "name", name="states_key"),
    )


def _make_assets_and_backfills() -> None:
    op.create_table(
        "asset_events",
        sa.Column("number", _NUMBER, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("name", "uri", "alias", "extra")),
        sa.Column("at", sa.BigInteger, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("dag_id", "run_id", "task_id")),
        sa.Column("map_index", sa.Integer, nullable=False),
    )
    for column in ("name", "uri"):
        op.create_index(f"asset_events_{column}", "asset_events", [column, "number"])
    op.create_table(
        "asset_marks",
        sa.Column("dag_id", sa.Text, primary_key=True),
        sa.Column("event", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "backfills",
        sa.Column("number", _NUMBER, primary_key=True),
        sa.Column("dag_id", sa.Text, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("start", "end", "created")),
        sa.Column("reverse", sa.Integer, nullable=False),
        sa.Column("max_active_runs", sa.Integer, nullable=False),
        sa.Column("reprocess", sa.Text, nullable=False),
        sa.Column("conf", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
    )


def _make_callbacks_and_log() -> None:
    op.create_table(
        "callbacks",
        sa.Column("number", _NUMBER, primary_key=True),
        sa.Column("call", sa.Text, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("lease_until", sa.BigInteger),
    )
    op.create_table(
        "schedulers",
        sa.Column("owner", sa.Text, primary_key=True),
        sa.Column("started", sa.BigInteger, nullable=False),
        sa.Column("seen", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "log",
        sa.Column("number", _NUMBER, primary_key=True),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("who", "dag_id", "run_id", "task_id")),
        sa.Column("map_index", sa.Integer, nullable=False),
        sa.Column("extra", sa.Text, nullable=False),
    )
    op.create_index("log_of_dag", "log", ["dag_id", "number"])
