"""The channels of a market, and what one customer has subscribed to."""

from enum import StrEnum

import numpy as np

from services.paper_venue.domain.tape import Placed
from services.paper_venue.domain.ticks import Kind
from services.paper_venue.polygon.listing import Listing, Market

EVERYTHING = "*"


class What(StrEnum):
    """What a channel tells; nothing is ever said on a QUIET one."""

    QUOTES = "quotes"
    TRADES = "trades"
    SECONDS = "seconds"
    MINUTES = "minutes"
    QUIET = "quiet"


CHANNELS = {
    Market.STOCKS: {
        "Q": What.QUOTES, "T": What.TRADES, "A": What.SECONDS, "AM": What.MINUTES, "LULD": What.QUIET,
    },
    Market.CRYPTO: {"XQ": What.QUOTES, "XT": What.TRADES, "XAS": What.SECONDS, "XA": What.MINUTES},
}  # fmt: skip
_KINDS = {What.QUOTES: Kind.QUOTE, What.TRADES: Kind.TRADE}


class Subscriptions:
    """The state of one connection: topics as the customer wrote them, `T.AAPL` or `T.*`."""

    def __init__(self, listing: Listing, market: Market) -> None:
        self._listing = listing
        self._market = market
        self._topics: dict[str, None] = {}
        self._rows = np.zeros((len(Kind), len(listing.tickers)), np.bool_)
        self._bars: dict[What, frozenset[str]] = {}

    @property
    def is_empty(self) -> bool:
        """Nothing of this market is subscribed to."""
        return not self._rows.any() and not any(self._bars.values())

    @property
    def key(self) -> bytes:
        """Equal for two customers who want the same rows."""
        return self._rows.tobytes()

    def knows(self, topic: str) -> bool:
        """The topic names a channel of this market and a symbol, which need not exist."""
        channel, _, symbol = topic.partition(".")
        return channel in CHANNELS[self._market] and bool(symbol)

    def add(self, topic: str) -> None:
        """Subscribe; twice is once."""
        self._topics[topic] = None
        self._refresh()

    def remove(self, topic: str) -> None:
        """Unsubscribe; what is not there is no mistake."""
        self._topics.pop(topic, None)
        self._refresh()

    def select(self, placed: Placed) -> Placed:
        """The rows that the customer wants, in their order."""
        wanted = self._rows[placed.ticks.kind, placed.ticks.instrument]
        if wanted.all():
            return placed
        return Placed(placed.ticks[wanted], placed.positions[wanted])

    def bars(self, what: What) -> frozenset[str]:
        """The canonical symbols whose aggregates the customer wants."""
        return self._bars.get(what, frozenset())

    def _refresh(self) -> None:
        self._rows[:] = False
        for what, kind in _KINDS.items():
            for index in (self._listing.of_symbol(symbol).index for symbol in self._symbols(what)):
                self._rows[kind, index] = True
        self._bars = {what: self._symbols(what) for what in (What.SECONDS, What.MINUTES)}

    def _symbols(self, what: What) -> frozenset[str]:
        """The canonical symbols of a channel that exist."""
        found: set[str] = set()
        for topic in self._topics:
            channel, _, name = topic.partition(".")
            if CHANNELS[self._market][channel] is not what:
                continue
            if name == EVERYTHING:
                return frozenset(ticker.symbol for ticker in self._listing.of_market(self._market))
            ticker = self._listing.of_stream(self._market, name)
            found |= {ticker.symbol} if ticker else set()
        return frozenset(found)
