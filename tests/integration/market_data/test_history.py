"""The history as callers meet it: a real process that records a real venue, asked over gRPC."""

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import grpc
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from builders.live_venue import LiveVenue, MarketData, live_venue, market_data

from fleet import channels, rpc_errors
from neuraltrader.market_data.v1 import market_data_service_pb2 as pb
from neuraltrader.market_data.v1 import market_data_service_pb2_grpc as pb_grpc
from trading.clock import DAY_NS, MINUTE_NS, SystemClock
from trading.errors import Kind, TradingError

HOUR_NS = 60 * MINUTE_NS
SYMBOLS = ("MSFT", "AAPL", "BTC-USDT")


@pytest.fixture(scope="module")
def venue() -> Iterator[LiveVenue]:
    with live_venue("--quote-rate", "50", "--trade-rate", "20") as running:
        yield running


@pytest.fixture(scope="module")
def service(venue: LiveVenue, nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MarketData]:
    quick = {
        "NT_HISTORY_FLUSH_SECONDS": "0.2",
        "NT_HISTORY_TIDY_SECONDS": "1",
        "NT_QUERY_SECONDS": "3",
        "NT_QUERY_MEGABYTES": "256",
    }
    env = {**venue.settings, "NATS_URL": nats_url, "NT_SYMBOLS": "AAPL,MSFT,BTC-USDT", **quick}
    with market_data(tmp_path_factory.mktemp("market_data"), env) as running:
        running.wait_ready()
        yield running


@pytest.fixture
async def stub(service: MarketData) -> AsyncIterator[Any]:
    async with channels.connect(service.grpc, token=None, client="test", default_timeout_s=60) as channel:
        yield pb_grpc.MarketDataServiceStub(channel)


async def read(call: Any) -> tuple[bytes, int, bool]:
    """All slices of an answer, its row count and whether it was cut."""
    try:
        slices = [part async for part in call]
    except grpc.aio.AioRpcError as error:
        raise rpc_errors.from_rpc_error(error) from error
    assert all(0 < len(part.data) <= 2**20 for part in slices)
    return b"".join(part.data for part in slices), slices[0].rows, slices[0].truncated


async def table(stub: Any, **question: Any) -> pa.Table:
    """The answer of GetHistorical, checked for being one uncompressed batch."""
    data, rows, _ = await read(stub.GetHistorical(pb.GetHistoricalRequest(**question), timeout=60))
    with pa.ipc.open_stream(io.BytesIO(data)) as reader:
        batches = list(reader)
        assert len(batches) <= 1
        found = pa.Table.from_batches(batches, reader.schema)
    assert len(found) == rows
    return found


async def refusal(call: Any) -> TradingError:
    """The named error of a stream that is refused."""
    with pytest.raises(TradingError) as refused:
        await read(call)
    return refused.value


def past(days_ago: int, length_ns: int) -> dict[str, int]:
    """A range that ended some days ago."""
    end_ns = SystemClock().now_ns() // DAY_NS * DAY_NS - days_ago * DAY_NS
    return {"start_time_ns": end_ns - length_ns, "end_time_ns": end_ns}


@pytest.mark.parametrize(
    ("interval", "length_ns"), [("1m", HOUR_NS * 30), ("5m", DAY_NS), ("1h", DAY_NS), ("1d", DAY_NS * 90)]
)
async def test_a_table_holds_the_very_bars_that_list_bars_gives(stub: Any, interval: str, length_ns: int) -> None:
    asked = past(3, length_ns)
    found = await table(stub, symbols=SYMBOLS, interval=interval, **asked)
    page = await stub.ListBars(pb.ListBarsRequest(symbols=SYMBOLS, interval=interval, page_size=10_000, **asked))

    assert len(found) == len(page.bars) > 10
    assert found["symbol"].to_pylist() == [bar.symbol for bar in page.bars]
    assert found["timestamp_ns"].to_pylist() == [bar.timestamp_ns for bar in page.bars]
    assert found["close"].to_pylist() == [bar.close_nanos / 1e9 for bar in page.bars]
    assert found["volume"].to_pylist() == [bar.volume for bar in page.bars]


async def test_what_was_fetched_once_is_answered_from_the_store(stub: Any, service: MarketData) -> None:
    asked = past(5, DAY_NS)
    first = await table(stub, symbols=["BTC-USDT"], interval="5m", **asked)
    again = await table(stub, symbols=["BTC-USDT"], interval="5m", **asked)

    assert again.drop_columns(["returns"]).equals(first.drop_columns(["returns"]))
    assert list((service.log.parent / "history/bars/interval=5m/venue=paper/symbol=BTC-USDT").rglob("*.whole.parquet"))


async def test_bars_up_to_now_come_with_returns_and_covariance_in_the_order_asked(stub: Any) -> None:
    now_ns = SystemClock().now_ns()
    found = await table(stub, symbols=["BTC/USD"], start_time_ns=now_ns - 2 * HOUR_NS)
    closes = found["close"].to_numpy()

    assert len(found) >= 100
    assert np.allclose(found["returns"].to_numpy()[1:], closes[1:] / closes[:-1] - 1)
    assert np.isnan(found["returns"][0].as_py())
    metadata = found.schema.metadata
    assert json.loads(metadata[b"covariance_symbols"]) == ["BTC-USDT"]
    (variance,) = np.frombuffer(base64.b64decode(metadata[b"covariance"]), "<f8")
    assert np.isclose(variance, np.var(found["returns"].to_numpy()[1:], ddof=1))


async def test_rows_are_selected_filtered_grouped_and_cut(stub: Any) -> None:
    asked = past(3, DAY_NS) | {"symbols": ["BTC-USDT"], "interval": "1m"}
    whole = await table(stub, **asked)
    middle = float(np.median(whole["close"].to_numpy()))
    few = await table(stub, columns=["close", "timestamp_ns"], filter=f"close > {middle} and not volume < 0", **asked)
    fold = [pb.HistoryAggregate(column="close", function="max"), pb.HistoryAggregate(column="*", function="count")]
    grouped = await table(stub, group_by=["symbol"], aggregates=fold, **asked)
    data, rows, truncated = await read(stub.GetHistorical(pb.GetHistoricalRequest(row_limit=7, **asked)))

    assert few.column_names == ["close", "timestamp_ns"]
    assert min(few["close"].to_pylist()) > middle
    assert len(few) == sum(close > middle for close in whole["close"].to_pylist())
    assert grouped.to_pylist() == [
        {"symbol": "BTC-USDT", "close_max": max(whole["close"].to_pylist()), "count": len(whole)}
    ]
    assert (rows, truncated, len(data) > 0) == (7, True, True)


async def test_quotes_and_trades_are_recorded_as_they_are_published(stub: Any) -> None:
    seen: dict[str, int] = {}

    async def recorded() -> bool:
        for name, kind in (("quotes", pb.HISTORY_KIND_QUOTES), ("trades", pb.HISTORY_KIND_TRADES)):
            seen[name] = len(await table(stub, symbols=["BTC-USDT"], kind=kind))
        return min(seen.values()) > 20

    await until(recorded)
    quotes = await table(stub, symbols=["BTC-USDT"], kind=pb.HISTORY_KIND_QUOTES)
    times = quotes["timestamp_ns"].to_numpy()

    assert (np.diff(times) >= 0).all()
    assert (quotes["ask"].to_numpy() > quotes["bid"].to_numpy()).all()
    assert set(quotes["venue"].to_pylist()) == {"paper"}


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Ask again until a condition holds; every question is a round trip, so this does not spin."""
    async with asyncio.timeout(60):
        while not await condition():
            pass


async def test_sql_answers_over_the_recorded_tables(stub: Any) -> None:
    sql = "select symbol, count(*) as n, max(high) as top from bars_1d group by symbol order by symbol"
    await table(stub, symbols=SYMBOLS, interval="1d", **past(400, 9 * DAY_NS))

    data, rows, truncated = await read(stub.QueryHistory(pb.QueryHistoryRequest(sql=sql)))
    text, *_ = await read(stub.QueryHistory(pb.QueryHistoryRequest(sql=sql, format=pb.HISTORY_FORMAT_JSON)))

    found = pl.from_arrow(pa.ipc.open_stream(data).read_all())
    document = json.loads(text)
    assert isinstance(found, pl.DataFrame)
    assert found["symbol"].cast(pl.String).to_list() == document["columns"]["symbol"] == sorted(SYMBOLS)
    assert [str(n) for n in found["n"].to_list()] == document["columns"]["n"]
    assert (rows, truncated) == (document["rows"], document["truncated"]) == (3, False)


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("select * from read_parquet('/etc/passwd')", Kind.INVALID_ARGUMENT),
        ("select * from \"READ_CSV\"('/etc/passwd')", Kind.INVALID_ARGUMENT),
        ("drop table bars", Kind.INVALID_ARGUMENT),
        ("select nothing from bars", Kind.INVALID_ARGUMENT),
        ("select 1; select 2", Kind.INVALID_ARGUMENT),
        ("", Kind.INVALID_ARGUMENT),
        ("select count(*) from bars a cross join bars b cross join bars c cross join bars d", None),
    ],
)
async def test_hostile_sql_is_refused_and_the_service_lives_on(stub: Any, sql: str, kind: Kind | None) -> None:
    refused = await refusal(stub.QueryHistory(pb.QueryHistoryRequest(sql=sql)))
    data, rows, _ = await read(stub.QueryHistory(pb.QueryHistoryRequest(sql="select 1 as one")))

    assert refused.kind in ((kind,) if kind else (Kind.DEADLINE_EXCEEDED, Kind.RESOURCE_EXHAUSTED))
    assert (rows, bool(data)) == (1, True)


@pytest.mark.parametrize(
    ("question", "field"),
    [
        ({}, "symbols"),
        ({"symbols": ["AAPL", "AAPL"]}, "symbols"),
        ({"symbols": ["AAPL"], "interval": "2m"}, "interval"),
        ({"symbols": ["AAPL"], "kind": 9}, "kind"),
        ({"symbols": ["AAPL"], "columns": ["nope"]}, "columns"),
        ({"symbols": ["AAPL"], "filter": "__import__('os')"}, "filter"),
        ({"symbols": ["AAPL"], "group_by": ["symbol"]}, "aggregates"),
        ({"symbols": ["AAPL"], "row_limit": 2_000_000}, "row_limit"),
        ({"symbols": ["AAPL"], "start_time_ns": 9, "end_time_ns": 9}, "start_time_ns"),
        ({"symbols": ["A" * 99]}, "symbol"),
    ],
)
async def test_a_wrong_question_is_refused_with_its_field(stub: Any, question: dict[str, Any], field: str) -> None:
    refused = await refusal(stub.GetHistorical(pb.GetHistoricalRequest(**question)))

    assert (refused.kind, refused.metadata["field"]) == (Kind.INVALID_ARGUMENT, field)


async def test_a_stranger_is_not_found(stub: Any) -> None:
    refused = await refusal(stub.GetHistorical(pb.GetHistoricalRequest(symbols=["../../etc"])))

    assert refused.reason == "UNKNOWN_SYMBOL"
