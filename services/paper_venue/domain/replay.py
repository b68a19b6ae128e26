"""A recorded market, played again in its own order, once or for ever."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from services.paper_venue.domain.ticks import Int64, Kind, Ticks
from trading.clock import DAY_NS
from trading.instruments import Instrument

CHUNK_ROWS = 65_536
_QUOTE = int(Kind.QUOTE)


@dataclass(frozen=True, slots=True)
class Recording:
    """All rows of all files, merged by time (ties in file order), and the instruments they index."""

    instruments: tuple[Instrument, ...]
    ticks: Ticks

    def chunks(self, loop: bool) -> Iterator[Ticks]:
        """The recording in chunks of views; each lap of a loop lies whole days after the one before."""
        lap = 0
        while lap == 0 or loop:
            rows = self.ticks.shifted(lap * self.lap_ns) if lap else self.ticks
            for start in range(0, len(rows), CHUNK_ROWS):
                yield rows[start : start + CHUNK_ROWS]
            lap += 1

    @property
    def lap_ns(self) -> int:
        """How far apart laps lie: the fewest whole days that hold the recording, so that time never goes back."""
        times = self.ticks.time_ns
        return (int(times[-1] - times[0]) // DAY_NS + 1) * DAY_NS if len(times) else DAY_NS

    def last_quotes(self) -> Ticks:
        """The newest quote of every instrument, as repeated after the end."""
        quotes = self.ticks[self.ticks.kind == Kind.QUOTE]
        return quotes.last_of_each() if len(quotes) else Ticks.empty()

    def opening_prices(self) -> dict[str, int]:
        """The first price in nanos of each instrument: what its simulated history leads up to."""
        prices = price_column(self.ticks)
        found: dict[str, int] = {}
        for index, instrument in enumerate(self.instruments):
            own = prices[(self.ticks.instrument == index) & (prices > 0)]
            if len(own):
                found[instrument.symbol] = int(own[0])
        return found


def price_column(ticks: Ticks) -> Int64:
    """What each row says the price is, in nanos: the mid of a quote, the price of a trade, the open of a bar."""
    if ticks.is_uniform and ticks.kind[0] == _QUOTE and ticks.a.min() > 0 and ticks.c.min() > 0:
        return np.asarray((ticks.a + ticks.c) >> 1)
    mids = np.where((ticks.a > 0) & (ticks.c > 0), (ticks.a + ticks.c) // 2, np.maximum(ticks.a, ticks.c))
    return np.asarray(np.where(ticks.kind == _QUOTE, mids, ticks.a), np.int64)
