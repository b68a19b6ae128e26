"""The equity curves, and the prices behind their newest points, in SQLite or Postgres."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, delete, func, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from fleet.database import Database
from services.portfolio.adapters import tables
from services.portfolio.domain.equity import Amounts, Basis, Point
from services.portfolio.ports import Horizons, Mark
from trading.clock import DAY_NS

_HOUR_NS = 3_600 * 1_000_000_000
_AMOUNTS = Point._fields[:7]


class SqlCurves:
    """Curves over SQLAlchemy Core."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._insert: Any = postgresql.insert if database.dialect == "postgresql" else sqlite.insert

    async def newest(self, account: str) -> Point | None:
        """The last point of an account."""
        table = tables.curves
        query = select(table).where(table.c.account == account).order_by(table.c.time_ns.desc()).limit(1)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        return _point(row) if row else None

    async def add(self, points: Mapping[str, Point], marks: Sequence[Mark]) -> None:
        """Keep points and prices in one transaction."""
        async with self._database.begin() as connection:
            rows = [_row(account, point) for account, point in points.items()]
            await connection.execute(self._insert(tables.curves).on_conflict_do_nothing(), rows)
            if marks:
                statement = self._insert(tables.marks)
                fresh = {name: statement.excluded[name] for name in ("price_nanos", "receive_time_ns")}
                upsert = statement.on_conflict_do_update(index_elements=["symbol"], set_=fresh)
                await connection.execute(upsert, [mark._asdict() for mark in marks])

    async def marks(self) -> Sequence[Mark]:
        """The prices of the newest points."""
        async with self._database.read() as connection:
            rows = (await connection.execute(select(tables.marks).order_by(tables.marks.c.symbol))).all()
        return tuple(Mark(*row) for row in rows)

    async def between(self, account: str, start_ns: int, end_ns: int) -> Sequence[Point]:
        """Points by time, how it stood at the start first."""
        table = tables.curves
        own = select(table).where(table.c.account == account)
        earlier = own.where(table.c.time_ns <= start_ns).order_by(table.c.time_ns.desc()).limit(1)
        inside = own.where(table.c.time_ns > start_ns, table.c.time_ns <= end_ns).order_by(table.c.time_ns)
        async with self._database.read() as connection:
            before = [_point(row)._replace(time_ns=start_ns) for row in (await connection.execute(earlier)).all()]
            return [*before, *(_point(row) for row in (await connection.execute(inside)).all())]

    async def thin(self, now_ns: int, horizons: Horizons) -> None:
        """Keep the last point of each hour, then of each day, then none."""
        ages = (horizons.all_days, horizons.hourly_days, horizons.daily_days)
        fine, hourly, daily = (now_ns - days * DAY_NS for days in ages)
        table, all_points = tables.curves, tables.curves.alias()
        point, kept = tuple_(table.c.account, table.c.time_ns), (all_points.c.account, all_points.c.time_ns)
        firsts = select(kept[0], func.min(kept[1])).group_by(kept[0])
        async with self._database.begin() as connection:
            for start, end, width in ((hourly, fine, _HOUR_NS), (daily, hourly, DAY_NS)):
                lasts = select(kept[0], func.max(kept[1])).where(kept[1] >= start, kept[1] < end)
                group = lasts.group_by(kept[0], kept[1] // width)
                in_span = (table.c.time_ns >= start, table.c.time_ns < end)
                await connection.execute(delete(table).where(*in_span, point.not_in(group), point.not_in(firsts)))
            await connection.execute(delete(table).where(table.c.time_ns < daily, point.not_in(firsts)))


def _row(account: str, point: Point) -> dict[str, Any]:
    amounts = {name: getattr(point, name) for name in _AMOUNTS}
    told = {name: [str(value) for value in sums] for name, sums in point.basis.items()}
    return {"account": account, **amounts, "unpriced": " ".join(point.unpriced), "basis": json.dumps(told)}


def _point(row: Row[Any]) -> Point:
    return Point._make((*row[1:8], tuple(row.unpriced.split()), _basis(row.basis)))


def _basis(text: str) -> Basis:
    return {name: Amounts(*map(int, sums)) for name, sums in json.loads(text).items()}
