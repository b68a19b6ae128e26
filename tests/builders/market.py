"""Ticks, bars and venue words for tests, each with only what the test is about."""

from collections.abc import Sequence

import numpy as np

from trading.clock import MINUTE_NS
from trading.instruments import AssetClass, Instrument, crypto, equity
from trading.market import Bar, QuoteBlock, TradeBlock
from trading.money import ONE

NOON_NS = 1_700_000_040 * ONE  # a whole minute


def nanos(amount: float) -> int:
    """A decimal amount of at most nine digits after the point."""
    return round(amount * ONE)


def a_quote_block(
    *quotes: tuple[float, float],
    symbol: str = "AAPL",
    venue: str = "paper",
    times_ns: Sequence[int] | None = None,
    received_ns: Sequence[int] | None = None,
) -> QuoteBlock:
    """Quotes of (bid, ask), a second apart from noon unless told otherwise; every size is 100."""
    times = np.array([NOON_NS + at * ONE for at in range(len(quotes))] if times_ns is None else times_ns, np.int64)
    bids, asks = np.array([[nanos(side) for side in quote] for quote in quotes], np.int64).T
    sizes = np.full(len(quotes), nanos(100), np.int64)
    received = times if received_ns is None else np.array(received_ns, np.int64)
    return QuoteBlock(venue, symbol, times, received, bids, sizes, asks, sizes)


def a_trade_block(
    *trades: tuple[float, float], symbol: str = "AAPL", venue: str = "paper", times_ns: Sequence[int] | None = None
) -> TradeBlock:
    """Trades of (price, size), a second apart from noon unless told otherwise."""
    times = np.array([NOON_NS + at * ONE for at in range(len(trades))] if times_ns is None else times_ns, np.int64)
    prices, sizes = np.array([[nanos(part) for part in trade] for trade in trades], np.int64).T
    ids = tuple(str(at) for at in range(len(trades)))
    return TradeBlock(venue, symbol, times, times, prices, sizes, np.zeros(len(trades), np.int64), ids)


def a_bar(
    close: float = 100.0, *, minute: int = 0, symbol: str = "AAPL", interval: str = "1m", venue: str = "paper"
) -> Bar:
    """A bar that starts `minute` minutes after noon and knows one price."""
    price = nanos(close)
    return Bar(symbol, interval, NOON_NS + minute * MINUTE_NS, price, price, price, price, 1.0, price, 1, venue)


def a_share(symbol: str = "AAPL") -> Instrument:
    """A US share."""
    return equity(symbol)


def a_coin(base: str = "BTC") -> Instrument:
    """A coin against the dollar."""
    return crypto(base)


EQUITY, CRYPTO = AssetClass.EQUITY, AssetClass.CRYPTO
