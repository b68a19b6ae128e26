"""Where a service keeps its truth: SQLite in one file, or its own schema in Postgres."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import stamina
from sqlalchemy import Connection, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.schema import CreateSchema

from trading.errors import InvalidArgument, Unavailable

POSTGRES_POOL = 4
POSTGRES_TIMEOUT_S = 3.0
START_TIMEOUT_S = 20.0
RETRY_WAIT_S = 0.2
_GONE_STATES = ("08", "53300", "57P01", "57P02", "57P03")
"""What Postgres says without a connection, when all are taken, while it goes down or comes up (SQLSTATE)."""
_REFUSED_STATES = ("28", "3D000")
"""What it says to a wrong login, and about a database that is not there."""
_READ_ONLY = "fleet_read_only"
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
        with _named():
            async with self.engine.begin() as connection:
                yield connection

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection for reading, which waits for no writer; raises Unavailable when the database is gone."""
        with _named():
            async with self.engine.connect() as connection:
                await connection.execution_options(**{_READ_ONLY: True})
                async with connection.begin():
                    yield connection

    async def check(self) -> None:
        """Raise Unavailable when it does not answer."""
        async with self.read() as connection:
            await connection.execute(text("SELECT 1"))


@asynccontextmanager
async def open_database(
    url: str, *, service: str, data_dir: Path, migrations: str, start_timeout_s: float = START_TIMEOUT_S
) -> AsyncIterator[Database]:
    """Open `url` (empty: `<data_dir>/<service>.db`) and bring its schema to the newest revision.

    `migrations` is the package whose `versions/` hold the revisions. Raises InvalidArgument for a URL that
    cannot be used, Unavailable when the database does not answer in `start_timeout_s` seconds.
    """
    target = _target(url, service, data_dir)
    engine = _engine(target, service)
    try:
        await _until_reachable(engine, service, migrations, start_timeout_s)
        yield Database(engine)
    finally:
        await engine.dispose()


def _target(url: str, service: str, data_dir: Path) -> URL:
    if not url:
        data_dir.mkdir(parents=True, exist_ok=True)
        return URL.create(_DRIVERS["sqlite"], database=str(data_dir / f"{service}.db"))
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # its message may repeat the password
        raise InvalidArgument("DATABASE_URL is no URL: expected postgresql://… or sqlite:///….") from None
    backend = parsed.drivername.partition("+")[0]
    if backend not in _DRIVERS:
        raise InvalidArgument("Expected DATABASE_URL to be postgresql://… or sqlite:///….", was=backend)
    if backend == "sqlite" and not Path(parsed.database or "").parent.is_dir():
        raise InvalidArgument("The folder of the SQLite database in DATABASE_URL does not exist.", was=parsed.database)
    return _with_ssl(parsed.set(drivername=_DRIVERS[backend]))


def _with_ssl(url: URL) -> URL:
    """What libpq and the clouds call `sslmode`, asyncpg calls `ssl`."""
    mode = url.query.get("sslmode")
    return url.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode}) if mode else url


def _engine(url: URL, service: str) -> AsyncEngine:
    if url.get_backend_name() == "sqlite":
        engine = create_async_engine(url)
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
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
    connection.isolation_level = None  # the driver begins too late: after the first read, and never for DDL
    cursor = connection.cursor()
    for pragma in ("busy_timeout=5000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    """Take the write lock first, so that what a transaction reads still holds when it writes; reads need none."""
    if not connection.get_execution_options().get(_READ_ONLY):
        connection.exec_driver_sql("BEGIN IMMEDIATE")


async def _until_reachable(engine: AsyncEngine, service: str, migrations: str, timeout_s: float) -> None:
    attempts = stamina.retry_context(
        on=_is_gone, attempts=None, timeout=timeout_s, wait_initial=RETRY_WAIT_S, wait_max=1.0
    )
    try:
        async for attempt in attempts:
            with attempt:
                async with engine.begin() as connection:
                    await connection.run_sync(_upgrade, service, migrations)
    except (OSError, TimeoutError, SQLAlchemyError) as error:
        where = engine.url.set(query={}).render_as_string()
        if _is_gone(error):
            raise Unavailable(f"The database at {where} does not answer.") from error
        if _is_refused(error):
            raise InvalidArgument(f"The database at {where} cannot be used: {_said(error)}.") from error
        raise


@contextmanager
def _named() -> Iterator[None]:
    try:
        yield
    except (OSError, TimeoutError, SQLAlchemyError) as error:
        if not _is_gone(error):
            raise
        raise Unavailable("The database does not answer.", retry_after_s=1) from error


def _is_gone(error: Exception) -> bool:
    """Whether the database, rather than the statement, is to blame."""
    if not isinstance(error, DBAPIError):
        return isinstance(error, OSError | TimeoutError | PoolTimeout)
    busy = "database is locked" in _said(error)
    return error.connection_invalidated or busy or _state(error).startswith(_GONE_STATES)


def _is_refused(error: Exception) -> bool:
    return _state(error).startswith(_REFUSED_STATES) or "unable to open database file" in _said(error)


def _state(error: Exception) -> str:
    """Postgres's SQLSTATE, "" elsewhere."""
    return str(getattr(getattr(error, "orig", None), "sqlstate", None) or "")


def _said(error: Exception) -> str:
    return str(getattr(error, "orig", error))


def _upgrade(connection: Connection, service: str, migrations: str) -> None:
    """Bring the schema up to date; one service at a time per database."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"migrate {service}"})
        connection.execute(CreateSchema(service, if_not_exists=True))
    if not _is_current(connection, migrations):
        from fleet.migrations import upgrade  # Alembic takes 0.1 s to load, and is rarely needed

        upgrade(connection, migrations)


def _is_current(connection: Connection, migrations: str) -> bool:
    """Whether the newest file of `migrations`, which its revision names, has been applied."""
    if not connection.dialect.has_table(connection, "alembic_version"):
        return False
    files = (file.name for file in resources.files(migrations).joinpath("versions").iterdir())
    newest = max(name.partition("_")[0] for name in files if name[0].isdigit())
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all() == [newest]
