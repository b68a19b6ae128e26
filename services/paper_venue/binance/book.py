"""The order book of a pair as an order would meet it, its snapshots, and the differences between two moments.

The venue fills an order beyond the displayed size at prices that worsen by `Slippage.ticks` for each further displayed
size; those are the levels of this book. Its version is the number of ticks said, so that it never goes back.
"""

from dataclasses import dataclass

import numpy as np

from services.paper_venue.binance.listing import Pair
from services.paper_venue.binance.texts import decimal
from services.paper_venue.domain.market import Market
from services.paper_venue.domain.ticks import Kind, Ticks
from services.paper_venue.domain.touch import Slippage
from trading.order import Side

MOST_LEVELS = 20

Levels = dict[int, int]
"""Quantities by price, best first; nanos."""


@dataclass(frozen=True, slots=True)
class Book:
    """One moment of a pair's book; `step` is the distance between levels, 0 leaves one level."""

    version: int
    bids: Levels
    asks: Levels

    def snapshot(self, limit: int) -> dict[str, object]:
        """At most `limit` levels of each side."""
        return {
            "lastUpdateId": self.version,
            "bids": _rows(dict(list(self.bids.items())[:limit])),
            "asks": _rows(dict(list(self.asks.items())[:limit])),
        }


@dataclass(frozen=True, slots=True)
class Books:
    """Looks at the books of the market."""

    market: Market
    slippage: Slippage

    def version(self, pair: Pair) -> int:
        """How many ticks of this pair have been said."""
        return int(self.market.said[:, pair.index].sum())

    def book(self, pair: Pair) -> Book:
        """The book now."""
        touch = self.market.exchange.touch(pair.symbol)
        bids = self.levels(pair, Side.BUY, touch.bid, touch.bid_size)
        asks = self.levels(pair, Side.SELL, touch.ask, touch.ask_size)
        return Book(self.version(pair), bids, asks)

    def levels(self, pair: Pair, side: Side, best: int, size: int) -> Levels:
        """The levels behind a best price, nanos."""
        step = self.slippage.ticks * pair.instrument.tick_nanos
        if best <= 0 or size <= 0:
            return {}
        count = MOST_LEVELS if step else 1
        prices = [best - side.sign * step * level for level in range(count)]
        return {price: size for price in prices if price > 0}


class Differences:
    """What changes in one pair's book, for one customer: absolute quantities of every level that may have moved."""

    def __init__(self, books: Books, pair: Pair) -> None:
        self._books = books
        self._pair = pair
        self._seen = books.book(pair)
        self._told = self._seen.version
        self._bests: dict[Side, set[int]] = {}
        self._begin()

    def take(self, ticks: Ticks) -> None:
        """The market has moved by these ticks; they are the newest."""
        mine = ticks[(ticks.instrument == self._pair.index) & (ticks.kind == int(Kind.QUOTE))]
        for side, column in ((Side.BUY, mine.a), (Side.SELL, mine.c)):
            self._bests[side].update(np.unique(column).tolist())
        self._seen = self._books.book(self._pair)

    def next(self) -> tuple[int, int, dict[str, list[list[str]]]] | None:
        """First and last version of what happened since the last call, with its levels; None when nothing did."""
        if self._seen.version == self._told:
            return None
        first, last = self._told + 1, self._seen.version
        changed = {
            "b": _rows(self._changed(Side.BUY, self._seen.bids)),
            "a": _rows(self._changed(Side.SELL, self._seen.asks)),
        }
        self._told = last
        self._begin()
        return first, last, changed

    def _changed(self, side: Side, now: Levels) -> Levels:
        """The levels as they are now, and 0 for each that was there in between and is no more."""
        touched = (price for best in self._bests[side] for price in self._books.levels(self._pair, side, best, 1))
        gone = dict.fromkeys(sorted(set(touched) - now.keys(), reverse=side is Side.BUY), 0)
        return now | gone

    def _begin(self) -> None:
        seen = {Side.BUY: self._seen.bids, Side.SELL: self._seen.asks}
        self._bests = {side: set(list(levels)[:1]) for side, levels in seen.items()}


def _rows(levels: Levels) -> list[list[str]]:
    return [[decimal(price), decimal(quantity)] for price, quantity in levels.items()]
