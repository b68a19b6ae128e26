"""Counts what the market-data streams have sent, whatever protocol they speak."""

from collections.abc import Iterable

import numpy as np

from services.paper_venue.domain.ticks import Int64, Kind


class SentCounts:
    """How many messages of each channel and instrument have gone out, over all connections."""

    def __init__(self, symbols: Iterable[str]) -> None:
        self.symbols = tuple(symbols)
        self.rows = np.zeros((len(Kind), len(self.symbols)), np.int64)
        self.repeated = 0

    def add(self, rows: Int64, repeated: bool) -> None:
        """Count one frame by kind and instrument."""
        self.rows += rows
        if repeated:
            self.repeated += int(rows.sum())
