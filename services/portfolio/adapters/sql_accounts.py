"""Execution's word on the accounts, and what each day began with, in SQLite or Postgres."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite

from fleet.database import Database
from services.portfolio.adapters import tables
from services.portfolio.domain.account import AccountTerms, DayOpening


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

    async def open_day(self, account: str, day: int, opening: DayOpening) -> None:
        """Keep what a UTC day began with; the first word stands."""
        paid = json.dumps({currency: str(nanos) for currency, nanos in opening.paid_in.items()})
        row = {"account": account, "day": day, "opening_equity_nanos": opening.equity_nanos, "opening_paid": paid}
        async with self._database.begin() as connection:
            await connection.execute(self._insert(tables.days).values(row).on_conflict_do_nothing())

    async def day_opening(self, account: str, day: int) -> DayOpening | None:
        """What a UTC day began with; None before it is known."""
        table = tables.days
        query = select(table.c.opening_equity_nanos, table.c.opening_paid)
        async with self._database.read() as connection:
            own = query.where(table.c.account == account, table.c.day == day)
            found = (await connection.execute(own)).one_or_none()
        if found is None:
            return None
        return DayOpening(found[0], {currency: int(nanos) for currency, nanos in json.loads(found[1]).items()})

    async def has_days(self, account: str) -> bool:
        """A day of this account was opened before."""
        query = select(func.count()).select_from(tables.days).where(tables.days.c.account == account)
        async with self._database.read() as connection:
            return bool((await connection.execute(query)).scalar())
