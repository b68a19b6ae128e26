"""Rebalances and their schedules."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def upgrade() -> None:
    """Make both tables; an account executes one rebalance at a time."""
    op.create_table(
        "rebalances",
        *map(_text, ("id", "account", "state")),
        *map(_number, ("version", "told_version")),
        _text("document"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("rebalances_by_account", "rebalances", ["account", "id"])
    _make_partial_index("rebalances_under_way", "account", "state = 'EXECUTING'", unique=True)
    _make_partial_index("rebalances_untold", "id", "told_version < version", unique=False)
    op.create_table(
        "schedules",
        *map(_text, ("account", "document")),
        sa.Column("enabled", sa.Boolean, nullable=False),
        *map(_number, ("next_run_ns", "last_run_ns")),
        *map(_text, ("last_rebalance_id", "last_error")),
        sa.PrimaryKeyConstraint("account"),
    )


def _make_partial_index(name: str, column: str, condition: str, *, unique: bool) -> None:
    where = sa.text(condition)
    op.create_index(name, "rebalances", [column], unique=unique, sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    """Drop them."""
    op.drop_table("schedules")
    op.drop_table("rebalances")
