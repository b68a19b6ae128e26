"""What every Curves must do, and what becomes of an older book, on SQLite and on Postgres."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import text

from fleet.database import Database, open_database
from services.portfolio.adapters.sql_accounts import SqlAccounts
from services.portfolio.adapters.sql_book import open_book
from services.portfolio.adapters.sql_curves import SqlCurves
from services.portfolio.domain.account import DayOpening
from services.portfolio.domain.equity import UNIT, Amounts, Point
from services.portfolio.domain.ledger import Cash
from services.portfolio.ports import Horizons, Mark
from trading.clock import DAY_NS, MINUTE_NS
from trading.money import ONE

HOUR_NS = 60 * MINUTE_NS


@pytest.fixture
def curves(portfolio_database: Database) -> SqlCurves:
    return SqlCurves(portfolio_database)


def a_point(time_ns: int, equity_nanos: int = 10**20) -> Point:
    basis = {"USD": Amounts(10**20, 5, -6, 7), "EUR": Amounts()}
    return Point(time_ns, equity_nanos, -(10**21), UNIT * 3 // 2, 4, 5, 6, ("EUR", "JPY"), basis)


async def test_a_point_comes_back_as_it_was(curves: SqlCurves) -> None:
    assert await curves.newest("main") is None
    await curves.add({"main": a_point(5), "second": a_point(6)}, [])
    await curves.add({"main": a_point(7, 8)}, [])
    assert await curves.newest("main") == a_point(7, 8)
    assert await curves.newest("second") == a_point(6)


async def test_the_same_point_twice_is_one(curves: SqlCurves) -> None:
    await asyncio.gather(curves.add({"main": a_point(5)}, []), curves.add({"main": a_point(5)}, []))
    assert await curves.between("main", 0, 9) == [a_point(5)]


async def test_prices_are_kept_with_the_points_they_valued(curves: SqlCurves) -> None:
    await curves.add({"main": a_point(5)}, [Mark("TSLA", 7, 1), Mark("AAPL", 8, 2)])
    await curves.add({"main": a_point(6)}, [Mark("TSLA", 9, 3)])
    assert await curves.marks() == (Mark("AAPL", 8, 2), Mark("TSLA", 9, 3))


async def test_a_stretch_begins_with_how_it_stood(curves: SqlCurves) -> None:
    for time_ns in (10, 20, 30, 40):
        await curves.add({"main": a_point(time_ns), "second": a_point(time_ns)}, [])
    assert await curves.between("main", 25, 40) == [a_point(25), a_point(30), a_point(40)]
    assert await curves.between("main", 20, 29) == [a_point(20)]
    assert await curves.between("main", 0, 10) == [a_point(10)]
    assert await curves.between("main", 0, 9) == []


async def test_thinning_keeps_the_last_of_each_hour_then_of_each_day_and_always_the_first(curves: SqlCurves) -> None:
    now = 20_100 * DAY_NS
    old, middle, new = now - 20 * DAY_NS, now - 5 * DAY_NS, now - HOUR_NS
    times = [
        now - 50 * DAY_NS, now - 49 * DAY_NS,
        old + 1, old + HOUR_NS, old + DAY_NS - 1, old + DAY_NS,
        middle + 1, middle + 2, middle + HOUR_NS,
        new + 1, new + 2,
    ]  # fmt: skip
    for time_ns in times:
        await curves.add({"main": a_point(time_ns), "second": a_point(time_ns)}, [])
    await curves.thin(now, Horizons(2, 10, 30))
    kept = [point.time_ns for point in await curves.between("main", 0, now)]
    assert kept == [times[0], times[4], times[5], times[7], times[8], times[9], times[10]]
    assert [point.time_ns for point in await curves.between("second", 0, now)] == kept
    await curves.thin(now, Horizons(2, 10, 30))
    assert len(await curves.between("main", 0, now)) == len(kept)


async def test_the_cash_of_an_older_book_is_told_apart_by_its_causes(database_url: str, tmp_path: Path) -> None:
    words = {"service": "portfolio", "data_dir": tmp_path, "migrations": "services.portfolio.migrations"}
    async with open_database(database_url, **words) as opened:  # type: ignore[arg-type]
        await _make_older(opened)
    async with open_database(database_url, **words) as opened, open_book(opened) as book:  # type: ignore[arg-type]
        assert (await book.read("main")).cash == {"USD": Cash(390 * ONE, 500 * ONE, 7 * ONE, 151 * ONE)}
        accounts = SqlAccounts(opened)
        assert await accounts.day_opening("main", 20_000) == DayOpening(5, {"USD": 500 * ONE})
        assert await accounts.day_opening("main", 19_999) == DayOpening(4, {})


async def _make_older(database: Database) -> None:
    """A book as the revision before left it."""
    from fleet.migrations import Config, EnvironmentContext, ScriptDirectory  # loaded where it is needed

    def downgrade(connection: object) -> None:
        config = Config()
        config.set_main_option("script_location", "services/portfolio/migrations")
        script = ScriptDirectory.from_config(config)

        def down(current: object, _context: object) -> object:
            return script._downgrade_revs("0002", current)  # type: ignore[arg-type]

        with EnvironmentContext(config, script, fn=down, destination_rev="0002") as environment:
            environment.configure(connection=connection, transactional_ddl=False)  # type: ignore[arg-type]
            environment.run_migrations()

    fill = "'main', 'AAPL', 'USD', 'BUY'"
    morning = 20_000 * DAY_NS
    async with database.begin() as connection:
        await connection.run_sync(downgrade)
        for statement in (
            f"INSERT INTO fills VALUES ('f1', {fill}, 50000000000, 2000000000, 0, 'o', 'x', 1, 1)",
            f"INSERT INTO fills VALUES ('f2', {fill}, 51000000000, 1000000000, 0, 'o', 'y', 1, 2)",
            f"INSERT INTO charges VALUES ('c1','main','TRANSFER','','USD',-500000000000,0,1,{morning - 1},1,1)",
            f"INSERT INTO charges VALUES ('c2','main','FEE','','USD',7000000000,0,1,{morning},2,1)",
            f"INSERT INTO charges VALUES ('c3','main','FEE','AAPL','USD',1000000000,0,1,{morning},3,1)",
            "INSERT INTO cash_flows VALUES ('main', 'USD', '390000000000')",
            "INSERT INTO books VALUES ('main', 2, 2, 2)",
            "INSERT INTO days VALUES ('main', 20000, '5'), ('main', 19999, '4')",
        ):
            await connection.execute(text(statement))
