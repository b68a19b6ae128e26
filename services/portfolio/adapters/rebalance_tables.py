"""The tables of rebalances and their schedules: what is asked by stands in columns, the rest in one JSON document."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Table, Text, text

from services.portfolio.adapters.tables import metadata

_UNDER_WAY = text("state = 'EXECUTING'")

rebalances = Table(
    "rebalances",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("told_version", BigInteger, nullable=False),
    Column("document", Text, nullable=False),
    Index("rebalances_by_account", "account", "id"),
    Index(
        "rebalances_under_way",
        "account",
        unique=True,
        sqlite_where=_UNDER_WAY,
        postgresql_where=_UNDER_WAY,
    ),
    Index(
        "rebalances_untold",
        "id",
        sqlite_where=text("told_version < version"),
        postgresql_where=text("told_version < version"),
    ),
)
"""Proposals and their execution; one account executes one at a time."""

schedules = Table(
    "schedules",
    metadata,
    Column("account", Text, primary_key=True),
    Column("document", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("next_run_ns", BigInteger, nullable=False),
    Column("last_run_ns", BigInteger, nullable=False),
    Column("last_rebalance_id", Text, nullable=False),
    Column("last_error", Text, nullable=False),
)
