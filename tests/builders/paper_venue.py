"""Builders for the paper venue's nouns: an exchange with a quoted market, orders, ticks."""

import asyncio
import time
from collections.abc import Callable
from itertools import count

import numpy as np

from services.paper_venue.domain.account import AccountRules
from services.paper_venue.domain.exchange import Exchange, ExchangeRules
from services.paper_venue.domain.orders import Order, OrderEvent, OrderRequest
from services.paper_venue.domain.ticks import Kind, Ticks
from services.paper_venue.domain.touch import Slippage
from trading.instruments import CATALOGUE, Instrument, Instruments
from trading.money import ONE, parse_nanos
from trading.order import OrderType, Side, TimeInForce

AAPL = Instruments(CATALOGUE).get("AAPL")
MSFT = Instruments(CATALOGUE).get("MSFT")
BTC = Instruments(CATALOGUE).get("BTC-USDT")
INSTRUMENTS = (AAPL, MSFT, BTC)


def nanos(amount: float | str) -> int:
    """An amount as exact nanos."""
    return int(parse_nanos(amount))


def counted_ids() -> Callable[[], str]:
    """Ids 1, 2, 3… as text."""
    numbers = count(1)
    return lambda: f"id-{next(numbers)}"


def a_request(
    side: Side = Side.BUY,
    quantity: float | str = 100,
    order_type: OrderType = OrderType.MARKET,
    limit: float | None = None,
    stop: float | None = None,
    time_in_force: TimeInForce = TimeInForce.GTC,
    symbol: str = "AAPL",
    client_order_id: str = "",
) -> OrderRequest:
    """An order request with amounts in units and prices in dollars; a limit or a stop sets the type."""
    if limit is not None:
        order_type = OrderType.LIMIT if stop is None else OrderType.STOP_LIMIT
    elif stop is not None:
        order_type = OrderType.STOP
    return OrderRequest(
        symbol,
        side,
        order_type,
        time_in_force,
        nanos(quantity),
        None if limit is None else nanos(limit),
        None if stop is None else nanos(stop),
        client_order_id=client_order_id,
    )


async def until(condition: Callable[[], bool], what: str, timeout_s: float = 20.0) -> None:
    """Wait for a condition that other tasks or processes make true."""
    ends_at = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < ends_at, f"Waited {timeout_s} s in vain for {what}."
        await asyncio.sleep(0.002)


class ExchangeDriver:
    """An exchange whose clock ticks by one at each call, and which remembers every event."""

    def __init__(
        self,
        account: AccountRules | None = None,
        slippage: Slippage | None = None,
        instruments: tuple[Instrument, ...] = INSTRUMENTS,
        orders_kept: int = 1_000,
    ) -> None:
        rules = ExchangeRules(slippage or Slippage(), account or AccountRules(), orders_kept)
        self.exchange = Exchange(instruments, rules, counted_ids())
        self.events: list[OrderEvent] = []
        self.exchange.listen(self.events.append)
        self.now_ns = 0

    def quote(self, bid: float, bid_size: float, ask: float, ask_size: float, symbol: str = "AAPL") -> "ExchangeDriver":
        """Let the market quote."""
        self.say(a_quote(bid, bid_size, ask, ask_size, self.index(symbol), self.tick()))
        return self

    def trade(self, price: float, size: float = 100, symbol: str = "AAPL") -> "ExchangeDriver":
        """Let the market print."""
        self.say(a_trade(price, size, self.index(symbol), self.tick()))
        return self

    def say(self, ticks: Ticks) -> None:
        """Let the market say any ticks."""
        self.exchange.apply(ticks, self.now_ns)

    def submit(self, request: OrderRequest) -> Order:
        """Submit; returns the order as it stands after matching."""
        return self.order(self.exchange.submit(request, self.tick()))

    def order(self, order: Order) -> Order:
        """The same order as it stands now."""
        return self.exchange.order(order.order_id)

    def fills_of(self, order: Order) -> list[tuple[float, float]]:
        """The fills of an order as (price, quantity)."""
        return [
            (event.execution.price_nanos / ONE, event.execution.quantity_nanos / ONE)
            for event in self.events
            if event.execution is not None and event.order.order_id == order.order_id
        ]

    def position(self, symbol: str = "AAPL") -> float:
        """The signed position."""
        return self.exchange.account.position(symbol).quantity_nanos / ONE

    def index(self, symbol: str) -> int:
        return self.exchange.symbols.index(symbol)

    def tick(self) -> int:
        self.now_ns += 1
        return self.now_ns


def a_quote(bid: float, bid_size: float, ask: float, ask_size: float, instrument: int = 0, time_ns: int = 0) -> Ticks:
    """One quote."""
    values = [np.array([nanos(value)], np.int64) for value in (bid, bid_size, ask, ask_size)]
    return Ticks.of(Kind.QUOTE, instrument, np.array([time_ns], np.int64), *values)


def a_trade(
    price: float, size: float = 100, instrument: int = 0, time_ns: int = 0, side: int = 0, trade_id: int = 1
) -> Ticks:
    """One trade."""
    values = [np.array([value], np.int64) for value in (nanos(price), nanos(size), side, trade_id)]
    return Ticks.of(Kind.TRADE, instrument, np.array([time_ns], np.int64), *values)


def quotes_at(times_ns: list[int], instrument: int = 0, bid: float = 10.0, ask: float = 10.02) -> Ticks:
    """A quote at each time, otherwise alike."""
    return Ticks.concat([a_quote(bid, 100, ask, 100, instrument, time_ns) for time_ns in times_ns])
