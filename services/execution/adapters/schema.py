"""The tables of the order log, as SQLAlchemy sees them; the migrations make them."""

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, LargeBinary, MetaData, String, Table, Text

metadata = MetaData()
_LOG_SEQUENCE = BigInteger().with_variant(Integer, "sqlite")

orders = Table(
    "orders",
    metadata,
    Column("order_id", String(36), primary_key=True),
    Column("account", String(64), nullable=False),
    Column("client_order_id", String(64), nullable=False),
    Column("symbol", String(32), nullable=False),
    Column("status", String(20), nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("total_latency_ns", BigInteger, nullable=False),
    Column("validation_time_ns", BigInteger, nullable=False),
    Column("execution_time_ns", BigInteger, nullable=False),
    Index("orders_client", "account", "client_order_id", unique=True),
    Index("orders_status", "status", "order_id"),
)
"""One row per order, kept in step with its events; `state` is the order's JSON."""

trailing_stops = Table(
    "trailing_stops",
    metadata,
    Column("order_id", String(36), primary_key=True),
    Column("stop_nanos", BigInteger, nullable=False),
)
"""Where the stop of a held trailing order stands: it must not start anew after a restart."""

order_events = Table(
    "order_events",
    metadata,
    Column("log_sequence", _LOG_SEQUENCE, primary_key=True, autoincrement=False),
    Column("event_id", String(36), nullable=False, unique=True),
    Column("order_id", String(36), nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("kind", String(20), nullable=False),
    Column("event_time_ns", BigInteger, nullable=False),
    Column("receive_time_ns", BigInteger, nullable=False),
    Column("correlation_id", String(64), nullable=False),
    Column("causation_id", String(64), nullable=False),
    Column("reason", Text, nullable=False),
    Column("reconciliation", Boolean, nullable=False),
    Column("facts", Text, nullable=False),
    Column("previous_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Index("order_events_order", "order_id", "version", unique=True),
)
"""The truth: every event of every order, hash-chained per order. Two writers collide on the log sequence."""

fills = Table(
    "fills",
    metadata,
    Column("log_sequence", _LOG_SEQUENCE, primary_key=True, autoincrement=False),
    Column("event_id", String(36), nullable=False),
    Column("order_id", String(36), nullable=False),
    Column("execution_id", String(64), nullable=False),
    Column("account", String(64), nullable=False),
    Column("symbol", String(32), nullable=False),
    Column("side", String(4), nullable=False),
    Column("currency", String(16), nullable=False),
    Column("price_nanos", BigInteger, nullable=False),
    Column("quantity_nanos", BigInteger, nullable=False),
    Column("fee_nanos", BigInteger, nullable=False),
    Column("cumulative_nanos", BigInteger, nullable=False),
    Column("event_time_ns", BigInteger, nullable=False),
    Column("mid_nanos", BigInteger, nullable=False, server_default="0"),
    Column("liquidity", String(8)),
    Index("fills_execution", "order_id", "execution_id", unique=True),
)
"""The trades among the events, to be read in the order of the log."""

outbox = Table(
    "outbox",
    metadata,
    Column("log_sequence", _LOG_SEQUENCE, primary_key=True, autoincrement=False),
    Column("event_id", String(36), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("account", String(64), nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("time_ns", BigInteger, nullable=False),
    Column("traceparent", String(64)),
)
"""Events that wait to be published; written with the event, deleted once acknowledged."""

accounts = Table(
    "accounts",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("venue", String(32), nullable=False),
    Column("currency", String(16), nullable=False),
    Column("opening_cash_nanos", BigInteger, nullable=False),
    Column("trading_state", String(16), nullable=False),
    Column("charges_after_ns", BigInteger, nullable=False, server_default="0"),
)

charges = Table(
    "charges",
    metadata,
    Column("sequence", _LOG_SEQUENCE, primary_key=True, autoincrement=False),
    Column("log_sequence", BigInteger, nullable=False),
    Column("charge_id", String(36), nullable=False, unique=True),
    Column("venue_id", String(128), nullable=False),
    Column("account", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("symbol", String(32), nullable=False),
    Column("currency", String(16), nullable=False),
    Column("amount_nanos", BigInteger, nullable=False),
    Column("quantity_nanos", BigInteger, nullable=False),
    Column("order_id", String(36)),
    Column("event_time_ns", BigInteger, nullable=False),
    Column("receive_time_ns", BigInteger, nullable=False),
    Column("paid", Boolean, nullable=False),
    Column("told", Boolean, nullable=False),
    Index("charges_untold", "told", "sequence"),
    Index("charges_time", "event_time_ns"),
)
"""What the venue charged beside fills; a row is its own outbox row: it is `told` once the stream has it.

`paid` is what its account had paid before it was opened: known, never counted.
"""

risk_limits = Table(
    "risk_limits",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("max_order_notional_nanos", BigInteger),
    Column("max_position_nanos", BigInteger),
    Column("max_gross_exposure_nanos", BigInteger),
    Column("max_net_exposure_nanos", BigInteger),
    Column("price_collar", Float),
    Column("max_quote_age_ns", BigInteger),
    Column("max_open_orders", BigInteger),
    Column("max_submits_per_second", BigInteger),
    Column("max_daily_loss_nanos", BigInteger),
    Column("min_order_notional_nanos", BigInteger),
    Column("max_modifies_per_second", BigInteger),
    Column("duplicate_window_ns", BigInteger),
    Column("refuse_self_trades", Boolean),
    Column("updated_time_ns", BigInteger, nullable=False),
)

signal_trading = Table(
    "signal_trading",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("enabled", Boolean, nullable=False),
    Column("models", Text, nullable=False),
    Column("notional_nanos", BigInteger, nullable=False),
    Column("min_confidence", Float, nullable=False),
    Column("account", String(64), nullable=False),
)
"""One row, number 1."""

leases = Table(
    "leases",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("holder", String(320), nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("ends_ns", BigInteger, nullable=False),
)
"""One row: who writes the order log, until when, and the number that fences off whoever wrote before."""

audit = Table(
    "audit",
    metadata,
    Column("id", _LOG_SEQUENCE, primary_key=True, autoincrement=True),
    Column("subject", String(32), nullable=False),
    Column("account", String(64), nullable=False),
    Column("value", Text, nullable=False),
    Column("actor", String(128), nullable=False),
    Column("reason", Text, nullable=False),
    Column("time_ns", BigInteger, nullable=False),
)
"""Who changed which limit or switch, when, why, and to what (JSON)."""
