"""What the venue charges beside fills, and from when on it is asked for."""

import time

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_SEQUENCE = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "charges",
        sa.Column("sequence", _SEQUENCE, primary_key=True, autoincrement=False),
        sa.Column("log_sequence", sa.BigInteger, nullable=False),
        sa.Column("charge_id", sa.String(36), nullable=False, unique=True),
        sa.Column("venue_id", sa.String(128), nullable=False),
        sa.Column("account", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("symbol", sa.String(32), nullable=False),
        sa.Column("currency", sa.String(16), nullable=False),
        sa.Column("amount_nanos", sa.BigInteger, nullable=False),
        sa.Column("quantity_nanos", sa.BigInteger, nullable=False),
        sa.Column("order_id", sa.String(36)),
        sa.Column("event_time_ns", sa.BigInteger, nullable=False),
        sa.Column("receive_time_ns", sa.BigInteger, nullable=False),
        sa.Column("paid", sa.Boolean, nullable=False),
        sa.Column("told", sa.Boolean, nullable=False),
    )
    op.create_index("charges_untold", "charges", ["told", "sequence"])
    op.create_index("charges_time", "charges", ["event_time_ns"])
    op.add_column("accounts", sa.Column("charges_after_ns", sa.BigInteger, nullable=False, server_default="0"))
    # An account that is open already was opened with the first event of the log, or has not traded yet.
    opened = "UPDATE accounts SET charges_after_ns = (SELECT coalesce(min(receive_time_ns), :now) FROM order_events)"
    op.execute(sa.text(opened).bindparams(now=time.time_ns()))
