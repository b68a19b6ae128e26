"""The database of an order log, with its schema."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fleet.database import Database, open_database


@asynccontextmanager
async def a_database(url: str, directory: Path) -> AsyncIterator[Database]:
    """An order log's database with its schema."""
    async with open_database(
        url, service="execution", data_dir=directory, migrations="services.execution.migrations"
    ) as database:
        yield database
