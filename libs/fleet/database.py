"""Where a service keeps its truth: SQLite in one file, or its own schema in Postgres."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import stamina
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.schema import CreateSchema

from trading.errors import InvalidArgument, Unavailable

POSTGRES_POOL = 4
POSTGRES_TIMEOUT_S = 3.0
START_TIMEOUT_S = 20.0
RETRY_WAIT_S = 0.2
_TURNED_AWAY = ("57P01", "57P02", "57P03", "53300")
"""What Postgres says while it goes down or comes up, or when all its connections are taken (SQLSTATE)."""
_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}


@dataclass(frozen=True, slots=True)
class Database:
    """An open database whose schema is current."""

    engine: AsyncEngine

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.engine.dialect.name

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that commits at the end of the block; raises Unavailable when the database is gone."""
        try:
            async with self.engine.begin() as connection:
                yield connection
        except (OSError, TimeoutError, SQLAlchemyError) as error:
            if not _is_unreachable(error):
                raise
            raise Unavailable("The database does not answer.", retry_after_s=1) from error

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection for reading; raises Unavailable when the database is gone."""
        async with self.begin() as connection:
            yield connection

    async def check(self) -> None:
        """Raise Unavailable when it does not answer."""
        async with self.read() as connection:
            await connection.execute(text("SELECT 1"))


@asynccontextmanager
async def open_database(url: str, *, service: str, data_dir: Path, migrations: str) -> AsyncIterator[Database]:
    """Open `url` (empty: `<data_dir>/<service>.db`) and bring its schema to the newest revision.

    `migrations` is the package whose `versions/` hold the revisions. Raises InvalidArgument for a URL of
    another kind, Unavailable when the database does not answer in twenty seconds.
    """
    target = _target(url, service, data_dir)
    engine = _engine(target, service)
    try:
        await _until_reachable(engine, service, migrations)
        yield Database(engine)
    finally:
        await engine.dispose()


def _target(url: str, service: str, data_dir: Path) -> URL:
    if not url:
        data_dir.mkdir(parents=True, exist_ok=True)
        return URL.create(_DRIVERS["sqlite"], database=str(data_dir / f"{service}.db"))
    parsed = make_url(url)
    backend = parsed.drivername.partition("+")[0]
    if backend not in _DRIVERS:
        raise InvalidArgument("Expected DATABASE_URL to be postgresql://… or sqlite:///….", was=backend)
    return parsed.set(drivername=_DRIVERS[backend])


def _engine(url: URL, service: str) -> AsyncEngine:
    if url.get_backend_name() == "sqlite":
        engine = create_async_engine(url)
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        return engine
    settings = {"search_path": service, "application_name": service}
    return create_async_engine(
        url,
        pool_size=POSTGRES_POOL,
        max_overflow=0,
        pool_timeout=POSTGRES_TIMEOUT_S,
        pool_pre_ping=False,
        connect_args={
            "server_settings": settings,
            "timeout": POSTGRES_TIMEOUT_S,
            "command_timeout": POSTGRES_TIMEOUT_S,
        },
    )


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


async def _until_reachable(engine: AsyncEngine, service: str, migrations: str) -> None:
    attempts = stamina.retry_context(
        on=_is_unreachable, attempts=None, timeout=START_TIMEOUT_S, wait_initial=RETRY_WAIT_S, wait_max=1.0
    )
    try:
        async for attempt in attempts:
            with attempt:
                async with engine.begin() as connection:
                    await connection.run_sync(_upgrade, service, migrations)
    except (OSError, TimeoutError, DBAPIError) as error:
        if not _is_unreachable(error):
            raise
        raise Unavailable(f"The database at {engine.url.render_as_string()} does not answer.") from error


def _is_unreachable(error: Exception) -> bool:
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or getattr(error.orig, "sqlstate", None) in _TURNED_AWAY
    return isinstance(error, OSError | TimeoutError | PoolTimeout)


def _upgrade(connection: Connection, service: str, migrations: str) -> None:
    """Run every newer revision inside the given transaction; one service at a time per database."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"migrate {service}"})
        connection.execute(CreateSchema(service, if_not_exists=True))
    config = Config()
    config.set_main_option("script_location", str(resources.files(migrations)))
    script = ScriptDirectory.from_config(config)

    def revisions(current: Any, _context: Any) -> Any:
        return script._upgrade_revs("head", current)  # the same call that `alembic upgrade head` makes

    with EnvironmentContext(config, script, fn=revisions, destination_rev="head") as environment:
        environment.configure(connection=connection, transactional_ddl=False)
        environment.run_migrations()
