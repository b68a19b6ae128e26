"""Drift as Prometheus gauges, measured every few seconds: far too dear for every tick."""

import asyncio

from fleet.metrics import Metrics
from services.inference.domain.watches import Drift, Watches


class DriftGauges:
    """Writes the drift of every model that follows into the metrics."""

    def __init__(self, watches: Watches, metrics: Metrics, every_s: float) -> None:
        self._watches = watches
        self._metrics = metrics
        self._every_s = every_s

    async def keep(self) -> None:
        """Write, and write again, for ever."""
        while True:
            for drift in self._watches.newest():
                self.write(drift)
            await asyncio.sleep(self._every_s)

    def write(self, drift: Drift) -> None:
        """The gauges of one model; what is not known yet has none."""
        metrics, model, judged = self._metrics, drift.model, drift.judged
        for each in drift.features:
            metrics.feature_psi.labels(model, each.feature).set(each.psi)
        metrics.outcomes.labels(model).set(judged.outcomes)
        for gauge, value in (
            (metrics.rolling_brier, judged.brier),
            (metrics.base_rate_brier, judged.base_rate_brier),
            (metrics.hit_rate, judged.hit_rate),
        ):
            if value is not None:
                gauge.labels(model).set(value)
