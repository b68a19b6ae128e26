"""Lay the tables of the book."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_PLACE = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _amount(name: str) -> sa.Column[str]:
    """An exact integer of any size, as text."""
    return _text(name)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def _position_columns() -> tuple[sa.Column[str] | sa.Column[int], ...]:
    amounts = ("quantity_nanos", "cost_nanos", "realized_nanos", "fees_nanos")
    numbers = ("fill_count", "updated_time_ns", "log_sequence")
    return (*(_amount(name) for name in amounts), *(_number(name) for name in numbers))


def upgrade() -> None:
    """Make every table."""
    _make_fills()
    _make_balances()
    _make_progress()
    _make_accounts()


def _make_fills() -> None:
    op.create_table(
        "fills",
        _text("event_id"),
        _text("account"),
        _text("symbol"),
        _text("currency"),
        _text("side"),
        _number("price_nanos"),
        _number("quantity_nanos"),
        _number("fee_nanos"),
        _text("order_id"),
        _text("execution_id"),
        _number("event_time_ns"),
        _number("log_sequence"),
        sa.PrimaryKeyConstraint("event_id"),
    )
    op.create_index("fills_by_position", "fills", ["account", "symbol", "currency", "log_sequence"])


def _make_balances() -> None:
    op.create_table(
        "positions",
        _text("account"),
        _text("symbol"),
        _text("currency"),
        *_position_columns(),
        sa.PrimaryKeyConstraint("account", "symbol", "currency"),
    )
    op.create_table(
        "cash_flows",
        _text("account"),
        _text("currency"),
        _amount("flow_nanos"),
        sa.PrimaryKeyConstraint("account", "currency"),
    )
    op.create_table(
        "books",
        _text("account"),
        _number("sequence"),
        _number("log_sequence"),
        _number("fill_count"),
        sa.PrimaryKeyConstraint("account"),
    )


def _make_progress() -> None:
    op.create_table("scans", _text("source"), _number("scanned_to"), sa.PrimaryKeyConstraint("source"))
    op.create_table(
        "outbox",
        sa.Column("place", _PLACE, primary_key=True, autoincrement=True),
        _text("account"),
        _text("symbol"),
        _text("currency"),
        *_position_columns(),
        _text("event_id"),
        _number("account_sequence"),
        _amount("flow_nanos"),
        sqlite_autoincrement=True,
    )


def _make_accounts() -> None:
    op.create_table(
        "accounts",
        _text("id"),
        _text("venue"),
        _text("currency"),
        _text("trading_state"),
        _amount("opening_cash_nanos"),
        _amount("buying_power_nanos"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "days",
        _text("account"),
        sa.Column("day", sa.Integer, nullable=False),
        _amount("opening_equity_nanos"),
        sa.PrimaryKeyConstraint("account", "day"),
    )


def downgrade() -> None:
    """Drop every table."""
    for table in ("days", "accounts", "outbox", "scans", "books", "cash_flows", "positions", "fills"):
        op.drop_table(table)
