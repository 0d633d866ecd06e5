"""DAGs, runs, task instances, tries, XComs, environments, pools."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ACTIVE = sa.text("state IN ('queued', 'running')")


def upgrade() -> None:
    _make_dags_and_runs()
    _make_instances()
    _make_the_rest()


def _make_dags_and_runs() -> None:
    op.create_table(
        "dags",
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("dag_id", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("dag_id", sa.Text, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("dag_digest", sa.Text, nullable=False),
        sa.Column("conf", sa.Text, nullable=False),
        sa.Column("logical_date", sa.BigInteger),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("started", sa.BigInteger),
        sa.Column("ended", sa.BigInteger),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("lease_until", sa.BigInteger),
        sa.UniqueConstraint("dag_id", "run_id", name="runs_key"),
        sa.UniqueConstraint("dag_id", "logical_date", name="runs_logical_date"),
    )
    op.create_index("runs_created", "runs", ["created"])


def _instance_key() -> list[sa.Column[object]]:
    return [
        sa.Column("run", sa.Integer, sa.ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
        sa.Column("task_id", sa.Text, nullable=False),
        sa.Column("map_index", sa.Integer, nullable=False),
    ]


def _make_instances() -> None:
    op.create_table(
        "task_instances",
        *_instance_key(),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("try_number", sa.Integer, nullable=False),
        sa.Column("max_tries", sa.Integer, nullable=False),
        sa.Column("pool", sa.Text, nullable=False),
        sa.Column("pool_slots", sa.Integer, nullable=False),
        sa.Column("executor", sa.Text, nullable=False),
        sa.Column("until", sa.BigInteger),
        sa.Column("started", sa.BigInteger),
        sa.Column("ended", sa.BigInteger),
        sa.PrimaryKeyConstraint("run", "task_id", "map_index", name="task_instances_key"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "task_instances_active",
        "task_instances",
        ["run", "task_id", "pool", "pool_slots"],
        sqlite_where=_ACTIVE,
        postgresql_where=_ACTIVE,
    )
    op.create_table(
        "tries",
        *_instance_key(),
        sa.Column("try_number", sa.Integer, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("executor", sa.Text, nullable=False),
        sa.Column("queued", sa.BigInteger),
        sa.Column("outcome", sa.Text),
        sa.PrimaryKeyConstraint("run", "task_id", "map_index", "try_number", name="tries_key"),
        sqlite_with_rowid=False,
    )


def _make_the_rest() -> None:
    op.create_table(
        "xcoms",
        *_instance_key(),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("length", sa.Integer),
        sa.PrimaryKeyConstraint("run", "task_id", "name", "map_index", name="xcoms_key"),
    )
    op.create_table(
        "answers",
        sa.Column("run", sa.Integer, sa.ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
        sa.Column("environment", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("reused", sa.Integer, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("run", "environment", name="answers_key"),
    )
    pools = op.create_table(
        "pools",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("slots", sa.Integer, nullable=False),
    )
    op.bulk_insert(pools, [{"name": "default_pool", "slots": 128}])
