"""SQL in processes of their own: bounded in rows, time, memory and number."""

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import msgspec
import psutil
import pytest
from builders.history import NOON_NS, a_store, quotes, recorded

from services.market_data.adapters.query_pool import QueryLimits, QueryPool, open_query_pool
from services.market_data.domain.sql import LONGEST, checked_sql
from trading.errors import DeadlineExceeded, InvalidArgument, ResourceExhausted

LIMITS = QueryLimits(seconds=20, megabytes=256, rows=1000, answer_bytes=2**20, workers=1, waiting=1)
ENDLESS = "select count(*) from quotes a cross join quotes b cross join quotes c"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("history")
    a_store(root).record(recorded(quotes([NOON_NS + at for at in range(20_000)])))
    return root


@pytest.fixture
async def pool(folder: Path) -> AsyncIterator[QueryPool]:
    async with open_query_pool(folder, LIMITS) as opened:
        yield opened


async def column(pool: QueryPool, sql: str, row_limit: int = 0) -> list[object]:
    """The values of an answer's only column."""
    found = await pool.query(sql, row_limit, as_json=True)
    columns = msgspec.json.decode(b"".join(found.parts))["columns"]
    (values,) = columns.values()
    return list(values)


async def test_a_query_reads_what_is_stored_and_a_worker_answers_many(pool: QueryPool) -> None:
    assert await column(pool, "select count(*) from quotes") == ["20000"]
    assert await column(pool, 'select distinct "interval" from bars') == []
    assert await column(pool, "with x as (select bid from quotes) select max(bid) from x") == [299.99]


async def test_rows_are_bounded_and_the_cut_is_said(pool: QueryPool) -> None:
    found = await pool.query("select bid from quotes", 0, as_json=True)

    assert (found.rows, found.truncated) == (1000, True)
    with pytest.raises(InvalidArgument):
        await pool.query("select bid from quotes", 1001, as_json=True)


async def test_a_query_that_takes_too_long_is_ended_and_the_next_is_served(folder: Path) -> None:
    async with open_query_pool(folder, replace(LIMITS, seconds=3)) as pool:
        with pytest.raises(DeadlineExceeded):
            await column(pool, ENDLESS)
        assert await column(pool, "select 1 as one") == [1]


async def test_a_query_that_wants_all_memory_ends_its_own_process_only(pool: QueryPool) -> None:
    groups = "select a.timestamp_ns * 20000 + b.timestamp_ns as k from quotes a cross join quotes b group by k"
    with pytest.raises(ResourceExhausted) as refused:
        await column(pool, groups)

    assert refused.value.reason == "QUERY_MEMORY"

    assert await column(pool, "select 1 as one") == [1]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is bounded on Linux only")
async def test_a_small_question_takes_a_small_part_of_what_it_may_use(folder: Path) -> None:
    async with open_query_pool(folder, replace(LIMITS, megabytes=4096)) as pool:
        await pool.query("select count(*) from quotes", 0, as_json=False)
        (worker,) = pool._idle
        process = psutil.Process(worker._process.pid)
        (most, _), taken = process.rlimit(psutil.RLIMIT_AS), process.memory_info().vms
        assert taken - (most - 4096 * 2**20) < 512 * 2**20  # an allocator that reserves ahead takes 1,024


async def test_an_answer_that_is_too_large_is_refused(folder: Path) -> None:
    async with open_query_pool(folder, replace(LIMITS, answer_bytes=100)) as pool:
        with pytest.raises(ResourceExhausted, match="too large"):
            await column(pool, "select bid from quotes")


async def test_queries_wait_in_a_line_with_an_end(folder: Path) -> None:
    async with open_query_pool(folder, replace(LIMITS, seconds=4)) as pool, asyncio.TaskGroup() as group:
        busy = [group.create_task(_ended(pool)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(ResourceExhausted, match="Too many"):
            await column(pool, "select 1 as one")
    assert [task.result() for task in busy] == [DeadlineExceeded, DeadlineExceeded]


async def _ended(pool: QueryPool) -> type[Exception]:
    with pytest.raises(DeadlineExceeded) as ended:
        await column(pool, ENDLESS)
    return ended.type


async def test_a_caller_who_leaves_ends_the_process(folder: Path) -> None:
    async with open_query_pool(folder, LIMITS) as pool:
        asking = asyncio.create_task(column(pool, ENDLESS))
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert await column(pool, "select 1 as one") == [1]


async def test_a_query_process_knows_none_of_our_secrets(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NT_ADMIN_API_KEY", "secret")
    async with open_query_pool(folder, LIMITS) as pool:
        await column(pool, "select 1 as one")
        (worker,) = pool._idle
        assert "secret" not in psutil.Process(worker._process.pid).environ().values()


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "   ",
        "show tables",
        "create table x as select 1",
        "explain select 1",
        "delete from bars",
        "truncate bars",
        "select * from read_parquet('/etc/passwd')",
        "SELECT * FROM Read_Csv('s3://bucket/x')",
        "select * from \"read_ipc\"('x')",
        "with x as (select * from scan_parquet('x')) select * from x",
        "select 1 -- read_csv",
        "x" * (LONGEST + 1),
    ],
)
def test_what_is_no_plain_select_is_refused_before_a_process_sees_it(sql: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        checked_sql(sql)

    assert refused.value.metadata["field"] == "sql"


@pytest.mark.parametrize("sql", ["select 1", "  (select 1)", "WITH x AS (SELECT 1) SELECT * FROM x", "select\n1"])
def test_a_select_may_run(sql: str) -> None:
    assert checked_sql(sql) == sql
