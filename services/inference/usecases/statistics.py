"""Counts what the live path did, for GetStats and for Prometheus."""

from collections.abc import Sequence
from typing import Any

from fleet.latency import LatencyWindow
from fleet.metrics import Metrics
from trading.errors import TradingError

_SECOND_NS = 1e9


class Statistics:
    """Counters since the start; latencies run from market_data's read of a tick, on one host's clock."""

    def __init__(self, metrics: Metrics, models: Sequence[str], log: Any) -> None:
        self.ticks = 0
        self.predictions = 0
        self.signals = 0
        self.missed_ticks = 0
        self.faults = 0
        self.tick_to_prediction = LatencyWindow()
        self.tick_to_signal = LatencyWindow()
        self._log = log
        self._missed_total = metrics.missed_ticks_total
        self._predictions_total = {name: metrics.predictions_total.labels(name) for name in models}
        self._signals_total = {name: metrics.signals_total.labels(name) for name in models}
        self._tick_to_signal_seconds = metrics.tick_to_signal_seconds

    def took(self, ticks: int, missed: int) -> None:
        """A block of quotes came in."""
        self.ticks += ticks
        self.missed(missed)

    def missed(self, ticks: int) -> None:
        """Ticks were lost on the way here."""
        if ticks:
            self.missed_ticks += ticks
            self._missed_total.inc(ticks)

    def predicted(self, model: str, latency_ns: int) -> None:
        """A prediction went out."""
        self.predictions += 1
        self._predictions_total[model].inc()
        self.tick_to_prediction.record(latency_ns)

    def signalled(self, model: str, latency_ns: int) -> None:
        """A signal went out."""
        self.signals += 1
        self._signals_total[model].inc()
        self.tick_to_signal.record(latency_ns)
        self._tick_to_signal_seconds.observe(max(latency_ns, 0) / _SECOND_NS)

    def faulted(self, fault: TradingError) -> None:
        """The model gave no number; said once, counted always."""
        if not self.faults:
            self._log.error("model.fault", error=fault.message)
        self.faults += 1
