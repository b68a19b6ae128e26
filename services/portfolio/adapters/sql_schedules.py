"""Schedules of rebalances in SQLite or Postgres."""

from dataclasses import replace
from typing import Any

import msgspec
from sqlalchemy import Row, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from fleet.database import Database
from services.portfolio.adapters.rebalance_tables import schedules as table
from services.portfolio.domain.rebalance_schedule import Schedule

_RUNS = ("last_run_ns", "last_rebalance_id", "last_error")


class SqlSchedules:
    """Schedules over SQLAlchemy Core: one for each account."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._insert: Any = postgresql.insert if database.dialect == "postgresql" else sqlite.insert

    async def all(self) -> tuple[Schedule, ...]:
        """Every schedule, by account."""
        async with self._database.read() as connection:
            rows = (await connection.execute(select(table).order_by(table.c.account))).all()
        return tuple(map(_schedule, rows))

    async def put(self, schedule: Schedule) -> Schedule:
        """Create or replace the schedule of its account; what is known of its last run stays."""
        wish = {
            "document": msgspec.json.encode(schedule).decode(),
            "enabled": schedule.enabled,
            "next_run_ns": schedule.next_run_ns,
        }
        fresh = {"account": schedule.account, **wish, "last_run_ns": 0, "last_rebalance_id": "", "last_error": ""}
        upsert = self._insert(table).values(fresh).on_conflict_do_update(index_elements=["account"], set_=wish)
        async with self._database.begin() as connection:
            await connection.execute(upsert)
            kept = (await connection.execute(select(table).where(table.c.account == schedule.account))).one()
        return _schedule(kept)

    async def claim(self, schedule: Schedule, next_run_ns: int) -> bool:
        """Move a schedule's next run, if it is still the one that was read."""
        is_same = (table.c.account == schedule.account, table.c.next_run_ns == schedule.next_run_ns)
        async with self._database.begin() as connection:
            moved = await connection.execute(update(table).where(*is_same).values(next_run_ns=next_run_ns))
            return bool(moved.rowcount)

    async def note_run(self, schedule: Schedule) -> None:
        """Keep what a schedule says of its runs, unless it is gone by now."""
        said = {name: getattr(schedule, name) for name in _RUNS}
        async with self._database.begin() as connection:
            await connection.execute(update(table).where(table.c.account == schedule.account).values(said))

    async def remove(self, account: str) -> bool:
        """Take the schedule of an account away; False when there is none."""
        async with self._database.begin() as connection:
            return bool((await connection.execute(delete(table).where(table.c.account == account))).rowcount)


def _schedule(row: Row[Any]) -> Schedule:
    schedule = msgspec.json.decode(row.document, type=Schedule)
    said = {name: getattr(row, name) for name in ("enabled", "next_run_ns", *_RUNS)}
    return replace(schedule, **said)
