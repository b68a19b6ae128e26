"""Execution's word on the accounts, and what each day began with, in SQLite or Postgres."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite

from fleet.database import Database
from services.portfolio.adapters import tables
from services.portfolio.domain.account import AccountTerms


class SqlAccounts:
    """Accounts over SQLAlchemy Core."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._insert: Any = postgresql.insert if database.dialect == "postgresql" else sqlite.insert

    async def remember(self, terms: Sequence[AccountTerms]) -> None:
        """Keep the newest word of each account."""
        if not terms:
            return
        statement = self._insert(tables.accounts)
        columns = [name for name in AccountTerms._fields if name != "id"]
        fresh = {name: statement.excluded[name] for name in columns}
        upsert = statement.on_conflict_do_update(index_elements=["id"], set_=fresh)
        async with self._database.begin() as connection:
            await connection.execute(upsert, [account._asdict() for account in terms])

    async def recall(self) -> tuple[AccountTerms, ...]:
        """The newest word of each account, by id."""
        async with self._database.read() as connection:
            rows = await connection.execute(select(tables.accounts).order_by(tables.accounts.c.id))
            return tuple(AccountTerms(**row._asdict()) for row in rows.all())

    async def open_day(self, account: str, day: int, equity_nanos: int) -> None:
        """Keep the equity that a UTC day began with; the first word stands."""
        row = {"account": account, "day": day, "opening_equity_nanos": equity_nanos}
        async with self._database.begin() as connection:
            await connection.execute(self._insert(tables.days).values(row).on_conflict_do_nothing())

    async def day_opening(self, account: str, day: int) -> int | None:
        """The equity that a UTC day began with; None before it is known."""
        table = tables.days
        query = select(table.c.opening_equity_nanos).where(table.c.account == account, table.c.day == day)
        async with self._database.read() as connection:
            found: int | None = (await connection.execute(query)).scalar()
            return found

    async def has_days(self, account: str) -> bool:
        """A day of this account was opened before."""
        query = select(func.count()).select_from(tables.days).where(tables.days.c.account == account)
        async with self._database.read() as connection:
            return bool((await connection.execute(query)).scalar())
