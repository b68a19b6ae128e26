"""The counts of a venue, kept for our own callers and for Prometheus."""

from fleet.metrics import Metrics
from services.market_data.domain.stats import VenueCounts


class MeteredCounts:
    """Adds to both at once."""

    def __init__(self, venue: str, counts: VenueCounts, metrics: Metrics) -> None:
        self._counts = counts
        self._quotes = metrics.ticks_total.labels(venue, "quote")
        self._trades = metrics.ticks_total.labels(venue, "trade")
        self._filled = metrics.trades_filled_total.labels(venue)
        self._gaps = metrics.gaps_total.labels(venue)
        self._dropped = metrics.ticks_dropped_total.labels(venue)
        self._reconnects = metrics.venue_reconnects_total.labels(venue)

    def read(self, quotes: int, trades: int) -> None:
        self._counts.quotes += quotes
        self._counts.trades += trades
        self._quotes.inc(quotes)
        self._trades.inc(trades)

    def published(self, blocks: int) -> None:
        self._counts.blocks += blocks

    def filled(self, trades: int) -> None:
        self._filled.inc(trades)

    def gap(self) -> None:
        self._gaps.inc()

    def dropped(self, ticks: int) -> None:
        self._counts.dropped += ticks
        self._dropped.inc(ticks)

    def reconnected(self) -> None:
        self._counts.reconnects += 1
        self._reconnects.inc()
