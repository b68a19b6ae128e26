"""Both kinds of database open, migrate, commit and fail in the same words."""

import asyncio
import shutil
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from faults import MortalPostgres, mortal_postgres
from servers import free_port, postgres_binaries
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from waiting import TIMEOUT_S, until, within

from fleet import database
from fleet.database import Database, open_database
from trading.errors import InvalidArgument, Unavailable

Opened = Callable[..., AbstractAsyncContextManager[Database]]
FIRST = """
    from alembic import op
    import sqlalchemy as sa
    revision, down_revision = "1", None
    def upgrade():
        op.create_table("entries", sa.Column("name", sa.Text, primary_key=True))
"""
SECOND = """
    from alembic import op
    import sqlalchemy as sa
    revision, down_revision = "2", "1"
    def upgrade():
        op.add_column("entries", sa.Column("amount", sa.BigInteger, nullable=False, server_default="7"))
"""
BROKEN = """
    from alembic import op
    revision, down_revision = "3", "2"
    def upgrade():
        op.execute("INSERT INTO entries (name) VALUES ('half')")
        op.execute("INSERT INTO nowhere VALUES (1)")
"""


@pytest.fixture
def revisions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Writes a package of migrations and gives its name."""
    monkeypatch.syspath_prepend(str(tmp_path))
    name = f"migrations_{tmp_path.name.replace('-', '_')}"

    def write(*scripts: str) -> str:
        versions = tmp_path / name / "versions"
        shutil.rmtree(versions, ignore_errors=True)
        versions.mkdir(parents=True)
        (tmp_path / name / "__init__.py").touch()
        for number, script in enumerate(scripts, 1):
            (versions / f"{number:04d}_step.py").write_text(textwrap.dedent(script))
        return name

    return write


@pytest.fixture
def opened(tmp_path: Path, revisions: Callable[..., str]) -> Opened:
    """Opens a database as the service `ledger`."""

    @asynccontextmanager
    async def start(url: str, *scripts: str, start_timeout_s: float = 5.0) -> AsyncIterator[Database]:
        async with open_database(
            url,
            service="ledger",
            data_dir=tmp_path / "data",
            migrations=revisions(*(scripts or (FIRST, SECOND))),
            start_timeout_s=start_timeout_s,
        ) as ledger:
            yield ledger

    return start


async def scalar(ledger: Database, query: str) -> object:
    async with ledger.read() as connection:
        return (await connection.execute(text(query))).scalar()


async def run(ledger: Database, statement: str) -> None:
    async with ledger.begin() as connection:
        await connection.execute(text(statement))


async def test_a_new_database_has_the_newest_schema(opened: Opened, database_url: str) -> None:
    async with opened(database_url) as ledger:
        await ledger.check()
        await run(ledger, "INSERT INTO entries (name) VALUES ('a')")
        assert await scalar(ledger, "SELECT amount FROM entries") == 7
        assert ledger.dialect == database_url.partition(":")[0]


async def test_what_was_committed_is_there_when_it_is_opened_again(opened: Opened, database_url: str) -> None:
    for expected in range(3):
        async with opened(database_url) as ledger:
            assert await scalar(ledger, "SELECT count(*) FROM entries") == expected
            await run(ledger, f"INSERT INTO entries (name) VALUES ('{expected}')")


async def test_an_older_database_is_brought_up_to_date_with_its_rows(opened: Opened, database_url: str) -> None:
    async with opened(database_url, FIRST) as ledger:
        await run(ledger, "INSERT INTO entries (name) VALUES ('old')")
    async with opened(database_url, FIRST, SECOND) as ledger:
        assert await scalar(ledger, "SELECT amount FROM entries WHERE name = 'old'") == 7


async def test_a_migration_that_fails_leaves_nothing_of_itself(opened: Opened, database_url: str) -> None:
    with pytest.raises(DBAPIError):
        async with opened(database_url, FIRST, SECOND, BROKEN):
            raise AssertionError
    async with opened(database_url, FIRST, SECOND) as ledger:
        assert await scalar(ledger, "SELECT count(*) FROM entries") == 0


async def test_several_that_open_a_new_database_at_once_migrate_it_once(opened: Opened, database_url: str) -> None:
    async def open_and_write(number: int) -> None:
        async with opened(database_url, start_timeout_s=30.0) as ledger:
            await run(ledger, f"INSERT INTO entries (name) VALUES ('{number}')")

    await asyncio.gather(*(open_and_write(number) for number in range(6)))
    async with opened(database_url) as ledger:
        assert await scalar(ledger, "SELECT count(*) FROM entries") == 6


async def test_two_processes_that_start_at_once_migrate_once(
    revisions: Callable[..., str], opened: Opened, database_url: str, tmp_path: Path
) -> None:
    name = revisions(FIRST, SECOND)
    program = textwrap.dedent(f"""
        import asyncio, pathlib, sys
        sys.path.insert(0, {str(tmp_path)!r})
        from fleet.database import open_database
        async def main():
            here = pathlib.Path({str(tmp_path)!r})
            async with open_database({database_url!r}, service="ledger", data_dir=here, migrations={name!r}):
                pass
        asyncio.run(main())
    """)
    started = [await asyncio.create_subprocess_exec(sys.executable, "-c", program) for _ in range(2)]
    assert [await child.wait() for child in started] == [0, 0]
    async with opened(database_url) as ledger:
        assert await scalar(ledger, "SELECT version_num FROM alembic_version") == "2"


async def test_a_transaction_that_fails_leaves_nothing(opened: Opened, database_url: str) -> None:
    async with opened(database_url) as ledger:
        with pytest.raises(ValueError, match="no"):
            await _insert_and_fail(ledger)
        assert await scalar(ledger, "SELECT count(*) FROM entries") == 0


async def _insert_and_fail(ledger: Database) -> None:
    async with ledger.begin() as connection:
        await connection.execute(text("INSERT INTO entries (name) VALUES ('a')"))
        raise ValueError("no")


async def test_two_services_share_a_postgres_without_meeting(
    postgres_url: str, revisions: Callable[..., str], tmp_path: Path
) -> None:
    name = revisions(FIRST, SECOND)
    for service in ("ledger", "other"):
        async with open_database(postgres_url, service=service, data_dir=tmp_path, migrations=name) as ledger:
            assert await scalar(ledger, "SELECT count(*) FROM entries") == 0
            await run(ledger, "INSERT INTO entries (name) VALUES ('mine')")


async def test_without_a_url_it_is_a_file_of_the_service_s_own(opened: Opened, tmp_path: Path) -> None:
    async with opened("") as ledger:
        await run(ledger, "INSERT INTO entries (name) VALUES ('a')")
    assert (tmp_path / "data" / "ledger.db").stat().st_size > 0


async def test_sqlite_syncs_every_commit_to_a_write_ahead_log(opened: Opened) -> None:
    async with opened("") as ledger:
        found = {
            name: await scalar(ledger, f"PRAGMA {name}")
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    full = 2
    assert found == {"journal_mode": "wal", "synchronous": full, "foreign_keys": 1, "busy_timeout": 5000}


async def test_what_a_transaction_reads_holds_until_it_writes(opened: Opened, database_url: str) -> None:
    async with opened(database_url) as ledger:
        await run(ledger, "INSERT INTO entries (name, amount) VALUES ('counter', 0)")
        lock = "" if ledger.dialect == "sqlite" else " FOR UPDATE"

        async def add_one() -> None:
            async with ledger.begin() as connection:
                query = f"SELECT amount FROM entries WHERE name = 'counter'{lock}"
                amount = (await connection.execute(text(query))).scalar_one()
                await connection.execute(text(f"UPDATE entries SET amount = {amount + 1}"))

        await asyncio.gather(*(add_one() for _ in range(20)))
        assert await scalar(ledger, "SELECT amount FROM entries") == 20


async def test_readers_of_sqlite_wait_for_no_writer(opened: Opened) -> None:
    async with opened("") as ledger, ledger.begin() as writing:
        await writing.execute(text("INSERT INTO entries (name) VALUES ('a')"))
        async with asyncio.timeout(TIMEOUT_S):
            assert await scalar(ledger, "SELECT count(*) FROM entries") == 0


async def test_a_sqlite_file_that_stays_locked_is_unavailable(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened("") as ledger, ledger.begin():
        async with ledger.read() as impatient:
            await impatient.execute(text("PRAGMA busy_timeout=50"))
        with pytest.raises(Unavailable) as failure:
            await run(ledger, "INSERT INTO entries (name) VALUES ('b')")
    assert failure.value.metadata == {"retry_after_s": 1}


@pytest.mark.parametrize(
    "url",
    [
        "not a url",
        "hunter2",
        "postgresql://trader:hunter2@127.0.0.1:port/db",
        "mysql://trader:hunter2@127.0.0.1/db",
        "sqlite:////no/such/folder/hunter.db",
    ],
)
async def test_a_url_that_cannot_be_used_is_an_invalid_argument(opened: Opened, url: str) -> None:
    with pytest.raises(InvalidArgument) as failure:
        async with opened(url):
            raise AssertionError
    assert "hunter2" not in f"{failure.value} {failure.value.metadata}"


@pytest.mark.timed
@pytest.mark.parametrize("query", ["", "?password=hunter2", "?sslmode=prefer"])
async def test_an_unreachable_postgres_is_unavailable_and_its_password_unsaid(opened: Opened, query: str) -> None:
    port = free_port()
    started = time.perf_counter()
    with pytest.raises(Unavailable, match=f"127.0.0.1:{port}/db does not answer") as failure:
        async with opened(f"postgresql://trader:hunter2@127.0.0.1:{port}/db{query}", start_timeout_s=0.5):
            raise AssertionError
    assert "hunter2" not in str(failure.value)
    assert time.perf_counter() - started < within(3)


async def test_the_default_patience_at_the_start_is_twenty_seconds() -> None:
    assert database.START_TIMEOUT_S == 20


async def test_a_postgres_without_the_database_refuses_at_once(opened: Opened, postgres_url: str) -> None:
    absent = postgres_url.rpartition("/")[0] + "/absent"
    with pytest.raises(InvalidArgument, match='database "absent" does not exist'):
        async with opened(absent):
            raise AssertionError


async def test_libpq_s_name_for_encryption_is_understood(opened: Opened, postgres_url: str) -> None:
    async with opened(f"{postgres_url}?sslmode=disable") as ledger:
        await ledger.check()


@pytest.fixture
def mortal(tmp_path: Path) -> AsyncIterator[MortalPostgres]:
    if postgres_binaries() is None:
        pytest.skip("No Postgres binaries on this machine (initdb).")
    folder = tmp_path / "cluster"
    folder.mkdir()
    with mortal_postgres(folder) as cluster:
        yield cluster


async def _answers(ledger: Database) -> bool:
    try:
        await ledger.check()
    except Unavailable:
        return False
    return True


@pytest.mark.timed
async def test_a_killed_postgres_is_unavailable_and_comes_back_with_every_commit(
    opened: Opened, mortal: MortalPostgres
) -> None:
    async with opened(mortal.url) as ledger:
        await asyncio.gather(*(run(ledger, f"INSERT INTO entries (name) VALUES ('{n}')") for n in range(8)))
        mortal.kill()
        for _ in range(6):  # more than the pool holds: each dead connection is noticed and thrown away
            with pytest.raises(Unavailable):
                await run(ledger, "INSERT INTO entries (name) VALUES ('lost')")
        restarting = asyncio.get_running_loop().run_in_executor(None, mortal.restart)
        while not restarting.done():
            await _answers(ledger)  # anything but Unavailable fails the test, also while it starts up
            await asyncio.sleep(0.01)
        took = await restarting
        started = time.perf_counter()
        await until(lambda: _answers(ledger), "the database to answer")
        print(f"Postgres started in {took:.2f} s, first answer {time.perf_counter() - started:.3f} s later")
        assert time.perf_counter() - started < within(1)
        assert await scalar(ledger, "SELECT count(*) FROM entries") == 8
        assert all(await asyncio.gather(*(_answers(ledger) for _ in range(8))))


@pytest.mark.timed
async def test_a_mute_postgres_is_unavailable_within_a_bound(
    opened: Opened, mortal: MortalPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "POSTGRES_TIMEOUT_S", 0.5)
    async with opened(mortal.url) as ledger:
        mortal.freeze()
        started = time.perf_counter()
        answers = await asyncio.gather(*(_answers(ledger) for _ in range(6)))
        took = time.perf_counter() - started
        mortal.thaw()
        assert not any(answers)
        assert took < within(5)
        print(f"a mute Postgres was given up after {took:.2f} s")
        await until(lambda: _answers(ledger), "the database to answer")


async def test_one_connection_that_the_server_ends_is_replaced(opened: Opened, postgres_url: str) -> None:
    async with opened(postgres_url) as ledger:
        with pytest.raises(Unavailable):
            await run(ledger, "SELECT pg_terminate_backend(pg_backend_pid())")
        await ledger.check()


async def test_a_statement_that_is_wrong_is_no_outage(opened: Opened, database_url: str) -> None:
    async with opened(database_url) as ledger:
        with pytest.raises(DBAPIError):
            await run(ledger, "SELEC 1")
        await ledger.check()
