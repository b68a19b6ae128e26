"""Transfers and imports beside the fills, cash by cause, and the equity curve."""

import json
from collections import defaultdict

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_CASH = ("paid_in_nanos", "charged_nanos", "traded_nanos")
_DAY_NS = 86_400 * 1_000_000_000
_ONE = 1_000_000_000


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def upgrade() -> None:
    """Make the tables, widen those there are, and find out what caused the cash of the books that there are."""
    _make_bookings()
    _make_curves()
    for table in ("positions", "outbox"):
        op.add_column(table, sa.Column("rank", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("books", sa.Column("version", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("days", sa.Column("opening_paid", sa.Text, nullable=False, server_default="{}"))
    for name in _CASH:
        op.add_column("cash_flows", sa.Column(name, sa.Text, nullable=False, server_default="0"))
    _tell_cash_apart(op.get_bind())


def _make_bookings() -> None:
    op.create_table(
        "transfers",
        *(_text(name) for name in ("event_id", "account", "transfer_id", "currency", "amount_nanos", "note")),
        *(_number(name) for name in ("event_time_ns", "receive_time_ns")),
        _text("fingerprint"),
        sa.PrimaryKeyConstraint("event_id"),
    )
    op.create_table(
        "imports",
        *(_text(name) for name in ("account", "import_id", "fingerprint")),
        _number("receive_time_ns"),
        sa.PrimaryKeyConstraint("account", "import_id"),
    )
    op.create_table(
        "acquisitions",
        *(_text(name) for name in ("event_id", "account", "import_id", "symbol", "currency")),
        *(_number(name) for name in ("quantity_nanos", "price_nanos")),
        sa.Column("takes_cash", sa.Boolean, nullable=False),
        _text("value_nanos"),
        *(_number(name) for name in ("event_time_ns", "sequence", "log_sequence")),
        sa.PrimaryKeyConstraint("event_id"),
    )
    columns = ["account", "symbol", "currency", "log_sequence", "sequence"]
    op.create_index("acquisitions_by_position", "acquisitions", columns)


def _make_curves() -> None:
    op.create_table(
        "marks",
        _text("symbol"),
        *(_number(name) for name in ("price_nanos", "receive_time_ns")),
        sa.PrimaryKeyConstraint("symbol"),
    )
    amounts = ("equity_nanos", "paid_in_nanos", "growth", "traded_nanos", "realized_nanos", "fees_nanos")
    op.create_table(
        "curves",
        _text("account"),
        _number("time_ns"),
        *(_text(name) for name in (*amounts, "unpriced", "basis")),
        sa.PrimaryKeyConstraint("account", "time_ns"),
    )


def _tell_cash_apart(connection: sa.Connection) -> None:
    """Cash flows knew no cause before: it is told from the charges and fills that are kept."""
    cash: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    opened: dict[tuple[str, int], dict[str, int]] = {}
    days = connection.execute(sa.text("SELECT account, day FROM days")).all()
    charges = "SELECT account, currency, kind, symbol, amount_nanos, receive_time_ns FROM charges"
    for account, currency, kind, symbol, amount, time_ns in connection.execute(sa.text(charges)):
        if kind == "TRANSFER":
            cash[account, currency][0] -= amount
            for owner, day in days:
                if owner == account and time_ns < day * _DAY_NS:
                    paid = opened.setdefault((owner, day), {})
                    paid[currency] = paid.get(currency, 0) - amount
        elif not symbol:
            cash[account, currency][1] += amount
    for account, currency, price, quantity in connection.execute(
        sa.text("SELECT account, currency, price_nanos, quantity_nanos FROM fills")
    ):
        cash[account, currency][2] += _notional(price * quantity)
    for (account, currency), amounts in cash.items():
        values = dict(zip(_CASH, map(str, amounts), strict=True)) | {"account": account, "currency": currency}
        settings = ", ".join(f"{name} = :{name}" for name in _CASH)
        update = f"UPDATE cash_flows SET {settings} WHERE account = :account AND currency = :currency"  # noqa: S608 - our names
        connection.execute(sa.text(update), values)
    for (account, day), paid in opened.items():
        told = json.dumps({currency: str(nanos) for currency, nanos in paid.items()})
        connection.execute(
            sa.text("UPDATE days SET opening_paid = :paid WHERE account = :account AND day = :day"),
            {"paid": told, "account": account, "day": day},
        )


def _notional(product: int) -> int:
    """Half-even, as the ledger rounds."""
    quotient, rest = divmod(product, _ONE)
    return quotient + (2 * rest > _ONE or (2 * rest == _ONE and quotient % 2 == 1))


def downgrade() -> None:
    """Drop what was made."""
    for table in ("curves", "marks", "acquisitions", "imports", "transfers"):
        op.drop_table(table)
    for table, names in (
        ("positions", ("rank",)),
        ("outbox", ("rank",)),
        ("books", ("version",)),
        ("days", ("opening_paid",)),
        ("cash_flows", _CASH),
    ):
        for name in names:
            op.drop_column(table, name)
