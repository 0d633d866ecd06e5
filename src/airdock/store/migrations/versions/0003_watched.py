"""What watches over assets and deadlines: which assets are active, who does what alone, when runs have to be done."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "active_assets",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("uri", sa.Text, nullable=False),
    )
    op.create_table(
        "duty_leases",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("lease_until", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "deadlines",
        sa.Column("number", _NUMBER, primary_key=True),
        sa.Column("dag_id", sa.Text, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("due", sa.BigInteger, nullable=False),
        sa.Column("alert", sa.Text, nullable=False),
    )
