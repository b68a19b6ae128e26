"""alpaca-py, unmodified, against a paper venue: run by its own interpreter with the addresses as JSON."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from alpaca.common.exceptions import APIError
from alpaca.data.historical import CryptoHistoricalDataClient, StockHistoricalDataClient
from alpaca.data.live import CryptoDataStream, StockDataStream
from alpaca.data.requests import (
    CryptoBarsRequest,
    StockBarsRequest,
    StockLatestQuoteRequest,
    StockSnapshotRequest,
    StockTradesRequest,
)
from alpaca.data.timeframe import TimeFrame
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderClass, OrderSide, QueryOrderStatus, TimeInForce
from alpaca.trading.requests import (
    ClosePositionRequest,
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    ReplaceOrderRequest,
    StopLimitOrderRequest,
    StopLossRequest,
    StopOrderRequest,
    TakeProfitRequest,
    TrailingStopOrderRequest,
)
from alpaca.trading.stream import TradingStream

VENUE = json.loads(sys.argv[1])
KEYS = (VENUE["key"], VENUE["secret"])
PATIENCE_S = 60


class Heard:
    """What a stream hands over, and the means to wait for it."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self._changed = asyncio.Event()

    async def take(self, item: Any) -> None:
        self.items.append(item)
        self._changed.set()

    async def until(self, enough: Callable[[list[Any]], object]) -> list[Any]:
        async with asyncio.timeout(PATIENCE_S):
            while not enough(self.items):
                self._changed.clear()
                await self._changed.wait()
        return self.items


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


async def streams() -> dict[str, Any]:
    """Quotes, trades and bars of shares, and quotes of coins; thousands of symbols need several frames."""
    quotes, trades, bars, coins = Heard(), Heard(), Heard(), Heard()
    shares = StockDataStream(*KEYS, url_override=VENUE["stream"])
    shares.subscribe_quotes(quotes.take, *[f"SYMBOL{n}" for n in range(10_000)], "AAPL", "MSFT")
    shares.subscribe_trades(trades.take, "*")
    shares.subscribe_bars(bars.take, "AAPL")
    crypto = CryptoDataStream(*KEYS, url_override=VENUE["crypto_stream"])
    crypto.subscribe_quotes(coins.take, "BTC/USD")
    async with running(shares), running(crypto):
        await quotes.until(lambda items: {item.symbol for item in items} == {"AAPL", "MSFT"})
        await trades.until(lambda items: len(items) > 20)
        await coins.until(len)
        await bars.until(len)
    ids = [trade.id for trade in trades.items]
    return {
        "uncrossed": all(quote.bid_price < quote.ask_price for quote in quotes.items),
        "trade_ids_grow": all(a < b for a, b in pairwise(ids)),
        "coins": sorted({quote.symbol for quote in coins.items}),
        "bar": bars.items[0].low <= bars.items[0].open <= bars.items[0].high,
    }


def history() -> dict[str, Any]:
    """Bars and trades over many pages; the client follows the page tokens by itself."""
    now = datetime.now(UTC)
    stocks = StockHistoricalDataClient(*KEYS, url_override=VENUE["data_rest"])
    coins = CryptoHistoricalDataClient(*KEYS, url_override=VENUE["data_rest"])
    days = stocks.get_stock_bars(
        StockBarsRequest(symbol_or_symbols=["AAPL", "SPY"], timeframe=TimeFrame.Day, start=now - timedelta(days=740))
    )
    hours = coins.get_crypto_bars(
        CryptoBarsRequest(symbol_or_symbols="BTC/USD", timeframe=TimeFrame.Minute, start=now - timedelta(days=9))
    )["BTC/USD"]
    trades = stocks.get_stock_trades(StockTradesRequest(symbol_or_symbols="AAPL", start=now - timedelta(hours=1)))
    quote = stocks.get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols="AAPL"))["AAPL"]
    limited = stocks.get_stock_bars(
        StockBarsRequest(
            symbol_or_symbols=["AAPL", "MSFT"], timeframe=TimeFrame.Minute, start=now - timedelta(days=30), limit=12
        )
    )
    snapshot = stocks.get_stock_snapshot(StockSnapshotRequest(symbol_or_symbols="AAPL"))["AAPL"]
    return {
        "limited": len(limited["AAPL"]),
        "days": {symbol: len(days[symbol]) > 504 for symbol in ("AAPL", "SPY")},
        "minutes": len(hours) > 9 * 1_439,
        "minute_steps_s": sorted({round((b.timestamp - a.timestamp).total_seconds()) for a, b in pairwise(hours)}),
        "trades_distinct": len({trade.id for trade in trades["AAPL"]}) == len(trades["AAPL"]) > 0,
        "latest": quote.bid_price < quote.ask_price and snapshot.latest_trade.price > 0,
    }


async def orders(client: TradingClient) -> dict[str, Any]:
    """The life of three orders over REST, and what the trading stream tells of it."""
    updates = Heard()
    stream = TradingStream(*KEYS, url_override=VENUE["trading_stream"])
    stream.subscribe_trade_updates(updates.take)
    terms = {"side": OrderSide.BUY, "time_in_force": TimeInForce.DAY}
    async with running(stream):
        await _until_it_listens(client, updates)
        bought = await asyncio.to_thread(client.submit_order, MarketOrderRequest(symbol="AAPL", qty=10, **terms))
        rested = await asyncio.to_thread(
            client.submit_order, LimitOrderRequest(symbol="MSFT", qty=5, limit_price=10, **terms)
        )
        moved = await asyncio.to_thread(client.replace_order_by_id, rested.id, ReplaceOrderRequest(limit_price=11))
        await asyncio.to_thread(client.cancel_order_by_id, moved.id)
        stopped = await asyncio.to_thread(
            client.submit_order, StopOrderRequest(symbol="NVDA", qty=1, stop_price=1, **terms)
        )
        await updates.until(lambda items: _events(items, stopped)[-1:] == ["fill"])
        await updates.until(lambda items: _events(items, moved)[-1:] == ["canceled"])
    fill = next(item for item in updates.items if item.order.id == bought.id and item.event == "fill")
    return {
        "bought": _events(updates.items, bought),
        "rested": _events(updates.items, rested),
        "moved": _events(updates.items, moved),
        "stopped": _events(updates.items, stopped),
        "fill": [fill.qty, fill.position_qty, fill.execution_id is not None],
        "position": float(client.get_open_position("AAPL").qty),
        "after_a_part": _close_a_part(client),
        "found": client.get_order_by_client_id(str(bought.client_order_id)).id == bought.id,
        "closed": sorted({each.status for each in client.close_all_positions(cancel_orders=True)}),
        "left": len(client.get_all_positions()),
    }


def order_classes(client: TradingClient) -> dict[str, Any]:
    """A bracket, a pair beside its position, a trailing stop that is replaced, a stop limit; then all is cancelled."""
    terms = {"symbol": "NVDA", "qty": 2, "time_in_force": TimeInForce.GTC}
    price = float(client.submit_order(MarketOrderRequest(**terms, side=OrderSide.BUY)).filled_avg_price or 0)
    price = price or float(client.get_open_position("NVDA").avg_entry_price)
    exits = {
        "take_profit": TakeProfitRequest(limit_price=round(price * 2, 2)),
        "stop_loss": StopLossRequest(stop_price=round(price / 2, 2)),
    }
    bracket = client.submit_order(
        LimitOrderRequest(
            **terms, side=OrderSide.BUY, limit_price=round(price * 0.9, 2), order_class="bracket", **exits
        )
    )
    pair = client.submit_order(
        LimitOrderRequest(
            **terms, side=OrderSide.SELL, limit_price=round(price * 2, 2), order_class=OrderClass.OCO, **exits
        )
    )
    trailing = client.submit_order(TrailingStopOrderRequest(**terms, side=OrderSide.BUY, trail_percent=50))
    wider = client.replace_order_by_id(trailing.id, ReplaceOrderRequest(trail=60))
    stop_limit = client.submit_order(
        StopLimitOrderRequest(**terms, side=OrderSide.BUY, stop_price=round(price * 2, 2), limit_price=1)
    )
    nested = client.get_orders(GetOrdersRequest(status=QueryOrderStatus.OPEN, nested=True))
    found = client.get_order_by_id(wider.id)
    canceled = client.cancel_orders()
    return {
        "bracket": [bracket.order_class.value, [leg.status.value for leg in bracket.legs]],
        "pair": [pair.order_class.value, [leg.status.value for leg in pair.legs]],
        "trailing": [found.trail_percent, found.hwm is not None, found.replaces == trailing.id],
        "stop_limit": [stop_limit.order_type.value, stop_limit.status.value],
        "nested": sorted(len(order.legs or ()) for order in nested),
        "canceled": [len(canceled), sorted({each.status for each in canceled})],
    }


def _close_a_part(client: TradingClient) -> float:
    client.close_position("AAPL", ClosePositionRequest(qty="3"))
    return float(client.get_open_position("AAPL").qty)


async def _until_it_listens(client: TradingClient, updates: Heard) -> None:
    """Probe with orders that cannot fill: the client does not say when its stream listens."""
    probe = LimitOrderRequest(symbol="SPY", qty=1, limit_price=1, side=OrderSide.BUY, time_in_force=TimeInForce.DAY)
    async with asyncio.timeout(PATIENCE_S):
        while not updates.items:
            order = await asyncio.to_thread(client.submit_order, probe)
            await asyncio.to_thread(client.cancel_order_by_id, order.id)
            await asyncio.sleep(0.05)


def _events(updates: list[Any], order: Any) -> list[str]:
    return [str(getattr(item.event, "value", item.event)) for item in updates if item.order.id == order.id]


def refusals(client: TradingClient) -> list[list[int]]:
    """What the client makes of the venue's errors."""
    terms = {"side": OrderSide.BUY, "time_in_force": TimeInForce.DAY}
    attempts = [
        lambda: client.submit_order(MarketOrderRequest(symbol="AAPL", qty=10_000_000, **terms)),
        lambda: client.submit_order(MarketOrderRequest(symbol="NOPE", qty=1, **terms)),
        lambda: client.get_order_by_client_id("nobody"),
        lambda: TradingClient("nobody", "nothing", url_override=VENUE["rest"]).get_account(),
    ]
    found = []
    for attempt in attempts:
        try:
            attempt()
        except APIError as error:
            found.append([error.status_code, error.code])
    return found


async def main() -> dict[str, Any]:
    """Everything that a user of the client would do."""
    client = TradingClient(*KEYS, url_override=VENUE["rest"])
    return {
        "streams": await streams(),
        "history": await asyncio.to_thread(history),
        "orders": await orders(client),
        "order_classes": await asyncio.to_thread(order_classes, client),
        "account": [
            float(client.get_account().buying_power) > 0,
            client.get_clock().is_open,
            len(client.get_calendar()) > 0,
        ],
        "assets": sorted(asset.symbol for asset in client.get_all_assets())[:3],
        "refusals": refusals(client),
    }


print(json.dumps(asyncio.run(main())))
