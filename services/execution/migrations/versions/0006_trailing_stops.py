"""Where the stops of held trailing orders stand."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "trailing_stops",
        sa.Column("order_id", sa.String(36), primary_key=True),
        sa.Column("stop_nanos", sa.BigInteger, nullable=False),
    )
