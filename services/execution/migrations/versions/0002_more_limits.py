"""More limits, and what the market was when a fill came."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("min_order_notional_nanos", "max_modifies_per_second", "duplicate_window_ns"):
        op.add_column("risk_limits", sa.Column(name, sa.BigInteger))
    op.add_column("risk_limits", sa.Column("refuse_self_trades", sa.Boolean))
    op.add_column("fills", sa.Column("mid_nanos", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("fills", sa.Column("liquidity", sa.String(8)))
