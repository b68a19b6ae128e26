"""The tables of the book; amounts are exact integers of any size, kept as text that both databases hold."""

from sqlalchemy import BigInteger, Column, Dialect, Index, Integer, MetaData, PrimaryKeyConstraint, Table, Text
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
    PrimaryKeyConstraint("account", "currency"),
)

books = Table(
    "books",
    metadata,
    Column("account", Text, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("log_sequence", BigInteger, nullable=False),
    Column("fill_count", BigInteger, nullable=False),
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
    PrimaryKeyConstraint("account", "day"),
)
