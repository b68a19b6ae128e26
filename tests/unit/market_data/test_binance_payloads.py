"""The payloads that others have recorded of Binance are understood; its limits are kept."""

import csv
import json
from collections.abc import Callable
from typing import Any

import httpx
import polars as pl
import pytest
from builders.market import a_coin, a_share
from servers import REPOSITORY

from services.market_data.adapters.binance_assets import BinanceAssets
from services.market_data.adapters.binance_columns import BinanceColumns
from services.market_data.adapters.binance_depth import SnapshotBody
from services.market_data.adapters.binance_history import BinanceHistory
from services.market_data.adapters.binance_messages import TickerEvent, TradeEvent, decode
from services.market_data.adapters.binance_rest import BinanceRest, time_ns
from services.market_data.adapters.binance_trades import BinanceTrades
from services.market_data.domain.depth_book import DepthBook, DepthChange
from services.market_data.domain.feed import FeedRefused
from services.market_data.domain.trade_line import LineRules, Mark
from services.market_data.domain.trade_lines import TradeLines
from trading.clock import SECOND_NS, ManualClock
from trading.errors import InvalidArgument, NotFound, ResourceExhausted, TradingError, Unavailable
from trading.instruments import AssetClass, Instrument
from trading.market import Interval
from trading.money import ONE, parse_nanos

PAYLOADS = REPOSITORY.parent / "shared" / "payloads" / "binance"
recorded = pytest.mark.skipif(not PAYLOADS.exists(), reason="the recorded payloads are not on this machine")
ETHBTC = Instrument("ETH-BTC", AssetClass.CRYPTO, venue_symbols={"binance": "ETHBTC"})


class World:
    """The REST adapter on a transport that gives these answers in turn, and a clock that a test moves."""

    def __init__(self, *answers: httpx.Response, weight_most: int = 6_000) -> None:
        self.asked: list[httpx.Request] = []
        self.clock = ManualClock(30 * SECOND_NS)
        rest = iter(answers)

        def answer(request: httpx.Request) -> httpx.Response:
            self.asked.append(request)
            return next(rest)

        client = httpx.AsyncClient(base_url="http://venue", transport=httpx.MockTransport(answer))
        self.rest = BinanceRest(client, self.clock, weight_most=weight_most)


def body(name: str) -> httpx.Response:
    return httpx.Response(200, content=(PAYLOADS / "rest" / f"{name}_response.json").read_bytes())


@recorded
async def test_recorded_trades_are_read_with_their_numbers() -> None:
    world = World(body("trades"))

    block = await BinanceTrades("binance", world.rest, world.clock).trades(a_coin(), Mark("BTC-USDT", "28456", 0), 9)

    assert block is not None
    assert (block.trade_ids, block.side_sign.tolist()) == (("28457",), [-1])
    assert (block.price_nanos.tolist(), block.size_nanos.tolist()) == ([4_000_001_000], [12 * ONE])
    assert block.event_time_ns.tolist() == [1_499_865_549_590_000_000]
    assert dict(world.asked[0].url.params) == {"symbol": "BTCUSDT", "fromId": "28457", "limit": "9"}


@recorded
async def test_recorded_klines_are_read_exactly() -> None:
    world = World(body("klines"))

    found = await BinanceHistory("binance", world.rest).bars([a_coin()], Interval.ONE_DAY, 0, 10**18, 5)

    (bar,) = found["BTC-USDT"]
    assert (bar.timestamp_ns, bar.open_nanos, bar.close_nanos, bar.trade_count) == (
        1_499_040_000_000_000_000, 16_347_900, 15_771_000, 308,
    )  # fmt: skip
    assert bar.low_nanos <= bar.vwap_nanos <= bar.high_nanos
    assert bar.volume == 148_976.11427815


@recorded
async def test_a_recorded_listing_is_read_and_asked_for_once_a_minute() -> None:
    world = World(body("exchange_info"), body("exchange_info"))
    assets = BinanceAssets(world.rest, world.clock)

    asset, nothing = await assets.asset(ETHBTC), await assets.asset(a_coin())
    share = await assets.asset(a_share())

    assert asset is not None
    assert (asset.spelling, asset.tradable, asset.tick_nanos, asset.lot_nanos) == ("ETHBTC", True, None, None)
    assert (nothing, share, len(world.asked)) == (None, None, 1)
    world.clock.advance(61 * SECOND_NS)
    await assets.asset(ETHBTC)
    assert len(world.asked) == 2


@recorded
async def test_a_recorded_snapshot_is_a_book() -> None:
    found = await World(body("depth")).rest.get("/api/v3/depth", SnapshotBody)
    book = DepthBook()

    assert book.load(
        found.number, *([(parse_nanos(p), parse_nanos(s)) for p, s in side] for side in (found.bids, found.asks))
    )
    assert book.best == ((4 * ONE, 431 * ONE), (4_000_002_000, 12 * ONE))


@recorded
async def test_a_recorded_server_time_is_an_offset() -> None:
    world = World(*[body("server_time") for _ in range(3)])

    await world.rest.measure_clock()

    assert world.rest.offset_ns == 1_499_827_319_559_000_000 - world.clock.now_ns()


@recorded
def test_recorded_changes_wait_for_a_snapshot_that_they_follow_and_then_make_the_book() -> None:
    folder = PAYLOADS / "nautilus-market"
    snapshot = list(csv.DictReader((folder / "btcusdt-depth-snap.csv").read_text().splitlines()))
    updates = list(csv.DictReader((folder / "btcusdt-depth-update.csv").read_text().splitlines()))
    changes: dict[tuple[int, int], dict[str, list[tuple[int, int]]]] = {}
    for row in updates:
        sides = changes.setdefault((int(row["first_update_id"]), int(row["last_update_id"])), {"b": [], "a": []})
        sides[row["side"]].append((parse_nanos(row["price"]), parse_nanos(row["qty"])))
    sides = {side: [(parse_nanos(row["price"]), parse_nanos(row["qty"])) for row in snapshot if row["side"] == side]
             for side in "ba"}  # fmt: skip
    book = DepthBook()

    for (first, last), levels in changes.items():
        book.change(DepthChange(first, last, tuple(levels["b"]), tuple(levels["a"])))
    began = min(first for first, _ in changes)

    assert not book.load(int(snapshot[0]["last_update_id"]), sides["b"], sides["a"])  # older than the first change
    assert book.load(began - 1, sides["b"], sides["a"])
    final = {price: size for levels in changes.values() for price, size in levels["b"]}
    kept = dict(book.levels(10_000)[0])
    assert all(kept.get(price, 0) == size for price, size in final.items())


@recorded
def test_recorded_trades_of_a_day_pass_a_line_without_hole_or_double() -> None:
    frame = pl.read_parquet(PAYLOADS / "nautilus-market" / "btcusdt-trades.parquet")
    columns, lines = (
        BinanceColumns("binance", {"BTCUSDT": "BTC-USDT"}),
        TradeLines("binance", LineRules(), numbered=True),
    )
    for row in frame.iter_rows(named=True):
        data = {"e": "trade", "s": "BTCUSDT", "t": row["trade_id"], "p": f"{row['price']:.8f}",
                "q": f"{row['quantity']:.8f}", "T": int(row["timestamp"].timestamp() * 1_000),
                "m": row["buyer_maker"] == "True"}  # fmt: skip
        event = decode(json.dumps({"stream": "btcusdt@trade", "data": data}))
        assert isinstance(event, TradeEvent)
        columns.add((event,), 1)

    (block,) = columns.drain().trades
    passed = lines.take(block).block

    assert passed is not None
    assert [int(name) for name in passed.trade_ids] == frame["trade_id"].to_list()
    assert [round(price / 1e7) for price in passed.price_nanos.tolist()] == [round(p * 100) for p in frame["price"]]


@recorded
def test_recorded_quotes_are_read() -> None:
    frame = pl.read_parquet(PAYLOADS / "nautilus-market" / "btcusdt-quotes.parquet")
    columns = BinanceColumns("binance", {"BTCUSDT": "BTC-USDT"})
    for number, row in enumerate(frame.iter_rows(named=True)):
        texts = (f"{row[name]:.8f}" for name in ("bid", "bid_size", "ask", "ask_size"))
        data = dict(zip(("b", "B", "a", "A"), texts, strict=True)) | {"u": number, "s": "BTCUSDT"}
        event = decode(json.dumps({"stream": "btcusdt@bookTicker", "data": data}))
        assert isinstance(event, TickerEvent)
        columns.add((event,), 1)

    (block,) = columns.drain().quotes
    assert [round(bid / 1e7) for bid in block.bid_nanos.tolist()] == [round(bid * 100) for bid in frame["bid"]]


@pytest.mark.parametrize("time", [1_499_827_319_559, 1_499_827_319_559_000])
def test_a_time_is_read_in_either_unit(time: int) -> None:
    assert time_ns(time) == 1_499_827_319_559_000_000


async def test_trades_of_a_symbol_that_never_traded_are_found_by_time() -> None:
    trade = {"id": 41, "price": "1", "qty": "1", "time": 5, "isBuyerMaker": False}
    world = World(httpx.Response(200, json=[{"a": 7, "f": 41}]), httpx.Response(200, json=[trade]))

    block = await BinanceTrades("binance", world.rest, world.clock).trades(a_coin(), Mark("BTC-USDT", "", 9 * ONE), 5)

    assert block is not None
    assert block.trade_ids == ("41",)
    assert dict(world.asked[0].url.params) == {"symbol": "BTCUSDT", "startTime": "9000", "limit": "1"}
    assert world.asked[1].url.params["fromId"] == "41"


async def test_no_trade_since_is_none() -> None:
    world = World(httpx.Response(200, json=[]), httpx.Response(200, json=[]))
    trades = BinanceTrades("binance", world.rest, world.clock)

    assert await trades.trades(a_coin(), Mark("BTC-USDT", "", 0), 5) is None
    assert await trades.trades(a_coin(), Mark("BTC-USDT", "7", 0), 5) is None


@pytest.mark.parametrize(
    ("status", "headers", "seconds"), [(429, {"Retry-After": "7"}, 7), (418, {}, 120), (429, {}, 10)]
)
async def test_a_venue_that_has_had_enough_is_not_asked_before_its_time(
    status: int, headers: dict[str, str], seconds: int
) -> None:
    too_much = httpx.Response(status, headers=headers, json={"code": -1003, "msg": "Too much request weight used"})
    world = World(too_much, httpx.Response(200, json={}))

    with pytest.raises(ResourceExhausted) as refused:
        await world.rest.get("/", dict[str, Any])
    assert refused.value.metadata["retry_after_s"] == seconds
    world.clock.advance((seconds - 1) * SECOND_NS)
    with pytest.raises(ResourceExhausted) as early:
        await world.rest.get("/", dict[str, Any])
    assert (early.value.metadata["retry_after_s"], len(world.asked)) == (1.0, 1)

    world.clock.advance(SECOND_NS)
    assert await world.rest.get("/", dict[str, Any]) == {}


async def test_when_the_minute_s_weight_is_used_up_we_wait_for_the_next_minute() -> None:
    heavy = httpx.Response(200, headers={"X-MBX-USED-WEIGHT-1M": "100"}, json={})
    world = World(heavy, httpx.Response(200, json={}), weight_most=100)

    assert await world.rest.get("/", dict[str, Any]) == {}
    with pytest.raises(ResourceExhausted) as refused:
        await world.rest.get("/", dict[str, Any])
    assert refused.value.metadata["retry_after_s"] == 30
    world.clock.advance(30 * SECOND_NS)
    assert await world.rest.get("/", dict[str, Any]) == {}


async def test_a_clock_that_cannot_be_asked_for_stays_as_it_was() -> None:
    world = World(httpx.Response(502, text="bad gateway"))

    await world.rest.measure_clock()

    assert world.rest.offset_ns == 0


@pytest.mark.parametrize(
    ("answer", "failure", "says"),
    [
        (httpx.Response(400, json={"code": -1121, "msg": "Invalid symbol."}), NotFound, "Invalid symbol"),
        (httpx.Response(400, json={"code": -2014, "msg": "API-key format invalid."}), FeedRefused, "format"),
        (httpx.Response(400, json={"code": -1100, "msg": "Illegal characters"}), InvalidArgument, "Illegal"),
        (httpx.Response(401, json={"code": -2015, "msg": "Invalid API-key"}), FeedRefused, "Invalid API-key"),
        (httpx.Response(451, json={"code": 0, "msg": "restricted location"}), FeedRefused, "restricted"),
        (httpx.Response(404, text="nothing"), NotFound, "nothing"),
        (httpx.Response(500, text=""), Unavailable, "500"),
    ],
)
async def test_refusals_are_named(answer: httpx.Response, failure: type[TradingError], says: str) -> None:
    with pytest.raises(failure, match=says):
        await World(answer).rest.get("/", dict[str, Any])


@pytest.mark.parametrize(
    "broken", [lambda kline: kline[:3], lambda kline: ["x", *kline[1:]], lambda kline: [None] * 12]
)
async def test_a_kline_that_is_none_is_the_venue_s_fault(broken: Callable[[list[Any]], list[Any]]) -> None:
    kline = [1, "1", "1", "1", "1", "1", 2, "1", 3, "1", "1", "0"]

    with pytest.raises(Unavailable, match="unreadable kline"):
        await BinanceHistory("binance", World(httpx.Response(200, json=[broken(kline)])).rest).bars(
            [a_coin()], Interval.ONE_DAY, 0, 10**18, 5
        )


async def test_a_kline_without_trades_has_its_close_as_average() -> None:
    kline = [1, "2", "2", "2", "2", "0", 2, "0", 0, "0", "0", "0"]
    world = World(httpx.Response(200, json=[kline]))

    found = await BinanceHistory("binance", world.rest).bars([a_share(), a_coin()], Interval.ONE_DAY, 0, 10**18, 5)

    assert [bar.vwap_nanos for bar in found["BTC-USDT"]] == [2 * ONE]
