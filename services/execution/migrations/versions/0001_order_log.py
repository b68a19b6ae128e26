"""The order log: orders, their events, fills, outbox, accounts, limits, switches and the audit trail."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_SEQUENCE = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    _orders()
    _events()
    _fills()
    _outbox()
    _controls()


def _orders() -> None:
    op.create_table(
        "orders",
        sa.Column("order_id", sa.String(36), primary_key=True),
        sa.Column("account", sa.String(64), nullable=False),
        sa.Column("client_order_id", sa.String(64), nullable=False),
        sa.Column("symbol", sa.String(32), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("total_latency_ns", sa.BigInteger, nullable=False),
        sa.Column("validation_time_ns", sa.BigInteger, nullable=False),
        sa.Column("execution_time_ns", sa.BigInteger, nullable=False),
    )
    op.create_index("orders_client", "orders", ["account", "client_order_id"], unique=True)
    op.create_index("orders_status", "orders", ["status", "order_id"])


def _events() -> None:
    op.create_table(
        "order_events",
        sa.Column("log_sequence", _SEQUENCE, primary_key=True, autoincrement=False),
        sa.Column("event_id", sa.String(36), nullable=False, unique=True),
        sa.Column("order_id", sa.String(36), nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("event_time_ns", sa.BigInteger, nullable=False),
        sa.Column("receive_time_ns", sa.BigInteger, nullable=False),
        sa.Column("correlation_id", sa.String(64), nullable=False),
        sa.Column("causation_id", sa.String(64), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("reconciliation", sa.Boolean, nullable=False),
        sa.Column("facts", sa.Text, nullable=False),
        sa.Column("previous_hash", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    op.create_index("order_events_order", "order_events", ["order_id", "version"], unique=True)


def _fills() -> None:
    op.create_table(
        "fills",
        sa.Column("log_sequence", _SEQUENCE, primary_key=True, autoincrement=False),
        sa.Column("event_id", sa.String(36), nullable=False),
        sa.Column("order_id", sa.String(36), nullable=False),
        sa.Column("execution_id", sa.String(64), nullable=False),
        sa.Column("account", sa.String(64), nullable=False),
        sa.Column("symbol", sa.String(32), nullable=False),
        sa.Column("side", sa.String(4), nullable=False),
        sa.Column("currency", sa.String(16), nullable=False),
        sa.Column("price_nanos", sa.BigInteger, nullable=False),
        sa.Column("quantity_nanos", sa.BigInteger, nullable=False),
        sa.Column("fee_nanos", sa.BigInteger, nullable=False),
        sa.Column("cumulative_nanos", sa.BigInteger, nullable=False),
        sa.Column("event_time_ns", sa.BigInteger, nullable=False),
    )
    op.create_index("fills_execution", "fills", ["order_id", "execution_id"], unique=True)


def _outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("log_sequence", _SEQUENCE, primary_key=True, autoincrement=False),
        sa.Column("event_id", sa.String(36), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("account", sa.String(64), nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("time_ns", sa.BigInteger, nullable=False),
        sa.Column("traceparent", sa.String(64)),
    )


def _controls() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("venue", sa.String(32), nullable=False),
        sa.Column("currency", sa.String(16), nullable=False),
        sa.Column("opening_cash_nanos", sa.BigInteger, nullable=False),
        sa.Column("trading_state", sa.String(16), nullable=False),
    )
    op.create_table(
        "risk_limits",
        sa.Column("account", sa.String(64), primary_key=True),
        sa.Column("max_order_notional_nanos", sa.BigInteger),
        sa.Column("max_position_nanos", sa.BigInteger),
        sa.Column("max_gross_exposure_nanos", sa.BigInteger),
        sa.Column("max_net_exposure_nanos", sa.BigInteger),
        sa.Column("price_collar", sa.Float),
        sa.Column("max_quote_age_ns", sa.BigInteger),
        sa.Column("max_open_orders", sa.BigInteger),
        sa.Column("max_submits_per_second", sa.BigInteger),
        sa.Column("max_daily_loss_nanos", sa.BigInteger),
        sa.Column("updated_time_ns", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "signal_trading",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("models", sa.Text, nullable=False),
        sa.Column("notional_nanos", sa.BigInteger, nullable=False),
        sa.Column("min_confidence", sa.Float, nullable=False),
        sa.Column("account", sa.String(64), nullable=False),
    )
    op.create_table(
        "audit",
        sa.Column("id", _SEQUENCE, primary_key=True, autoincrement=True),
        sa.Column("subject", sa.String(32), nullable=False),
        sa.Column("account", sa.String(64), nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("actor", sa.String(128), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("time_ns", sa.BigInteger, nullable=False),
    )
