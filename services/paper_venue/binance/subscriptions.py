"""The names of streams, what they mean, and which of them a customer has."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from services.paper_venue.binance.klines import INTERVALS
from services.paper_venue.binance.listing import Listing, Pair

MOST_STREAMS = 1_024
_NAME = re.compile(r"([a-z0-9]+)@([a-zA-Z]+?)(5|10|20)?(?:_(\w+))?(?:@(100ms|1000ms))?")
_ALL_MINI = "!miniTicker@arr"


class Channel(StrEnum):
    """What a stream tells."""

    TRADE = "trade"
    AGGREGATE_TRADE = "aggTrade"
    BOOK_TICKER = "bookTicker"
    KLINE = "kline"
    DEPTH = "depth"
    MINI_TICKER = "miniTicker"
    TICKER = "ticker"
    AVERAGE_PRICE = "avgPrice"
    ALL_MINI_TICKERS = _ALL_MINI


_TICK_CHANNELS = (Channel.TRADE, Channel.AGGREGATE_TRADE, Channel.BOOK_TICKER)
_PACES_MS = {Channel.KLINE: 2_000, Channel.AVERAGE_PRICE: 1_000, Channel.DEPTH: 1_000}


@dataclass(frozen=True, slots=True)
class Stream:
    """One stream that exists; `pairs` are those it tells of, `every_ms` is 0 for what comes with each tick."""

    name: str
    channel: Channel
    pairs: tuple[Pair, ...]
    interval: str = ""
    levels: int = 0
    every_ms: int = 1_000

    @property
    def pair(self) -> Pair:
        return self.pairs[0]


def parse_stream(name: str, listing: Listing) -> Stream | None:
    """The stream of that name; None when there is none."""
    if name == _ALL_MINI:
        return Stream(name, Channel.ALL_MINI_TICKERS, listing.pairs)
    found = _NAME.fullmatch(name)
    pair = listing.find_stream(found[1]) if found else None
    if found is None or pair is None or found[2] not in list(Channel):
        return None
    channel, levels, interval, speed = Channel(found[2]), int(found[3] or 0), found[4] or "", found[5]
    if (interval in INTERVALS) != (channel is Channel.KLINE) or (channel is not Channel.DEPTH and (levels or speed)):
        return None
    pace = 100 if speed == "100ms" else _PACES_MS.get(channel, 1_000)
    return Stream(name, channel, (pair,), interval, levels, 0 if channel in _TICK_CHANNELS else pace)


class Subscriptions:
    """The streams of one connection, by name in the order of subscription; unknown names are kept and say nothing."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self._streams: dict[str, Stream | None] = {}

    def add(self, names: Iterable[str]) -> list[Stream]:
        """Subscribe; returns the streams that are new. Raises OverflowError beyond MOST_STREAMS."""
        wanted = {name: parse_stream(name, self._listing) for name in names if name not in self._streams}
        if len(self._streams) + len(wanted) > MOST_STREAMS:
            raise OverflowError(f"more than {MOST_STREAMS} streams")
        self._streams |= wanted
        return [stream for stream in wanted.values() if stream is not None]

    def remove(self, names: Iterable[str]) -> None:
        """Unsubscribe; what is not there is no mistake."""
        for name in names:
            self._streams.pop(name, None)

    def names(self) -> list[str]:
        return list(self._streams)

    def streams(self) -> list[Stream]:
        """Those that exist."""
        return [stream for stream in self._streams.values() if stream is not None]
