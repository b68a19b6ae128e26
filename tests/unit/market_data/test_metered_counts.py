"""Counts of a venue reach Prometheus by the class of their symbols."""

from builders.market import a_quote_block, a_trade_block

from fleet.metrics import Metrics
from services.market_data.adapters.metered_counts import MeteredCounts
from services.market_data.domain.stats import VenueCounts
from services.market_data.domain.ticks import Ticks


def test_ticks_are_counted_by_kind_and_class_and_in_all() -> None:
    metrics, counts = Metrics(), VenueCounts()
    meter = MeteredCounts("paper", counts, metrics)

    meter.read(Ticks((a_quote_block((1, 2), (1, 2)),), (a_trade_block((1, 1)),)))
    meter.read(Ticks((a_quote_block((1, 2), symbol="BTC-USDT"),)))
    meter.read(Ticks(refused=1))

    def total(kind: str, asset_class: str) -> float | None:
        labels = {"venue": "paper", "kind": kind, "asset_class": asset_class}
        return metrics.registry.get_sample_value("nt_ticks_total", labels)

    found = (total("quote", "equity"), total("trade", "equity"), total("quote", "crypto"), total("trade", "crypto"))
    assert found == (2, 1, 1, 0)
    assert (counts.quotes, counts.trades) == (3, 1)


def test_what_bars_missed_grows_by_what_is_new() -> None:
    metrics = Metrics()
    meter = MeteredCounts("paper", VenueCounts(), metrics)
    meter.bars(late=2, uncorrected=0)
    meter.bars(late=5, uncorrected=1)

    late = metrics.registry.get_sample_value("nt_bar_trades_late_total", {"venue": "paper"})
    missed = metrics.registry.get_sample_value("nt_bar_corrections_missed_total", {"venue": "paper"})
    assert (late, missed) == (5, 1)
