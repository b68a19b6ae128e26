"""Where the stores of execution and portfolio keep what they are told, in their contract tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fleet.database import Database, open_database
from services.portfolio.adapters.sql_book import SqlBook, open_book


@pytest.fixture(params=["fake", "sqlite", "postgresql"])
def kept_in(request: pytest.FixtureRequest) -> str | None:
    """Where the log is kept: None in memory, "" in a SQLite file, else a Postgres URL."""
    if request.param == "fake":
        return None
    return "" if request.param == "sqlite" else str(request.getfixturevalue("postgres_url"))


@pytest.fixture
async def portfolio_database(database_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    """A database of portfolio, on SQLite and on Postgres in turn."""
    async with open_database(
        database_url, service="portfolio", data_dir=tmp_path, migrations="services.portfolio.migrations"
    ) as opened:
        yield opened


@pytest.fixture
async def book(portfolio_database: Database) -> AsyncIterator[SqlBook]:
    """An empty book in it."""
    async with open_book(portfolio_database) as opened:
        yield opened
