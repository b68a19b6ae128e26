"""The tables of the book; amounts are exact integers of any size, kept as text that both databases hold."""

from sqlalchemy import BigInteger, Boolean, Column, Dialect, Index, Integer, MetaData, PrimaryKeyConstraint, Table, Text
from sqlalchemy.types import TypeDecorator


class ExactInt(TypeDecorator[int]):
    """An integer without a largest value: cash of ten billion in nanos leaves 64 bits."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> str | None:
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> int | None:
        return None if value is None else int(value)


metadata = MetaData()
_PLACE = BigInteger().with_variant(Integer, "sqlite")


def _position_columns() -> tuple[Column[int], ...]:
    return (
        Column("quantity_nanos", ExactInt, nullable=False),
        Column("cost_nanos", ExactInt, nullable=False),
        Column("realized_nanos", ExactInt, nullable=False),
        Column("fees_nanos", ExactInt, nullable=False),
        Column("fill_count", BigInteger, nullable=False),
        Column("updated_time_ns", BigInteger, nullable=False),
        Column("log_sequence", BigInteger, nullable=False),
        Column("rank", BigInteger, nullable=False),
    )


fills = Table(
    "fills",
    metadata,
    Column("event_id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("side", Text, nullable=False),
    Column("price_nanos", BigInteger, nullable=False),
    Column("quantity_nanos", BigInteger, nullable=False),
    Column("fee_nanos", BigInteger, nullable=False),
    Column("order_id", Text, nullable=False),
    Column("execution_id", Text, nullable=False),
    Column("event_time_ns", BigInteger, nullable=False),
    Column("log_sequence", BigInteger, nullable=False),
    Index("fills_by_position", "account", "symbol", "currency", "log_sequence"),
)
"""Every fill once: the inbox of exactly-once, and what a position can be folded from again."""

charges = Table(
    "charges",
    metadata,
    Column("event_id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("amount_nanos", BigInteger, nullable=False),
    Column("quantity_nanos", BigInteger, nullable=False),
    Column("event_time_ns", BigInteger, nullable=False),
    Column("receive_time_ns", BigInteger, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("log_sequence", BigInteger, nullable=False),
    Index("charges_by_position", "account", "symbol", "currency", "log_sequence", "sequence"),
)
"""Every charge once, beside the fills."""

transfers = Table(
    "transfers",
    metadata,
    Column("event_id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("transfer_id", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("amount_nanos", ExactInt, nullable=False),
    Column("note", Text, nullable=False),
    Column("event_time_ns", BigInteger, nullable=False),
    Column("receive_time_ns", BigInteger, nullable=False),
    Column("fingerprint", Text, nullable=False),
)
"""Cash that a caller booked in or out."""

imports = Table(
    "imports",
    metadata,
    Column("account", Text),
    Column("import_id", Text),
    Column("fingerprint", Text, nullable=False),
    Column("receive_time_ns", BigInteger, nullable=False),
    PrimaryKeyConstraint("account", "import_id"),
)

acquisitions = Table(
    "acquisitions",
    metadata,
    Column("event_id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("import_id", Text, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("quantity_nanos", BigInteger, nullable=False),
    Column("price_nanos", BigInteger, nullable=False),
    Column("takes_cash", Boolean, nullable=False),
    Column("value_nanos", ExactInt, nullable=False),
    Column("event_time_ns", BigInteger, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("log_sequence", BigInteger, nullable=False),
    Index("acquisitions_by_position", "account", "symbol", "currency", "log_sequence", "sequence"),
)
"""The positions of the imports."""

positions = Table(
    "positions",
    metadata,
    Column("account", Text),
    Column("symbol", Text),
    Column("currency", Text),
    *_position_columns(),
    PrimaryKeyConstraint("account", "symbol", "currency"),
)

cash_flows = Table(
    "cash_flows",
    metadata,
    Column("account", Text),
    Column("currency", Text),
    Column("flow_nanos", ExactInt, nullable=False),
    Column("paid_in_nanos", ExactInt, nullable=False),
    Column("charged_nanos", ExactInt, nullable=False),
    Column("traded_nanos", ExactInt, nullable=False),
    PrimaryKeyConstraint("account", "currency"),
)

books = Table(
    "books",
    metadata,
    Column("account", Text, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("log_sequence", BigInteger, nullable=False),
    Column("fill_count", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
)
"""One row for each account; whoever books on an account holds its row first."""

scans = Table(
    "scans",
    metadata,
    Column("source", Text, primary_key=True),
    Column("scanned_to", BigInteger, nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    Column("place", _PLACE, primary_key=True, autoincrement=True),
    Column("account", Text, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("currency", Text, nullable=False),
    *_position_columns(),
    Column("event_id", Text, nullable=False),
    Column("account_sequence", BigInteger, nullable=False),
    Column("flow_nanos", ExactInt, nullable=False),
    sqlite_autoincrement=True,
)
"""Changes that were committed with their fill and wait to be published."""

accounts = Table(
    "accounts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("venue", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("trading_state", Text, nullable=False),
    Column("opening_cash_nanos", ExactInt, nullable=False),
    Column("buying_power_nanos", ExactInt, nullable=False),
)

days = Table(
    "days",
    metadata,
    Column("account", Text),
    Column("day", Integer),
    Column("opening_equity_nanos", ExactInt, nullable=False),
    Column("opening_paid", Text, nullable=False),
    PrimaryKeyConstraint("account", "day"),
)
"""`opening_paid` is what had been paid in by then, a JSON object of nanos as text by currency."""

marks = Table(
    "marks",
    metadata,
    Column("symbol", Text, primary_key=True),
    Column("price_nanos", BigInteger, nullable=False),
    Column("receive_time_ns", BigInteger, nullable=False),
)
"""The newest price of each symbol as of the last point of a curve, for the time after a start."""

curves = Table(
    "curves",
    metadata,
    Column("account", Text),
    Column("time_ns", BigInteger),
    Column("equity_nanos", ExactInt, nullable=False),
    Column("paid_in_nanos", ExactInt, nullable=False),
    Column("growth", ExactInt, nullable=False),
    Column("traded_nanos", ExactInt, nullable=False),
    Column("realized_nanos", ExactInt, nullable=False),
    Column("fees_nanos", ExactInt, nullable=False),
    Column("unpriced", Text, nullable=False),
    Column("basis", Text, nullable=False),
    PrimaryKeyConstraint("account", "time_ns"),
)
"""Points of the equity curves; `basis` is a JSON object, and only the newest point of an account needs it."""
