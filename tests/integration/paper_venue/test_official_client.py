"""The unmodified alpaca-py works against the venue: stream, history with paging, and the life of orders."""

import asyncio
import json
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from websockets.asyncio.client import connect

with warnings.catch_warnings():  # alpaca-py still builds on websockets' old client, which warns on import
    warnings.simplefilter("ignore")
    from alpaca.common.exceptions import APIError
    from alpaca.data.historical import CryptoHistoricalDataClient, StockHistoricalDataClient
    from alpaca.data.live import CryptoDataStream, StockDataStream
    from alpaca.data.requests import (
        CryptoBarsRequest,
        CryptoLatestQuoteRequest,
        CryptoSnapshotRequest,
        StockBarsRequest,
        StockLatestQuoteRequest,
        StockLatestTradeRequest,
        StockQuotesRequest,
        StockSnapshotRequest,
        StockTradesRequest,
    )
    from alpaca.data.timeframe import TimeFrame, TimeFrameUnit
    from alpaca.trading.client import TradingClient
    from alpaca.trading.enums import OrderSide, OrderStatus, QueryOrderStatus, TimeInForce
    from alpaca.trading.requests import (
        ClosePositionRequest,
        GetOrdersRequest,
        LimitOrderRequest,
        MarketOrderRequest,
        ReplaceOrderRequest,
        StopLimitOrderRequest,
        StopOrderRequest,
    )
    from alpaca.trading.stream import TradingStream

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@asynccontextmanager
async def running(stream: Any) -> AsyncIterator[None]:
    """The stream's own loop, while the block runs."""
    task = asyncio.create_task(stream._run_forever())
    try:
        yield
    finally:
        await stream.stop_ws()
        while not task.done():  # Python 3.11's wait_for, on which the client builds, can swallow a cancellation
            task.cancel()
            await asyncio.wait([task], timeout=0.1)
        await stream.close()


class Collector:
    """Keeps what a stream hands over, and lets a test wait for it."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self._changed = asyncio.Event()

    async def take(self, item: Any) -> None:
        self.items.append(item)
        self._changed.set()

    async def until(self, enough: Callable[[list[Any]], bool]) -> list[Any]:
        async with asyncio.timeout(30):
            while not enough(self.items):
                self._changed.clear()
                await self._changed.wait()
        return self.items


def keys(venue: Any) -> tuple[str, str]:
    return venue.alpaca["key"], venue.alpaca["secret"]


@pytest.fixture
def trading(venue: Any) -> TradingClient:
    return TradingClient(*keys(venue), url_override=venue.alpaca["rest"])


@pytest.fixture
def stocks(venue: Any) -> StockHistoricalDataClient:
    return StockHistoricalDataClient(*keys(venue), url_override=venue.alpaca["data_rest"])


async def test_stock_stream_delivers_quotes_trades_and_can_change_its_mind(venue: Any) -> None:
    quotes, trades = Collector(), Collector()
    stream = StockDataStream(*keys(venue), url_override=venue.alpaca["stream"])
    stream.subscribe_quotes(quotes.take, "AAPL", "MSFT")
    stream.subscribe_trades(trades.take, "*")
    async with running(stream):
        await quotes.until(lambda items: {item.symbol for item in items} == {"AAPL", "MSFT"})
        first = (await trades.until(len))[0]

    assert first.price > 0
    assert first.timestamp.tzinfo is not None
    assert all(quote.bid_price < quote.ask_price for quote in quotes.items)


async def test_crypto_stream_delivers_quotes(venue: Any) -> None:
    quotes = Collector()
    stream = CryptoDataStream(*keys(venue), url_override=venue.alpaca["crypto_stream"])
    stream.subscribe_quotes(quotes.take, "BTC/USD")
    async with running(stream):
        await quotes.until(lambda items: len(items) >= 3)

    assert {quote.symbol for quote in quotes.items} == {"BTC/USD"}


async def test_thousands_of_symbols_are_subscribed_in_several_frames(venue: Any) -> None:
    quotes = Collector()
    stream = StockDataStream(*keys(venue), url_override=venue.alpaca["stream"])
    stream.subscribe_quotes(quotes.take, *[f"SYMBOL{n}" for n in range(10_000)], "AAPL")
    async with running(stream):
        await quotes.until(len)

    assert quotes.items[0].symbol == "AAPL"


async def test_bars_stream_at_the_end_of_each_minute(open_venue: Any) -> None:
    bars, days = Collector(), Collector()
    with open_venue("--speed", "600", "--symbols", "AAPL") as fast:
        stream = StockDataStream(*keys(fast), url_override=fast.alpaca["stream"])
        stream.subscribe_bars(bars.take, "AAPL")
        stream.subscribe_daily_bars(days.take, "AAPL")
        async with running(stream):
            await bars.until(lambda items: len(items) >= 3)
            await days.until(len)

    times = [bar.timestamp for bar in bars.items[:3]]
    assert [later - earlier for earlier, later in pairwise(times)] == [timedelta(minutes=1)] * 2
    assert all(bar.low <= bar.open <= bar.high and bar.volume > 0 for bar in bars.items)


def test_two_years_of_days_and_thirty_days_of_minutes_come_in_pages(stocks: StockHistoricalDataClient) -> None:
    now = datetime.now(UTC)
    days = stocks.get_stock_bars(
        StockBarsRequest(symbol_or_symbols=["AAPL", "SPY"], timeframe=TimeFrame.Day, start=now - timedelta(days=740))
    )
    minutes = stocks.get_stock_bars(
        StockBarsRequest(symbol_or_symbols=["AAPL", "SPY"], timeframe=TimeFrame.Minute, start=now - timedelta(days=40))
    )

    for symbol in ("AAPL", "SPY"):
        assert len(days[symbol]) > 504
        assert len(minutes[symbol]) > 20 * 390 * 0.95
        times = [bar.timestamp for bar in minutes[symbol]]
        assert times == sorted(set(times))


def test_a_limit_is_kept_over_pages(stocks: StockHistoricalDataClient) -> None:
    request = StockBarsRequest(
        symbol_or_symbols=["AAPL", "MSFT"],
        timeframe=TimeFrame(5, TimeFrameUnit.Minute),
        start=datetime.now(UTC) - timedelta(days=30),
        limit=12,
    )

    assert len(stocks.get_stock_bars(request)["AAPL"]) == 12


async def test_live_ticks_can_be_asked_for_afterwards(venue: Any, stocks: StockHistoricalDataClient) -> None:
    heard = Collector()
    stream = StockDataStream(*keys(venue), url_override=venue.alpaca["stream"])
    stream.subscribe_trades(heard.take, "AAPL")
    async with running(stream):
        await heard.until(lambda items: len(items) >= 20)
    first, last = heard.items[0], heard.items[-1]
    request = StockTradesRequest(symbol_or_symbols="AAPL", start=first.timestamp, end=last.timestamp)
    found = (await asyncio.to_thread(stocks.get_stock_trades, request))["AAPL"]

    ids = [trade.id for trade in found]
    assert {trade.id for trade in heard.items[1:-1]} <= set(ids)
    assert ids == sorted(ids)


def test_latest_quotes_trades_and_snapshots(stocks: StockHistoricalDataClient) -> None:
    now = datetime.now(UTC)
    quote = stocks.get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols=["AAPL"]))["AAPL"]
    trade = stocks.get_stock_latest_trade(StockLatestTradeRequest(symbol_or_symbols=["AAPL"]))["AAPL"]
    snapshot = stocks.get_stock_snapshot(StockSnapshotRequest(symbol_or_symbols="AAPL"))["AAPL"]
    quotes = stocks.get_stock_quotes(
        StockQuotesRequest(symbol_or_symbols="AAPL", start=now - timedelta(seconds=5), limit=5)
    )["AAPL"]

    assert abs(quote.timestamp - now) < timedelta(minutes=1)
    assert trade.price > 0
    assert snapshot.daily_bar is not None
    assert 0 < len(quotes) <= 5


def test_crypto_history(venue: Any) -> None:
    client = CryptoHistoricalDataClient(*keys(venue), url_override=venue.alpaca["data_rest"])
    start = datetime.now(UTC) - timedelta(days=3)
    hours = client.get_crypto_bars(
        CryptoBarsRequest(symbol_or_symbols=["BTC/USD", "ETH/USD"], timeframe=TimeFrame.Hour, start=start)
    )

    assert len(hours["BTC/USD"]) >= 70
    assert (
        client.get_crypto_latest_quote(CryptoLatestQuoteRequest(symbol_or_symbols="BTC/USD"))["BTC/USD"].ask_price > 0
    )
    assert client.get_crypto_snapshot(CryptoSnapshotRequest(symbol_or_symbols="ETH/USD"))["ETH/USD"].minute_bar


@asynccontextmanager
async def trade_updates(venue: Any) -> AsyncIterator[Collector]:
    """What the trading stream tells, from a moment when it surely listens."""
    updates = Collector()
    stream = TradingStream(*keys(venue), url_override=venue.alpaca["trading_stream"])
    stream.subscribe_trade_updates(updates.take)
    client = TradingClient(*keys(venue), url_override=venue.alpaca["rest"])
    probe = LimitOrderRequest(symbol="SPY", qty=1, side=OrderSide.BUY, time_in_force=TimeInForce.DAY, limit_price=1)
    async with running(stream):
        async with asyncio.timeout(30):
            while not updates.items:
                order = await asyncio.to_thread(client.submit_order, probe)
                await asyncio.to_thread(client.cancel_order_by_id, order.id)
                await asyncio.sleep(0.05)
        await updates.until(lambda items: items[-1].event == "canceled")
        updates.items.clear()
        yield updates


Ask = Callable[..., Awaitable[Any]]


def events_of(order: Any) -> Callable[[list[Any]], list[str]]:
    return lambda items: [str(item.event) for item in items if item.order.id == order.id]


async def test_a_market_order_is_new_then_filled_with_the_position_after_it(venue: Any, trading: TradingClient) -> None:
    async with trade_updates(venue) as updates:
        request = MarketOrderRequest(symbol="AAPL", qty=10, side=OrderSide.BUY, time_in_force=TimeInForce.DAY)
        order = await asyncio.to_thread(trading.submit_order, request)
        await updates.until(lambda items: "fill" in events_of(order)(items))
    fill = updates.items[-1]

    assert events_of(order)(updates.items) == ["new", "fill"]
    assert (fill.qty, fill.position_qty, fill.order.status) == (10.0, 10.0, OrderStatus.FILLED)
    assert fill.execution_id is not None
    assert float(trading.get_open_position("AAPL").qty) == 10.0
    assert float(fill.order.filled_avg_price) == fill.price


async def test_limit_replace_cancel(venue: Any, trading: TradingClient) -> None:
    async with trade_updates(venue) as updates:
        request = LimitOrderRequest(
            symbol="MSFT", qty=5, side=OrderSide.BUY, time_in_force=TimeInForce.GTC, limit_price=10
        )
        old = await asyncio.to_thread(trading.submit_order, request)
        new = await asyncio.to_thread(trading.replace_order_by_id, old.id, ReplaceOrderRequest(limit_price=11))
        await asyncio.to_thread(trading.cancel_order_by_id, new.id)
        await updates.until(lambda items: "canceled" in events_of(new)(items))

    assert events_of(old)(updates.items) == ["new", "replaced"]
    assert events_of(new)(updates.items) == ["new", "canceled"]
    assert trading.get_order_by_id(old.id).replaced_by == new.id


async def test_a_stop_that_is_reached_becomes_a_fill(venue: Any, trading: TradingClient) -> None:
    async with trade_updates(venue) as updates:
        request = StopOrderRequest(
            symbol="NVDA", qty=1, side=OrderSide.BUY, time_in_force=TimeInForce.DAY, stop_price=1
        )
        order = await asyncio.to_thread(trading.submit_order, request)
        await updates.until(lambda items: "fill" in events_of(order)(items))

    assert events_of(order)(updates.items) == ["new", "fill"]


def test_orders_can_be_listed_and_found(trading: TradingClient) -> None:
    request = StopLimitOrderRequest(
        symbol="TSLA", qty=1, side=OrderSide.SELL, time_in_force=TimeInForce.GTC, stop_price=5, limit_price=4.5,
        client_order_id="find-me",
    )  # fmt: skip
    order = trading.submit_order(request)
    open_orders = trading.get_orders(GetOrdersRequest(status=QueryOrderStatus.OPEN, symbols=["TSLA"]))

    assert [each.id for each in open_orders] == [order.id]
    assert trading.get_order_by_client_id("find-me").id == order.id
    assert {each.status for each in trading.cancel_orders()} == {200}


def test_positions_are_closed_through_the_client(trading: TradingClient) -> None:
    request = MarketOrderRequest(symbol="TSLA", qty=8, side=OrderSide.BUY, time_in_force=TimeInForce.IOC)
    trading.submit_order(request)
    trading.close_position("TSLA", ClosePositionRequest(qty="3"))
    assert float(trading.get_open_position("TSLA").qty) == 5.0
    closed = trading.close_all_positions(cancel_orders=True)

    assert {each.status for each in closed} == {200}
    assert trading.get_all_positions() == []


def test_coins_are_bought_and_sold_by_their_slashed_name(trading: TradingClient) -> None:
    request = MarketOrderRequest(symbol="BTC/USD", qty=0.25, side=OrderSide.BUY, time_in_force=TimeInForce.GTC)
    order = trading.submit_order(request)

    assert trading.get_order_by_id(order.id).symbol == "BTC/USD"
    assert float(trading.get_open_position("BTC/USD").qty) == 0.25
    trading.close_all_positions()


def test_account_clock_calendar_and_assets(trading: TradingClient) -> None:
    account = trading.get_account()

    assert float(account.buying_power) > 0
    assert trading.get_clock().is_open
    assert trading.get_calendar()
    assert {asset.symbol for asset in trading.get_all_assets()} >= {"AAPL", "BTC/USD"}
    assert trading.get_asset("AAPL").tradable


def test_refusals_are_errors_with_their_code(trading: TradingClient) -> None:
    request = MarketOrderRequest(symbol="AAPL", qty=10_000_000, side=OrderSide.BUY, time_in_force=TimeInForce.DAY)
    with pytest.raises(APIError) as refused:
        trading.submit_order(request)

    assert (refused.value.status_code, refused.value.code) == (403, 40310000)


async def test_a_stranger_is_not_authorized_on_the_trading_stream(venue: Any) -> None:
    async with connect(venue.alpaca["trading_stream"], proxy=None) as socket:
        await socket.send(json.dumps({"action": "listen", "data": {"streams": ["trade_updates"]}}))
        assert json.loads(await socket.recv())["data"]["status"] == "unauthorized"
        for _ in range(2):
            await socket.send(json.dumps({"action": "authenticate", "data": {"key_id": "x", "secret_key": "y"}}))
            answer = await socket.recv()
            assert isinstance(answer, bytes)
            assert json.loads(answer)["data"] == {"status": "unauthorized", "action": "authenticate"}
        await asyncio.wait_for(socket.wait_closed(), 20)


async def test_a_silent_stranger_is_cut_off_from_the_trading_stream(open_venue: Any) -> None:
    with open_venue("--auth-timeout-s", "0.2", "--symbols", "AAPL") as hasty:
        async with connect(hasty.alpaca["trading_stream"], proxy=None) as socket:
            await asyncio.wait_for(socket.wait_closed(), 30)
            assert socket.close_code == 1008


async def test_who_does_not_read_order_events_is_cut_off_and_orders_go_on(open_venue: Any) -> None:
    body = {"symbol": "AAPL", "qty": "100000", "side": "buy", "type": "market", "time_in_force": "day"}
    with open_venue("--outbox-updates", "1", "--symbols", "AAPL", "--cash", "1000000000") as venue:
        async with connect(venue.alpaca["trading_stream"], proxy=None, additional_headers=venue.headers) as socket:
            await socket.send(json.dumps({"action": "listen", "data": {"streams": ["trade_updates"]}}))
            await socket.recv()
            answer = await asyncio.to_thread(venue.call, "POST", "/v2/orders", json=body)
            await asyncio.wait_for(socket.wait_closed(), 30)
        filled = venue.get(f"/v2/orders/{answer.json()['id']}")

    assert (answer.status_code, filled["status"]) == (200, "filled")


async def test_unknown_streams_are_left_out_and_an_empty_list_stops(venue: Any) -> None:
    async with connect(venue.alpaca["trading_stream"], proxy=None) as socket:
        await socket.send(json.dumps({"action": "auth", "key": venue.alpaca["key"], "secret": venue.alpaca["secret"]}))
        assert json.loads(await socket.recv())["data"]["status"] == "authorized"
        for asked, heard in ((["trade_updates", "gossip"], ["trade_updates"]), ([], [])):
            await socket.send(json.dumps({"action": "listen", "data": {"streams": asked}}))
            assert json.loads(await socket.recv()) == {"stream": "listening", "data": {"streams": heard}}
