"""The trades of a pair under ids that are contiguous per symbol, as Binance promises."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from services.paper_venue.binance.listing import Pair
from services.paper_venue.binance.texts import TimeUnit, decimal, decimal_of_value
from services.paper_venue.domain.market import Market
from services.paper_venue.domain.ticks import Kind, Ticks

END_OF_TIME = 2**63 - 1


class Trade(NamedTuple):
    """One trade; price and size in nanos. The buyer is the maker when the seller was the aggressor."""

    trade_id: int
    time_ns: int
    price: int
    size: int
    buyer_is_maker: bool


@dataclass(frozen=True, slots=True)
class NumberedTrades:
    """Trades in their order; the first one has the id `first_id`."""

    first_id: int
    ticks: Ticks

    def __len__(self) -> int:
        return len(self.ticks)

    @property
    def last_id(self) -> int:
        return self.first_id + len(self.ticks) - 1

    def __iter__(self) -> Iterator[Trade]:
        return (
            Trade(number, row.time_ns, row.a, row.b, row.c < 0)
            for number, row in enumerate(self.ticks.rows(), self.first_id)
        )

    def from_id(self, trade_id: int, count: int) -> "NumberedTrades":
        """At most `count` trades from an id on."""
        start = max(0, trade_id - self.first_id)
        return NumberedTrades(self.first_id + start, self.ticks[start : start + count])

    def first(self, count: int) -> "NumberedTrades":
        """The oldest `count`."""
        return NumberedTrades(self.first_id, self.ticks[:count])

    def last(self, count: int) -> "NumberedTrades":
        """The newest `count`."""
        start = max(0, len(self.ticks) - count)
        return NumberedTrades(self.first_id + start, self.ticks[start:])


class TradeHistory:
    """Numbers the market's trades: the n-th trade of a symbol since the venue's start has the id n."""

    def __init__(self, market: Market) -> None:
        self._market = market

    def last_id(self, pair: Pair) -> int:
        """The id of the newest trade; 0 before the first."""
        return int(self._market.said[Kind.TRADE, pair.index])

    def find(self, pair: Pair, start_ns: int = 0, end_ns: int = END_OF_TIME) -> NumberedTrades:
        """The trades that are remembered between two times, both included."""
        since = self._market.tape.find(Kind.TRADE, pair.index, start_ns, END_OF_TIME)
        first_id = self.last_id(pair) - len(since) + 1
        return NumberedTrades(first_id, since[since.time_ns <= end_ns])

    def newest(self, pair: Pair) -> Trade | None:
        """The newest trade."""
        found = self._market.tape.latest(Kind.TRADE, pair.index)
        return next(iter(NumberedTrades(self.last_id(pair), found)), None)

    def of_batch(self, pair: Pair, ticks: Ticks) -> NumberedTrades:
        """The trades among the ticks that were said last."""
        own = ticks[(ticks.kind == int(Kind.TRADE)) & (ticks.instrument == pair.index)]
        return NumberedTrades(self.last_id(pair) - len(own) + 1, own)


def trade_row(trade: Trade, unit: TimeUnit) -> dict[str, object]:
    """A trade in the answers of `trades` and `historicalTrades`."""
    return {
        "id": trade.trade_id,
        "price": decimal(trade.price),
        "qty": decimal(trade.size),
        "quoteQty": decimal_of_value(trade.price * trade.size),
        "time": unit.of(trade.time_ns),
        "isBuyerMaker": trade.buyer_is_maker,
        "isBestMatch": True,
    }


def aggregate_row(trade: Trade, unit: TimeUnit) -> dict[str, object]:
    """A trade as the aggregate of itself: on this market every aggressor's order is one print."""
    return {
        "a": trade.trade_id,
        "p": decimal(trade.price),
        "q": decimal(trade.size),
        "f": trade.trade_id,
        "l": trade.trade_id,
        "T": unit.of(trade.time_ns),
        "m": trade.buyer_is_maker,
        "M": True,
    }
