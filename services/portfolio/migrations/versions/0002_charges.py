"""Charges beside the fills."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the inbox of charges."""
    texts = ("event_id", "account", "kind", "symbol", "currency")
    numbers = ("amount_nanos", "quantity_nanos", "event_time_ns", "receive_time_ns", "sequence", "log_sequence")
    op.create_table(
        "charges",
        *(sa.Column(name, sa.Text, nullable=False) for name in texts),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in numbers),
        sa.PrimaryKeyConstraint("event_id"),
    )
    op.create_index("charges_by_position", "charges", ["account", "symbol", "currency", "log_sequence", "sequence"])


def downgrade() -> None:
    """Drop it."""
    op.drop_table("charges")
