"""The counts of a venue, kept for our own callers and for Prometheus."""

from collections.abc import Callable
from functools import cache

from fleet.metrics import Metrics
from services.market_data.domain.registry import infer
from services.market_data.domain.stats import VenueCounts
from services.market_data.domain.ticks import Ticks
from trading.instruments import AssetClass


class MeteredCounts:
    """Adds to both at once; ticks by the class of their symbol."""

    def __init__(
        self,
        venue: str,
        counts: VenueCounts,
        metrics: Metrics,
        class_of: Callable[[str], AssetClass] = lambda symbol: infer(symbol).asset_class,
    ) -> None:
        self._counts, self._class_of = counts, cache(class_of)
        self._kinds = {
            (kind, asset_class): metrics.ticks_total.labels(venue, kind, asset_class.lower())
            for kind in ("quote", "trade")
            for asset_class in AssetClass
        }
        self._filled = metrics.trades_filled_total.labels(venue)
        self._gaps = metrics.gaps_total.labels(venue)
        self._dropped = metrics.ticks_dropped_total.labels(venue)
        self._late = metrics.bar_trades_late_total.labels(venue)
        self._uncorrected = metrics.bar_corrections_missed_total.labels(venue)
        self._bars_seen = (0, 0)
        self._reconnects = metrics.venue_reconnects_total.labels(venue)

    def read(self, ticks: Ticks) -> None:
        """Count one drain; a connection carries one class, so its first symbol tells that of all."""
        blocks = (*ticks.quotes[:1], *ticks.trades[:1], *(carried.block for carried in ticks.carried[:1]))
        if not blocks:
            return
        asset_class = self._class_of(blocks[0].symbol)
        quotes, trades = sum(map(len, ticks.quotes)) + len(ticks.carried), sum(map(len, ticks.trades))
        self._counts.quotes += quotes
        self._counts.trades += trades
        self._kinds["quote", asset_class].inc(quotes)
        self._kinds["trade", asset_class].inc(trades)

    def published(self, blocks: int) -> None:
        self._counts.blocks += blocks

    def filled(self, trades: int) -> None:
        self._filled.inc(trades)

    def gap(self) -> None:
        self._gaps.inc()

    def bars(self, late: int, uncorrected: int) -> None:
        late_before, uncorrected_before = self._bars_seen
        self._late.inc(late - late_before)
        self._uncorrected.inc(uncorrected - uncorrected_before)
        self._bars_seen = late, uncorrected

    def dropped(self, ticks: int) -> None:
        self._counts.dropped += ticks
        self._dropped.inc(ticks)

    def reconnected(self) -> None:
        self._counts.reconnects += 1
        self._reconnects.inc()
